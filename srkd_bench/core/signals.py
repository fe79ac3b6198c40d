"""Handle Ctrl-C and termination signals; delay them while something must not be interrupted."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from srkd_bench.core.errors import Stopped
from srkd_bench.core.portable import leave_lost_terminal

# Batch systems requeue 75. A terminal that is closed sends SIGHUP, Slurm SIGUSR1 if asked to; Windows has neither.
EXIT_CODES = {signal.SIGINT: 130} | {
    signal.Signals[name]: 75 for name in ("SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
}
SAME_SECONDS = 1.0  # signals this close count as one: batch systems and parent processes both send them
_Handler = Callable[[int, FrameType | None], object] | int | None
_held = 0
_pending: tuple[int, bool] | None = None  # a delayed signal, and whether it is the second
_first: float | None = None  # when the first signal came, by the monotonic clock
_patient = False


class Interrupted(BaseException):
    """A signal arrived; `exit_code` is the exit code for the process."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = EXIT_CODES[signal.Signals(number)]

    def stopped(self) -> Stopped:
        """Return the error that reports the interruption to the user."""
        return Stopped(f"Interrupted by {self}; finished work and checkpoints are kept", self.exit_code)


def only_once() -> None:
    """Ignore all signals after the first, however late: a worker is stopped by its starter and by the terminal."""
    global _patient
    _patient = True


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` once if a signal arrives inside the block. Nested blocks count as one.

    A second, later signal ends the process at once, or at the end of a `shielded` block. Has no effect outside
    the main thread, since only that receives signals.
    """
    global _first
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGTERM) is not _received:
        _first = None
    before = _handle_all(_received)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def noted(came: list[int]) -> Iterator[None]:
    """Append signals to a list instead of raising them: processes that train together must stop at the same step.

    The caller that handles a signal raises `Interrupted`. Later signals are then ignored: torchrun and batch
    systems both send them, and a checkpoint must still be written. An unhandled one is raised when the block ends.
    """

    def note(number: int, frame: object) -> None:
        leave_lost_terminal()
        came.append(number)

    before = _handle_all(note)
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
    """Let signals end the process silently: nothing else interrupts torch's long waits for other processes."""
    before = _handle_all(signal.SIG_DFL)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def shielded() -> Iterator[None]:
    """Delay signals until the block ends."""
    global _held, _pending
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _pending is not None and not _held:
            (number, insisted), _pending = _pending, None
            _deliver(number, insisted)


@contextmanager
def blocked() -> Iterator[None]:
    """Block signals until the block ends, and in processes started inside it until `unblock`; not on Windows."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, EXIT_CODES)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock() -> None:
    """Unblock signals that were blocked when this process started."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, EXIT_CODES)


def _handle_all(handler: _Handler) -> dict[signal.Signals, _Handler]:
    """Set the handler of all signals; return the old ones. SIGHUP stays ignored under nohup, likewise SIGUSR1."""
    handled = [
        number
        for number in EXIT_CODES
        if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) != signal.SIG_IGN
    ]
    return {number: signal.signal(number, handler) for number in handled}


def _restore(handlers: Mapping[signal.Signals, _Handler]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _received(number: int, frame: object) -> None:
    global _first, _pending
    leave_lost_terminal()
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
        signal.raise_signal(number)
    raise Interrupted(number)
