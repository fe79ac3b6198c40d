"""The layout: sizes of folders and modules, and what starts without heavy imports."""

import subprocess
import sys
from pathlib import Path

import pytest

import srkd_bench

PACKAGE = Path(srkd_bench.__file__).parent
FOLDERS = sorted(
    path for path in (PACKAGE, *PACKAGE.rglob("*")) if path.is_dir() and path.name != "__pycache__"
)
MOST_ENTRIES, MOST_LINES = 12, 400


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_a_folder_has_at_most_12_entries(folder: Path) -> None:
    left_out = ("__init__.py", "__main__.py", "__pycache__", "py.typed")
    assert len([path.name for path in folder.iterdir() if path.name not in left_out]) <= MOST_ENTRIES


def test_a_module_has_at_most_400_lines() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert {str(path): n for path, n in lines.items() if n > MOST_LINES} == {}


def test_what_plans_and_reports_starts_without_torch() -> None:
    names = [
        "cli.app",
        "config.suite_file",
        "data.ingest",
        "experiments.analysis.collect",
        "experiments.analysis.listing",
        "experiments.executors.ray",
        "experiments.planning.tasks",
        "report.render",
        "store.gc",
        "store.verify",
        "store.workspace",
    ]
    code = f"import sys, {', '.join(f'srkd_bench.{name}' for name in names)}; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_the_commands_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, srkd_bench.cli.app; print({'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
