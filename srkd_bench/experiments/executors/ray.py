"""Execute a plan on a Ray cluster.

The nodes share the store: a folder mounted at the same path on all, or a bucket (SRKD_STORE).
"""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from srkd_bench import __version__
from srkd_bench.core.errors import SrkdError, Stopped, install_hint
from srkd_bench.core.progress import Display
from srkd_bench.core.signals import Interrupted, interruptible, shielded
from srkd_bench.core.worker_progress import Board, News
from srkd_bench.experiments.executors.serial import do
from srkd_bench.experiments.executors.worker import Desk, WorkerProcess, stopping
from srkd_bench.experiments.planning import status
from srkd_bench.experiments.planning.agenda import Agenda
from srkd_bench.experiments.planning.grid import Plans, cell_of
from srkd_bench.experiments.planning.parts import part
from srkd_bench.experiments.planning.tasks import Task, tasks
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import RunOptions

RETRIES = 20  # of a task whose worker is killed; each resumes from the last checkpoint
LOOK_SECONDS = 0.25
CONNECT_SECONDS = 10.0
GRACE = 300.0  # seconds for all workers' checkpoints
Outcome = list[SrkdError] | SrkdError


class Preempted(Exception):
    """A worker was stopped after writing its checkpoints: Ray restarts its task."""


@dataclass(frozen=True)
class RayDesk(Desk):
    """The settings of a worker process on any node.

    Args:
        mark: a folder of the driver's store that must be visible on each node; None for a bucket.
        environment: srkd's environment variables, with those of its bucket.
        command: the driver's arguments after `srkd`.
    """

    mark: Path | None
    environment: tuple[tuple[str, str], ...]
    command: tuple[str, ...]
    version: str = __version__


class Post:
    """An actor that passes the workers' messages to the driver."""

    def __init__(self) -> None:
        self._news: list[tuple[str, News]] = []

    def leave(self, task: str, news: News) -> None:
        """Store a message about a task."""
        self._news.append((task, news))

    def take(self) -> list[tuple[str, News]]:
        """Return the messages since the last call, in order."""
        taken, self._news = self._news, []
        return taken


def carry_out(task: Task | None, plan: Plans, desk: RayDesk, post: Any) -> Outcome:
    """Execute a task on this node; None only checks that the node can execute the plan.

    Returns:
        The failures, or an error that stops all other work.
    Raises:
        Preempted: SIGTERM arrived.
    """
    from srkd_bench.experiments.runs.preflight import check

    os.environ.update(desk.environment)
    sys.argv[:] = ["srkd", *desk.command]  # recorded in cards
    name, node = _name(task), socket.gethostname()

    def tell(news: News) -> None:
        post.leave.remote(name, news)

    try:
        with interruptible():
            _check_node(desk, node)
            place = _process(desk).workplace(f"on {node}", tell)
            if task is None:
                check(plan, place)
            return do(task, cell_of(plan, task.cell), place) if task else []
    except (Interrupted, Stopped):
        raise Preempted(f"{name} was stopped on {node}") from None
    except SrkdError as error:
        return error


_process = lru_cache(maxsize=1)(WorkerProcess)  # Ray reuses processes


def _check_node(desk: RayDesk, node: str) -> None:
    if desk.version != __version__:
        raise SrkdError(f"{node} has srkd {__version__}, not {desk.version}", "install the same on all nodes")
    if desk.mark is not None and not desk.mark.is_dir():
        raise SrkdError(
            f"{node} cannot access the store {desk.home}",
            "--home on a file system that all nodes share, or SRKD_STORE=s3://BUCKET/PREFIX",
        )


