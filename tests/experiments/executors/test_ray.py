"""A suite on a small Ray cluster. `python -m tests.scale` kills its nodes, and more."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from srkd_bench.config.artifacts import Run
from srkd_bench.config.suite_file import load_suite
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.core.worker_progress import News
from srkd_bench.experiments.executors.ray import Preempted, RayDesk, carry_out
from srkd_bench.experiments.planning import planner, tasks
from srkd_bench.experiments.planning.parts import part
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.methods import user_code
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.checkpoints import steps_done
from srkd_bench.store.workspace import RunOptions
from tests.conftest import Srkd
from tests.scale.cluster import cluster
from tests.scale.stores import digests
from tests.support.tiny_suite import tiny_suite

if TYPE_CHECKING:
    from tests.support.bucket_server import Server

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an extra: srkd-bench[ray]")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Give the address of a cluster of two nodes with a CPU each."""
    with cluster(2) as nodes:
        yield nodes.address


@needs_ray
def test_a_cluster_gives_bit_identical_results_and_reports_divergence(
    srkd: Srkd, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("SRKD_TRUST", "1")
    tiny_suite(tmp_path, methods=["none", "hkd", "./broken.py"])
    hkd = Path(user_code.__file__).parent / "builtin" / "hkd.py"
    broken = (
        hkd.read_text(encoding="utf-8")
        .replace("class HKD", "class Broken")
        .replace("self.weight *", "float('nan') *")
    )
    (tmp_path / "broken.py").write_text(broken, encoding="utf-8")
    code, table, _ = srkd("run", "tiny.yaml")
    on_ray = ["run", "tiny.yaml", "--home", "other", "--executor", "ray", "--address", address]
    other, same_table, told = srkd(*on_ray)
    assert (code, other) == (6, 6)
    assert same_table == table
    assert "Ray: 2 nodes, 2 tasks at once" in told
    assert "error: broken seed 0: loss 'hkd' is nan at step 0" in told
    assert digests(tmp_path / "other") == digests(tmp_path / "home")
    assert len(digests(tmp_path / "other")) == 3 + 4  # networks, and their scores and bicubic's
    cards = [
        json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "other").glob("runs/*/card.json")
    ]
    assert {card["command"] for card in cards} == {f"srkd {' '.join(on_ray)}"}
    code, same_table, told = srkd(*on_ray, "--set", "methods=[none,hkd]")
    assert code == 0
    assert "Ray:" not in told  # all is there


@needs_ray
def test_ctrl_c_lets_every_worker_write_its_checkpoint(
    tmp_path: Path, address: str, store: ArtifactStore
) -> None:
    tiny_suite(tmp_path, "long", train={"steps": 1_000_000}, methods=["none", "dml"])
    command = [sys.executable, "-m", "srkd_bench", "run", "long.yaml", "--home", str(store.home)]
    driver = subprocess.Popen(
        [*command, "--executor", "ray", "--address", address], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert driver.stderr is not None
    begun: set[str] = set()
    while len(begun) < 2:  # with two slots, a student each
        begun |= {line for line in [driver.stderr.readline()] if re.match(r"Training \d+ student", line)}
        assert driver.poll() is None
    driver.send_signal(signal.SIGINT)
    told = driver.communicate(timeout=60)[1]
    assert driver.returncode == 130, told
    assert "hint: run the same command to resume: srkd run long.yaml" in told
    checkpoints = list(store.home.glob("work/*/step-*.pt"))
    assert len(checkpoints) == 2  # none is due before five minutes


@needs_ray
def test_an_address_without_a_cluster_is_one_error(srkd: Srkd) -> None:
    code, _, told = srkd("run", "smoke", "--executor", "ray", "--address", "127.0.0.1:1")
    assert code == 1
    assert "error: no Ray cluster at 127.0.0.1:1" in told
    assert "Traceback" not in told


def test_without_ray_the_extra_is_named(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, told = srkd("run", "smoke", "--executor", "ray")
    assert code == 1
    assert told.startswith("error: --executor ray needs Ray\nhint: python -m pip install '.[ray]'")


def test_conflicting_options_are_rejected(srkd: Srkd) -> None:
    for words in (["--address", "10.0.0.1:6379"], ["--executor", "ray", "--dry-run"]):
        code, out, told = srkd("run", "smoke", *words)
        assert (code, out) == (1, "")
        assert told.startswith("error: --")
        assert "hint: " in told


@pytest.fixture
def desk(store: ArtifactStore) -> RayDesk:
    """Give the place of a worker of this process."""
    settings = (("SRKD_OFFLINE", "1"),)
    return RayDesk(store.home, "cpu", 1, RunOptions(), None, settings, ("run", "tiny.yaml"))


@pytest.fixture
def tiny(store: ArtifactStore, display: Display, tmp_path: Path) -> Plan:
    """Give the plan of the tiny suite."""
    store.begin()
    return planner.plan(load_suite(str(tiny_suite(tmp_path))), store, display)


def post(leave: Callable[[str, News], None]) -> Any:
    """Return what a worker takes for the driver's post."""
    return SimpleNamespace(leave=SimpleNamespace(remote=leave))


def test_a_node_without_the_store_or_with_another_version_is_named(
    tiny: Plan, desk: RayDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["worker"])
    monkeypatch.setenv("SRKD_OFFLINE", "0")
    for wrong, why in (
        (replace(desk, mark=tmp_path / "elsewhere"), "cannot access the store"),
        (replace(desk, version="0.0.1"), "has srkd"),
    ):
        error = carry_out(None, tiny, wrong, post(lambda task, news: None))
        assert isinstance(error, SrkdError)
        assert why in error.message
        assert error.hint


def test_a_stopped_worker_writes_a_checkpoint_and_its_task_is_rescheduled(
    tiny: Plan, desk: RayDesk, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["worker"])
    monkeypatch.setenv("SRKD_OFFLINE", "0")
    longer = {"train": TrainSpec(batch=4, patch=8, steps=10**6)}
    tiny = replace(tiny, teachers=(Run(**dict(tiny.networks[0]) | longer),))
    teacher = tasks.tasks(tiny, store)[0]
    news: list[News] = []

    def leave(task: str, one: News) -> None:
        assert task == "teacher"
        news.append(one)
        if one.total == 10**6:
            os.kill(os.getpid(), signal.SIGTERM)

    for _ in range(2):
        with pytest.raises(Preempted):
            carry_out(teacher, part(tiny, teacher), desk, post(leave))
    first, second = (one.done for one in news if one.total == 10**6)
    assert f", resumed from step {first}" in "".join(one.text for one in news)
    assert second == steps_done(store.work(tiny.networks[0]))
    assert (os.environ["SRKD_OFFLINE"], sys.argv) == ("1", ["srkd", "run", "tiny.yaml"])


def test_a_worker_process_has_one_heartbeat_for_all_tasks(
    server: "Server", tiny: Plan, desk: RayDesk, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["worker"])
    desk = replace(desk, environment=())  # not offline

    def heartbeats() -> int:
        return sum("_beat" in thread.name for thread in threading.enumerate())

    before, told = heartbeats(), list[str]()
    for task in tasks.tasks(tiny, store):
        outcome = carry_out(task, part(tiny, task), desk, post(lambda name, news: told.append(name)))
        assert outcome == []
    assert heartbeats() == before + 1
    assert {"teacher", "seed 0: none, hkd"} <= set(told)  # each task's news are told under its name
