"""Execute a plan in several processes on this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Literal

from srkd_bench.core.errors import SrkdError, Stopped
from srkd_bench.core.signals import EXIT_CODES, Interrupted, blocked, interruptible, only_once, unblock
from srkd_bench.core.worker_progress import Board, News
from srkd_bench.experiments.executors.serial import do, do_all
from srkd_bench.experiments.executors.worker import Desk, WorkerProcess, begin, stopping
from srkd_bench.experiments.planning.agenda import Agenda, steps_made
from srkd_bench.experiments.planning.grid import Plans, cell_of, teachers_in
from srkd_bench.experiments.planning.tasks import Task, tasks
from srkd_bench.store.workspace import RunOptions, Workplace

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    import torch

    from srkd_bench.core.progress import Display
    from srkd_bench.store.artifact_store import ArtifactStore


DEATHS = 3  # kills at the same point of a task before it fails
Answer = News | SrkdError | list[SrkdError]
Life = Callable[[Connection, Connection], None]


class Worker:
    """A process that executes one task at a time; it starts with its first task, and again after it was killed.

    Closing the connection for tasks stops it after a checkpoint; so does the end of this process.

    Args:
        life: main function of the process: receives tasks from the first connection and answers on the second.
        start: start method; `forkserver` starts many processes without torch faster.
    """

    def __init__(self, name: str, life: Life, start: Literal["spawn", "forkserver"] = "spawn") -> None:
        self.name, self._life = name, life
        self._context = get_context("forkserver") if start == "forkserver" else get_context("spawn")
        self._process: BaseProcess | None = None

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_alive()

    def give(self, task: Task) -> None:
        """Send it a task."""
        if not self.is_alive:
            self.ended()  # it was killed while idle
        if self._process is None:
            self._start()
        with suppress(OSError):  # it was just killed, which the end of its answers will report
            self._orders.send(task)

    def _start(self) -> None:
        orders, self._orders = self._context.Pipe(duplex=False)
        self.answers, answers = self._context.Pipe(duplex=False)
        self._process = self._context.Process(target=self._life, args=(orders, answers))
        # A signal during Python's start is blocked until it can be handled.
        with blocked():
            self._process.start()
        orders.close()
        answers.close()

    def stop(self) -> None:
        """Ask it to stop."""
        if self._process is not None:
            self._orders.close()
            self.answers.close()

    def ended(self) -> int:
        """Wait for it to end and return its exit code, negative for a signal."""
        if self._process is None:
            return 0
        self._process.join()
        code, self._process = self._process.exitcode, None
        return code or 0


class Crew:
    """The workers and their tasks.

    Args:
        agenda: tasks that are not yet started.
        progress: returns the progress of a task.
    """

    def __init__(
        self, workers: Sequence[Worker], agenda: Agenda, board: Board, progress: Callable[[Task], int]
    ) -> None:
        self.agenda, self.idle, self.busy = agenda, list(workers), dict[Worker, Task]()
        self.failures: list[SrkdError] = []
        self.deaths = 0
        self._board, self._progress = board, progress
        self._stuck: dict[str, list[int]] = {}  # by task, its progress when it was killed

    def work(self) -> None:
        """Execute all tasks."""
        self.assign()
        while self.busy:
            self.listen()
            self.assign()

    def assign(self) -> None:
        """Send tasks whose dependencies are done to idle workers."""
        while self.idle and (task := self.agenda.take()):
            worker = self.idle.pop(0)
            self.busy[worker] = task
            worker.give(task)

    def listen(self) -> None:
        """Wait for messages and show them."""
        working = {worker.answers: worker for worker in self.busy}
        for answers in wait(list(working)):
            worker = working[answers]  # type: ignore[index]  # it is one of these
            try:
                answer: Answer = worker.answers.recv()
            except (EOFError, OSError):  # it may have been killed while sending
                self._has_died(worker)
                continue
            if isinstance(answer, News):
                self._board.see(worker.name, answer)
                continue
            if isinstance(answer, SrkdError):
                raise answer
            self.failures += answer
            self.agenda.done(self._leave(worker))

    def _leave(self, worker: Worker) -> Task:
        self._board.clear(worker.name)
        self.idle.append(worker)
        return self.busy.pop(worker)

    def _has_died(self, worker: Worker) -> None:
        task, code = self._leave(worker), worker.ended()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self.deaths += 1
        stopped = code < 0 or code in EXIT_CODES.values()
        if stopped and self._gets_further(task):
            self.agenda.again(task)
            self._board.see(worker.name, News(f"{worker.name} {how}; {task.name} is restarted"))
            return
        hint = "memory may have run out: fewer --jobs" if stopped else "its traceback is above"
        self.failures.append(SrkdError(f"{task.name}: its process {how}", hint))
        self.agenda.done(task)

    def _gets_further(self, task: Task) -> bool:
        """Return whether a killed task was killed less often than the limit at the same point."""
        points = self._stuck.setdefault(task.name, [])
        points.append(self._progress(task))
        return points[-DEATHS:] != [points[-1]] * DEATHS


def execute(plan: Plans, store: ArtifactStore, display: Display, options: RunOptions) -> list[SrkdError]:
    """Execute a plan, in a process for each device if there are several; see `Executor`.

    A task whose process is killed restarts from its checkpoint, as long as it makes progress.
    """
    from srkd_bench.training.devices import choose_devices

    devices = choose_devices(options.devices, options.jobs)
    place = Workplace(store, display, devices[0], options)
    begin(plan, place)
    return _do_all(plan, place, devices) if len(devices) > 1 else do_all(plan, place)


def _do_all(plan: Plans, place: Workplace, devices: Sequence[torch.device]) -> list[SrkdError]:
    import torch

    all_threads = torch.get_num_threads()
    desks = _desks(place, devices, all_threads)
    workers = [Worker(name, partial(_work, plan, desk, all_threads)) for name, desk in desks]
    board, agenda = Board(place.display), Agenda(tasks(plan, place.store, len(devices)))
    crew = Crew(workers, agenda, board, partial(steps_made, store=place.store))
    try:
        with stopping(place.display, "process"), board.shown():
            crew.work()
    finally:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.ended()
    return crew.failures


def _desks(place: Workplace, devices: Sequence[torch.device], all_threads: int) -> list[tuple[str, Desk]]:
    """Return the workers' names and desks."""
    # OMP_NUM_THREADS applies to each process; setting it gives the same bits with any number of processes.
    each = all_threads if "OMP_NUM_THREADS" in os.environ else max(1, all_threads // len(devices))
    counts, found = Counter(devices), []
    for number, device in enumerate(devices, start=1):
        name = str(device) if counts[device] == 1 else f"process {number}"
        found.append((name, Desk(place.store.home, str(device), each, place.options)))
    return found


def _work(plan: Plans, desk: Desk, all_threads: int, orders: Connection, answers: Connection) -> None:
    """Execute tasks until their connection is closed: the main function of a worker.

    Args:
        all_threads: of torch, for the only teacher, which is trained alone.
    """
    only_once()
    try:
        with interruptible():
            unblock()
            _do_orders(orders, answers, plan, desk, all_threads)
    except (Interrupted, Stopped) as stopped:
        sys.exit(stopped.exit_code)


def _do_orders(orders: Connection, answers: Connection, plan: Plans, desk: Desk, all_threads: int) -> None:
    def tell(answer: Answer) -> None:
        with suppress(OSError):  # the main process has ended, which the closed task connection also reports
            answers.send(answer)

    process = WorkerProcess(desk)
    received: SimpleQueue[Task] = SimpleQueue()
    Thread(target=_receive, args=(orders, received), daemon=True).start()
    while True:
        task = received.get()
        alone = task.kind == "teacher" and len(teachers_in(plan)) == 1
        place = process.workplace(task.name, tell, all_threads if alone else None)
        try:
            tell(do(task, cell_of(plan, task.cell), place))
        except Stopped:
            raise
        except SrkdError as error:
            tell(error)


def _receive(orders: Connection, received: SimpleQueue[Task]) -> None:
    """Forward tasks, and stop this process when the connection is closed."""
    with suppress(EOFError):
        while True:
            received.put(orders.recv())
    os.kill(os.getpid(), signal.SIGTERM)
