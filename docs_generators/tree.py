"""The annotated tree of the package in CONTRIBUTING.md; `python -m docs_generators.tree` writes it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "srkd_bench"
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- tree -->\n```text\n", "```\n<!-- end of tree -->"
OTHER = {
    "evaluation/grids/map.json": "The published map in short, from which `srkd advise` answers.",
    "experiments/analysis/step_costs.json": "Counts that come with srkd, of the built-in suites.",
    "report/page/assets": "Template, style sheet and script of the page.",
    "report/study.yaml": "The study's claims, as an example of a claims file.",
    "training/contract/templates": "Templates of `srkd method new`.",
}
"""What is no module, by path. Of these folders, the files are not listed."""
WIDTH = 30


def tree() -> str:
    """Return a line per folder and module of the package, each with the summary of its docstring."""
    return "".join(_lines(PACKAGE, 0))


def page() -> str:
    """Return CONTRIBUTING.md with the present tree."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    return f"{before}{BEGIN}{tree()}{END}{after}"


def _lines(folder: Path, depth: int) -> Iterator[str]:
    yield _line(folder, depth)
    skipped = ("__pycache__", "__init__.py", "py.typed", "traits.json")
    entries = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
    for path in (path for path in entries if path.name not in skipped):
        if path.is_dir() and str(path.relative_to(PACKAGE)) not in OTHER:
            yield from _lines(path, depth + 1)
        else:
            yield _line(path, depth + 1)


def _line(path: Path, depth: int) -> str:
    name = "  " * depth + path.name + "/" * path.is_dir()
    return f"{name:<{WIDTH}} {_summary(path)}\n"


def _summary(path: Path) -> str:
    if (known := OTHER.get(str(path.relative_to(PACKAGE)))) is not None:
        return known
    module = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert docstring, f"{module} has no docstring"
    return docstring.partition("\n")[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
