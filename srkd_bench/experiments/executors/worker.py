"""Worker processes, and how execution starts and stops, for all executors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from srkd_bench.core.progress import Display
from srkd_bench.core.signals import Interrupted
from srkd_bench.core.worker_progress import News, Relay
from srkd_bench.experiments.planning import status
from srkd_bench.experiments.planning.grid import Plans
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import RunOptions, Workplace


def begin(plan: Plans, place: Workplace) -> None:
    """Check that a plan can be executed in this process, and print how much of it is in the store.

    Raises:
        SrkdError: it cannot be executed.
    """
    from srkd_bench.experiments.runs.preflight import check

    check(plan, place)
    status.announce(plan, place.store, place.display)


@contextmanager
def stopping(display: Display, worker: str) -> Iterator[None]:
    """End the block with `Stopped` when a signal arrives."""
    try:
        yield
    except Interrupted as received:
        display.say(f"Stopping: every {worker} writes a checkpoint")
        raise received.stopped() from None


@dataclass(frozen=True)
class Desk:
    """The settings of a worker process; they can be sent to another machine.

    Args:
        home: of the store.
        threads: of torch, on a CPU.
    """

    home: Path
    device: str
    threads: int
    options: RunOptions


class WorkerProcess:
    """The state that a worker process keeps between tasks: its device, and a store with one heartbeat.

    Raises:
        SrkdError: there is no such device.
    """

    def __init__(self, desk: Desk) -> None:
        from srkd_bench.training.devices import choose_device

        self._desk = desk
        self._tell: Callable[[News], None]
        self._store = ArtifactStore(desk.home, say=lambda line: self._tell(News(line)))
        self._device = choose_device(desk.device)

    def workplace(self, title: str, tell: Callable[[News], None], threads: int | None = None) -> Workplace:
        """Return the workplace for a task: device, store and threads.

        Args:
            threads: of torch; the desk's if None.
        """
        import torch

        self._tell = tell
        torch.set_num_threads(threads or self._desk.threads)
        return Workplace(self._store, Relay(tell, title), self._device, self._desk.options)
