"""Thousands of tiny runs on dozens of simulated workers: srkd's own planning, scheduler, tasks, locks and store.

A worker takes tasks from the real scheduler, sleeps where a real one trains, and keeps tiny files in the real
store; at random moments some die.
"""

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console

from srkd_bench.config.artifacts import Run
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.files import write
from srkd_bench.core.progress import Display
from srkd_bench.core.worker_progress import Board
from srkd_bench.data.image_set import open_set, pixels_of
from srkd_bench.evaluation.scores import kept_scores, measurement
from srkd_bench.experiments.executors.processes import Crew, Worker
from srkd_bench.experiments.planning import planner
from srkd_bench.experiments.planning.agenda import Agenda, steps_made
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import Network, Task, tasks
from srkd_bench.store import checkpoints, layout
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.verify import verify
from tests.support.bucket_server import Server

SUITE = """
name: simulated
data: {{train: photos-test, test: [photos-test], scale: 2}}
teacher: {{model: {{n_feats: 1, n_resblocks: 4}}}}
student: {{n_feats: 1, n_resblocks: 4}}
train: {{batch: 4, patch: 8, steps: {steps}}}
methods: [none, hkd, ckd, rkd]
seeds: {seeds}
"""
STEPS = 4  # a checkpoint after each


@dataclass(frozen=True)
class World:
    """The environment of simulated workers.

    Args:
        seconds: duration of a group's training.
        deaths: average number per worker and second.
        journal: a folder with a log file for each worker.
        environment: variables of the bucket that the workers' stores share, if any.
    """

    home: Path
    seconds: float
    deaths: float
    journal: Path
    environment: Mapping[str, str]


class Laborer:
    """A simulated worker that follows the steps of `runs.ensure_group` and `runs.measured` without training."""

    def __init__(self, plan: Plan, world: World) -> None:
        self.plan, self.world, self.slept = plan, world, 0.0
        self.store = ArtifactStore(world.home)
        self._journal = (world.journal / str(os.getpid())).open("a", buffering=1)

    def live(self, orders: Connection, answers: Connection) -> None:
        """Execute tasks until there are no more."""
        with suppress(EOFError):
            while True:
                task: Task = orders.recv()
                begun, used, self.slept = time.monotonic(), time.process_time(), 0.0
                for name in self.plan.suite.data.names:
                    open_set(self.store, name, self.plan.suite.data.scale)
                if task.kind == "scores":
                    self._measure(task.networks, task.datasets)
                else:
                    self._train(task.runs)
                took = time.monotonic() - begun - self.slept
                self._note(kind=task.kind, took=took, used=time.process_time() - used)
                answers.send([])

    def _train(self, runs: list[Run]) -> None:
        store = self.store
        with store.locked(run.lock for run in runs if not store.has(run)):
            runs = [run for run in runs if not store.has(run)]
            store.take_up(runs)
            first = min((checkpoints.steps_done(store.work(run)) for run in runs), default=STEPS)
            for step in range(first, STEPS):
                self._note(step=step)
                time.sleep(self.world.seconds / STEPS)
                self.slept += self.world.seconds / STEPS
                for run in runs if step + 1 < STEPS else ():
                    checkpoints.write(store.work(run), step + 1, run.digest.encode())
                store.hand_on(runs, last=False)
            for run in runs:
                with store.writing(run) as folder:
                    write(folder / layout.WEIGHTS, run.digest)
                    write(folder / layout.EVENTS, "")
                    write(folder / layout.CARD, "{}")
                self._note(made=store.path(run).name)

    def _measure(self, networks: Iterable[Network], names: Iterable[str]) -> None:
        data, store = self.plan.suite.data, self.store
        for name in names or data.test:
            pixels = pixels_of(store, name) or ""
            for network in networks:
                wanted = measurement(network, pixels, data.scale, self_ensemble=False)
                if kept_scores(wanted, store) is not None:
                    continue
                with store.locked([wanted.lock]):
                    if kept_scores(wanted, store) is None:
                        with store.writing(wanted) as folder:
                            scores = {"image": dict.fromkeys(METRICS, 30.0)}
                            write(folder / layout.SCORES, json.dumps({"dataset": name, "images": scores}))
                            write(folder / layout.CARD, "{}")
                        self._note(made=store.path(wanted).name)

    def _note(self, **what: object) -> None:
        self._journal.write(json.dumps(what) + "\n")


