import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from srkd_bench import cli
from srkd_bench.datasets import DATASETS
from srkd_bench.progress import Display
from srkd_bench.store import ArtifactStore

Srkd = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def users_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the folders of who runs it."""
    for name in ("HOME", "XDG_CACHE_HOME", "SRKD_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    for name in ("SRKD_OFFLINE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def table_of_data_sets() -> Iterator[None]:
    """What a test, or a benchmark in it, adds to the table is gone after it."""
    known = dict(DATASETS)
    yield
    DATASETS.clear()
    DATASETS.update(known)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def display() -> Display:
    return Display(Console(file=StringIO()))


@pytest.fixture
def srkd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Srkd:
    """Call the command in an empty folder with an empty store: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRKD_HOME", str(tmp_path / "home"))

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["srkd", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call
