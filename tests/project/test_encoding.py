"""Every text file has a stated encoding, also where ruff's PLW1514 cannot tell that a value is a path."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folder", ["srkd_bench", "benchmarks", "docs_generators", "tests"])
def test_every_text_file_is_read_and_written_as_utf_8(folder: str) -> None:
    found = []
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = {word.arg for word in node.keywords}
                if node.func.attr in ("read_text", "write_text") and "encoding" not in named:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found