def life(plan: Plan, world: World, orders: Connection, answers: Connection) -> None:
    """Run a simulated worker that is killed at a random moment."""
    os.environ.update(world.environment)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if world.deaths:
        signal.setitimer(signal.ITIMER_REAL, random.Random(os.getpid()).expovariate(world.deaths))
    Laborer(plan, world).live(orders, answers)


def simulate(
    runs: int, workers: int, seconds: float, deaths: float, where: Path | None, server: Server | None = None
) -> dict[str, Any]:
    """Create a number of runs; return the cost of each, and whether all exist and were created once.

    Args:
        seconds: that a group's training takes.
        deaths: of a worker, a second, on average.
        where: for the store: in memory, workers do not wait for each other's disk, as on machines of their own.
        server: each worker has a store of its own, and they share a bucket there. Its requests are counted; the
            times are its own, as it works in this process.
    """
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        environment = {**server.environment(), "SRKD_STORE": f"s3://runs/{folder.name}"} if server else {}
        os.environ.update(environment)
        world = World(folder / "store", seconds, deaths, folder / "journal", environment)
        world.journal.mkdir()
        (folder / "suite.yaml").write_text(
            SUITE.format(steps=STEPS, seeds=list(range(runs // 4))), encoding="utf-8"
        )
        store, display = ArtifactStore(world.home), Display(Console(file=StringIO()))
        images = open_set(store, "photos-test", 2)
        get_context("forkserver").set_forkserver_preload([__name__])
        clock = Clock()
        plan = planner.plan(load_suite(str(folder / "suite.yaml"), []), store, display)
        agenda = Agenda(tasks(plan, store, workers))
        planned = clock.lap()
        worlds = [replace(world, home=folder / f"store {i}") if server else world for i in range(workers)]
        hands = [
            Worker(f"worker {i}", partial(life, plan, one), "forkserver") for i, one in enumerate(worlds)
        ]
        crew = Crew(hands, agenda, Board(display), partial(steps_made, store=store))
        begun = time.monotonic()
        crew.work()
        wall, scheduled = time.monotonic() - begun, clock.lap()
        for hand in hands:
            hand.stop()
        for hand in hands:
            hand.ended()
        asked = len(server.asked) if server else 0
        clock.lap()
        store.look_again()
        for failure in crew.failures:
            print(f"{failure.message} ({failure.hint})")
        lost = len(tasks(plan, store, workers)) + len(crew.failures)
        planned += clock.lap()
        scores = [measurement(key, images.pixels, 2, self_ensemble=False) for key in (None, *plan.networks)]
        lost += sum(not store.has(key) for key in (*plan.networks, *scores))
        lines = (
            line for path in world.journal.iterdir() for line in path.read_text(encoding="utf-8").splitlines()
        )
        notes = [json.loads(line) for line in lines]
        made = Counter(note["made"] for note in notes if "made" in note)
        counted = {
            "runs": len(plan.students),
            "workers": workers,
            "wall seconds": round(wall, 1),
            "deaths": crew.deaths,
        }
        costs = {
            "plan, ms a run": 1000 * planned / runs,
            "scheduler, ms a run": 1000 * scheduled / runs,
            "store, ms a run": 1000 * sum(note.get("took", 0) for note in notes) / runs,
            "of that CPU, ms a run": 1000 * sum(note.get("used", 0) for note in notes) / runs,
        }
        outcome = {
            "lost": lost,
            "made twice": sum(count > 1 for count in made.values()),
            "store faults": len(verify(store, display).faults),
        }
        return counted | ({"requests a run": asked / runs} if server else costs) | outcome


class Clock:
    """CPU seconds of this process."""

    def __init__(self) -> None:
        self._last = time.process_time()

    def lap(self) -> float:
        """Return how many were used since the last time."""
        last, self._last = self._last, time.process_time()
        return self._last - last
