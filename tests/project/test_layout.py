"""The layout: tests mirror modules, sizes of folders and modules, and imports at start."""

import pkgutil
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import srkd_bench
from srkd_bench.cli.app import app

PACKAGE = Path(srkd_bench.__file__).parent
TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
OF_NO_PACKAGE = {"project", "robustness", "scale", "support"}
TEST_FILES = sorted(
    path
    for path in (path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
    if path.parts[0] not in OF_NO_PACKAGE
)
COMMANDS = Path("cli/commands")
METHODS = Path("methods/builtin")
ONE_FILE_EACH = (COMMANDS, METHODS)
FOLDERS = sorted(
    path
    for path in (PACKAGE, *PACKAGE.rglob("*"))
    if path.is_dir() and path.name != "__pycache__" and path != PACKAGE / METHODS
)
MOST_ENTRIES, MOST_LINES = 12, 400


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_a_folder_has_at_most_12_entries(folder: Path) -> None:
    left_out = ("__init__.py", "__main__.py", "__pycache__", "py.typed")
    assert len([path.name for path in folder.iterdir() if path.name not in left_out]) <= MOST_ENTRIES


def test_a_module_has_at_most_400_lines() -> None:
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert {str(path): n for path, n in lines.items() if n > MOST_LINES} == {}


def test_planning_and_reporting_start_without_torch() -> None:
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


def test_folders_of_tests_are_those_of_packages() -> None:
    assert {path.parent for path in TEST_FILES if not (PACKAGE / path.parent).is_dir()} == set()


def test_a_folder_of_tests_has_at_most_12_files() -> None:
    counts = Counter(path.parent for path in TEST_FILES if path.parent not in ONE_FILE_EACH)
    assert {path: n for path, n in counts.items() if n > MOST_ENTRIES} == {}


def test_a_test_file_is_named_after_its_module_or_says_what_it_tests() -> None:
    unclear = [
        str(path)
        for path in TEST_FILES
        if path.parent != COMMANDS
        and not (PACKAGE / path.with_name(path.name.removeprefix("test_"))).exists()
        and not (TESTS / path).read_text(encoding="utf-8").startswith('"""')
    ]
    assert unclear == []


def test_each_command_has_a_test_file() -> None:
    group: Any = get_command(app)
    names = {
        path.stem.removeprefix("test_").replace("_", "-") for path in TEST_FILES if path.parent == COMMANDS
    }
    assert names == set(group.commands)


@pytest.mark.parametrize("place", ["tests", "benchmarks", "docs_generators", ".github", "Makefile"])
def test_modules_and_tests_that_a_text_names_exist(place: str) -> None:
    """Embedded programs and command lines, which no type checker reads, name modules too."""
    files = [ROOT / place, *(ROOT / place).rglob("*")]
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for path in files
        if path.suffix in (".py", ".yml") or path.name == "Makefile"
    )
    modules = {*re.findall(r"\bsrkd_bench(?:\.[A-Za-z]\w*)+", text)}
    modules |= {*re.findall(r"(?:-m |from |import |['\"`])(tests(?:\.[a-z_]\w*)+)", text)}
    paths = {*re.findall(r"\btests/[\w/]+\.py\b", text)}
    assert text
    assert [name for name in sorted(modules) if not _exists(name)] == []
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def _exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return False
    return True


def test_training_starts_without_the_compiler() -> None:
    code = "import sys, srkd_bench.experiments.runs.train; print('torch._dynamo' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_reports_start_without_what_downloads_need() -> None:
    code = "import sys, srkd_bench.experiments.analysis.collect; print('requests' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