class Crew:
    """A cluster's workers for one plan.

    Args:
        slots: number of tasks that run at once; as many more are queued in Ray.
    """

    def __init__(self, ray: Any, plan: Plans, desk: RayDesk, slots: int, board: Board) -> None:
        self._ray, self._plan, self._desk, self._slots, self._board = ray, plan, desk, slots, board
        self._running: dict[Any, Task | None] = {}
        self._looked = 0.0
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self._post = ray.remote(Post).options(num_cpus=0, scheduling_strategy=here).remote()
        self._carry_out = ray.remote(carry_out)
        self._options = {
            "num_cpus": 1 if desk.device == "cuda" else desk.threads,
            "num_gpus": int(desk.device == "cuda"),
            "max_retries": RETRIES,
            "retry_exceptions": [Preempted],
        }

    def check(self) -> None:
        """Check on a node that the plan can be executed.

        Raises:
            SrkdError: it cannot be executed.
        """
        self._begin(None, self._plan)
        while self._running:
            for _, failures in self._ended():
                if failures:
                    raise failures[0]

    def work(self, agenda: Agenda) -> list[SrkdError]:
        """Execute all tasks and return the failures."""
        failures: list[SrkdError] = []
        while True:
            while len(self._running) < 2 * self._slots and (task := agenda.take()):
                self._begin(task, part(cell_of(self._plan, task.cell), task))
            if not self._running:
                return failures
            for ended, failed in self._ended():
                failures += failed
                if ended is not None:
                    agenda.done(ended)

    def stop(self) -> None:
        """Let all workers write their checkpoints and end."""
        for ref in self._running:
            self._ray.cancel(ref)
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running), timeout=GRACE)

    @shielded()
    def _begin(self, task: Task | None, plan: Plans) -> None:
        remote = self._carry_out.options(name=f"srkd {_name(task)}", **self._options)
        self._running[remote.remote(task, plan, self._desk, self._post)] = task

    @shielded()  # exceptions inside Ray are lost
    def _ended(self) -> list[tuple[Task | None, list[SrkdError]]]:
        """Wait briefly for tasks to end, and show messages; return the ended tasks and their failures."""
        done, _ = self._ray.wait(list(self._running), timeout=LOOK_SECONDS)
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            for name, news in self._ray.get(self._post.take.remote()):
                self._board.see(name, news)
        found = []
        for ref in done:
            task = self._running.pop(ref)
            found.append((task, self._failures(ref, task)))
            self._board.clear(_name(task))
        return found

    def _failures(self, ref: Any, task: Task | None) -> list[SrkdError]:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(ref)
        except errors.RayTaskError as error:
            if not isinstance(error, Preempted):
                raise  # a bug, with its traceback
            return [SrkdError(f"{_name(task)}: {error}, {RETRIES + 1} times", "")]
        except errors.RayError as error:
            reason = str(error).partition("\n")[0]
            hint = "memory may have run out there; Ray's logs say more"
            return [SrkdError(f"{_name(task)}: its worker died {RETRIES + 1} times: {reason}", hint)]
        if isinstance(outcome, SrkdError):
            raise outcome
        return outcome


def _name(task: Task | None) -> str:
    return task.name if task else "data"


def execute(plan: Plans, store: ArtifactStore, display: Display, options: RunOptions) -> list[SrkdError]:
    """Execute a plan on a cluster; see `Executor`.

    Args:
        options: the address `HOST:PORT` of the cluster; None uses RAY_ADDRESS or a cluster that runs on this
            machine, and otherwise starts one. Devices are `cpu`, `cuda` (one GPU per task), or `auto`: `cuda` if
            the cluster has GPUs. Jobs is the number of parallel tasks; None: as many as the cluster can run now.
    """
    with _cluster(options.address) as ray, ExitStack() as stack:
        stack.enter_context(interruptible())  # Ray has set a handler of its own
        cuda, threads = _has_cuda(ray, options.devices), int(os.environ.get("OMP_NUM_THREADS", "1"))
        shared = bool(os.environ.get("SRKD_STORE"))
        slots = options.jobs or _slots(ray, "GPU" if cuda else "CPU", 1 if cuda else threads)
        desk = RayDesk(
            store.home,
            "cuda" if cuda else "cpu",
            threads,
            options,
            None if shared else stack.enter_context(store.scratch()),
            # With a bucket, also its credentials.
            tuple(item for item in os.environ.items() if item[0].startswith(("SRKD_", "AWS_")[: 1 + shared])),
            tuple(sys.argv[1:]),
        )
        board = Board(display)
        crew = Crew(ray, plan, desk, slots, board)
        display.say(f"Ray: {len(ray.nodes())} nodes, {slots} tasks at once")
        try:
            with stopping(display, "worker"), board.shown():
                crew.check()
                status.announce(plan, store, display)
                return crew.work(Agenda(tasks(plan, store, slots)))
        finally:
            crew.stop()


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connect to a cluster for the duration of the block.

    Raises:
        SrkdError: Ray is not installed, or no cluster answers.
    """
    try:
        ray: Any = import_module("ray")
    except ImportError:
        raise SrkdError("--executor ray needs Ray", install_hint("ray")) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address in (None, "auto"):
        address = os.environ.get("RAY_ADDRESS")
    try:
        if address:  # Ray would wait 15 minutes for an address without a cluster
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        with shielded():
            ray.init(address or None, log_to_driver=False, logging_level="error")
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SrkdError(f"no Ray cluster at {address}: {reason}", "ray start --head; ray status") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _has_cuda(ray: Any, devices: str) -> bool:
    if devices not in ("auto", "cpu", "cuda", "all"):
        raise SrkdError(f"Ray chooses the GPU, not --device {devices}", "--device auto, cpu or cuda")
    here = ray.cluster_resources().get("GPU", 0) >= 1
    if devices in ("cuda", "all") and not here:
        raise SrkdError("the Ray cluster has no GPU", "--device cpu")
    return here and devices != "cpu"


def _slots(ray: Any, kind: str, each: int) -> int:
    """Return the number of tasks that can run in parallel, given their need of a node's resource."""
    found = sum(int(node["Resources"].get(kind, 0) // each) for node in ray.nodes() if node["Alive"])
    if not found:
        raise SrkdError(f"no node of the Ray cluster has {each} {kind}", "--jobs N for a cluster that grows")
    return found
