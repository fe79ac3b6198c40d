"""Handle Ctrl-C and termination signals; delay them while something must not be interrupted."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from srkd_bench.core.errors import Stopped

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}  # 75 is what batch systems requeue
SAME_SECONDS = (
    1.0  # signals this close are one: a batch system tells the processes of a job, and so does their parent
)
_Handler = Callable[[int, FrameType | None], object] | int | None
_held = 0
_pending: tuple[int, bool] | None = None  # a signal that was put off, and whether it is the second
_first: float | None = None  # when the first signal came, by the monotonic clock
_patient = False


class Interrupted(BaseException):
    """A signal came; `exit_code` is what the process should end with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = EXIT_CODES[signal.Signals(number)]

    def stopped(self) -> Stopped:
        """Return the error that tells the user so."""
        return Stopped(f"Interrupted by {self}; finished work and checkpoints are kept", self.exit_code)


def only_once() -> None:
    """Ignore all signals after the first, however late: a worker is stopped by its starter and by the terminal."""
    global _patient
    _patient = True


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` when a signal comes meanwhile, once: blocks within others count as one.

    A second signal, a moment later, ends the process at once, or at the end of a `shielded` block. Does nothing
    outside the main thread, which alone gets signals.
    """
    global _first
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGTERM) is not _received:
        _first = None
    before = {number: signal.signal(number, _received) for number in EXIT_CODES}
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def noted(came: list[int]) -> Iterator[None]:
    """Append signals to a list instead of raising them: work that is shared stops where all who share it agree.

    Who is told of one raises `Interrupted`. Later ones then change nothing: torchrun and batch systems both send
    them, and a checkpoint is still to be written. One that nobody was told of is raised when the block has ended.
    """
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number)) for number in EXIT_CODES
    }
    try:
        yield
    except Interrupted:
        before.clear()
        raise
    finally:
        _restore(before)
    if came:
        raise Interrupted(came[0])


@contextmanager
def deadly() -> Iterator[None]:
    """Let signals end the process without a word: torch's long waits for other processes answer to nothing else."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in EXIT_CODES}
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def shielded() -> Iterator[None]:
    """Put off signals until the block has ended."""
    global _held, _pending
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _pending is not None and not _held:
            (number, insisted), _pending = _pending, None
            _deliver(number, insisted)


def _restore(handlers: Mapping[signal.Signals, _Handler]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _received(number: int, frame: object) -> None:
    global _first, _pending
    insisted = _first is not None
    if _first is None:
        _first = time.monotonic()
    elif _patient or time.monotonic() - _first < SAME_SECONDS:
        return
    if not _held:
        _deliver(number, insisted)
    elif _pending is None:
        _pending = number, insisted


def _deliver(number: int, insisted: bool) -> None:
    if insisted:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    raise Interrupted(number)
