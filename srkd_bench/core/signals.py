"""Ctrl-C and SIGTERM: raised where they come, put off where something would be left half done."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}  # 75 is what batch systems requeue
_Handler = Callable[[int, FrameType | None], object] | int | None
_held = 0
_pending: int | None = None
_patient = _told = False


class Interrupted(BaseException):
    """A signal came; `exit_code` is what the process should end with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = EXIT_CODES[signal.Signals(number)]


def only_once() -> None:
    """Ignore all signals after the first: a worker is told to stop by its starter and by the terminal."""
    global _patient
    _patient = True


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` when a signal comes meanwhile; a second one ends the process at once.

    Does nothing outside the main thread, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
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
    """Put off `Interrupted` until the block has ended."""
    global _held, _pending
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _pending is not None and not _held:
            number, _pending = _pending, None
            raise Interrupted(number)


def _restore(handlers: Mapping[signal.Signals, _Handler]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _received(number: int, frame: object) -> None:
    global _pending, _told
    if _patient and _told:
        return
    _told = True
    for one in () if _patient else EXIT_CODES:
        signal.signal(one, signal.SIG_DFL)
    if _held:
        _pending = number
    else:
        raise Interrupted(number)
