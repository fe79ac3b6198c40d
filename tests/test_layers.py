"""Who may import whom: downwards only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import srkd_bench

PACKAGE = Path(srkd_bench.__file__).parent
LAYERS = [
    {"torchrun"},
    {"__init__", "errors", "parallel", "blame"},
    {"spec"},
    {"networkspec"},
    {"config", "method", "scores", "progress", "sources"},
    {
        "disk",
        "signals",
        "board",
        "divergence",
        "stats",
        "own",
        "architecture",
        "inside",
        "weightfile",
        "dotted",
    },
    {"foreign", "manifest", "checkpoint", "locks"},
    {"bucket"},
    {"claims", "handover"},
    {"shared"},
    {"survey"},
    {"recognition"},
    {"suitefile", "store", "images", "models", "methods", "archive", "download"},
    {"datasets", "metrics", "pretrained", "pictures"},
    {"packs"},
    {"adopt", "patches"},
    {"teacher_cache", "distributed"},
    {"train", "evaluate"},
    {"traits", "lesson", "networks"},
    {"trials"},
    {"overhead"},
    {"contract", "newmethod"},
    {"planning"},
    {"runs", "report"},
    {"rehearsal", "tasks", "joint"},
    {"workers", "ray_executor"},
    {"collect", "conditions", "crops", "forecast", "batch", "standalone", "listing", "verify", "tarball"},
    {"verify_shared", "comparing", "chosen", "shares", "tune"},
    {"upkeep", "vetting", "upscale", "export", "cost"},
    {"transport"},
    {"printing", "options"},
    {"work"},
    {"cli_pictures", "cli_store", "cli_network", "cli_method", "cli_tune", "cli_plan"},
    {"cli_report"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the full names of the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards_only(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for name in imported(path):
        first, _, rest = name.partition(".")
        if first == "srkd_bench":
            other = rest.split(".")[0]
            if not (PACKAGE / other).is_dir() and not (PACKAGE / f"{other}.py").is_file():
                other = "__init__"  # a name in it
            assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {other}"


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "methods" and p.name != "__init__.py"])
def test_a_method_file_needs_torch_and_the_method_interface_only(path: Path) -> None:
    allowed = (
        "torch",
        "copy.",
        "dataclasses",
        "typing",
        "srkd_bench.method.",
        "srkd_bench.methods.",
        "srkd_bench.errors.",
    )
    assert all(name.startswith(allowed) for name in imported(path))


def test_the_command_starts_without_torch() -> None:
    names = [
        "cli",
        "errors",
        "config",
        "suitefile",
        "store",
        "datasets",
        "packs",
        "adopt",
        "listing",
        "work",
        "planning",
        "tasks",
        "ray_executor",
        "collect",
        "report",
    ]
    code = f"import sys, {', '.join(f'srkd_bench.{name}' for name in names)}; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_the_commands_help_needs_no_specs() -> None:
    code = "import sys, srkd_bench.cli; print('pydantic' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False False\n"
