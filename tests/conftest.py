from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from srkd_bench.progress import Display
from srkd_bench.store import ArtifactStore


@pytest.fixture(autouse=True)
def users_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the folders of who runs it."""
    for name in ("HOME", "XDG_CACHE_HOME", "SRKD_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    for name in ("SRKD_OFFLINE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def display() -> Display:
    return Display(Console(file=StringIO()))
