import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from rich.console import Console

from srkd_bench.cli import app
from srkd_bench.core.progress import Display
from srkd_bench.data.catalog import DATASETS
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.remote import leases

if TYPE_CHECKING:
    from tests.support.bucket_server import Server

Srkd = Callable[..., tuple[int, str, str]]
if os.name == "posix":  # nohup has it ignored in all that it starts, and tests wait for its effect
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items if os.name != "posix" else []:
        if item.get_closest_marker("posix"):
            item.add_marker(pytest.mark.skip(reason="needs signals or links that Windows does not have"))


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate each test from the user's folders and from modules that other tests left in sys.path."""
    for name in ("HOME", "XDG_CACHE_HOME", "SRKD_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    for name in ("SRKD_OFFLINE", "SRKD_TRUST", "SRKD_STORE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])  # naming code in a folder adds that folder


@pytest.fixture(autouse=True)
def table_of_data_sets() -> Iterator[None]:
    """Remove entries that a test adds to the catalog of data sets."""
    known = dict(DATASETS)
    yield
    DATASETS.clear()
    DATASETS.update(known)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


@pytest.fixture(scope="session")
def running_server() -> Iterator["Server"]:
    pytest.importorskip("obstore", reason="obstore is not installed")
    for package in ("moto", "flask_cors", "werkzeug"):
        pytest.importorskip(package, reason="moto's server, which speaks S3, is not installed")
    from tests.support.bucket_server import Server

    server = Server()
    yield server
    server.close()


@pytest.fixture
def server(running_server: "Server", monkeypatch: pytest.MonkeyPatch) -> Iterator["Server"]:
    """Start a real S3-compatible server with an empty bucket, and set SRKD_STORE to it."""
    running_server.settle()
    for name, value in running_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SRKD_STORE", f"s3://runs/{uuid4().hex}")
    yield running_server
    running_server.settle()
    leases.end_all()  # heartbeats would be counted among the requests of later tests


@pytest.fixture
def display() -> Display:
    return Display(Console(file=StringIO()))


@pytest.fixture
def six_minutes_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecast six minutes for a step of any group of networks, no time for anything else, and a quiet machine."""
    from srkd_bench.experiments.analysis.timing import Pace  # imports torch

    pace = Pace(step=360.0, event=0.0, validation=0.0, event_bytes=100)
    monkeypatch.setattr(
        "srkd_bench.experiments.analysis.forecast.paced", lambda runs, validation, place: pace
    )
    monkeypatch.setattr(
        "srkd_bench.experiments.analysis.forecast.seconds_a_pixel", lambda spec, scale, place: 0.0
    )
    monkeypatch.setattr("time.process_time", time.perf_counter)


@pytest.fixture
def srkd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Srkd:
    """Call the command in an empty folder with an empty store: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRKD_HOME", str(tmp_path / "home"))

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["srkd", *words])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call
