"""File locks between processes.

A lock file that no process holds can be removed at any moment. A process that takes a lock therefore checks that
the path still leads to the file it has locked, and otherwise starts again with the new file.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srkd_bench.core.files import writable
from srkd_bench.core.portable import POSIX, open_lock, try_lock, unlock

PATIENCE = 2.0  # seconds before waiting for another process is announced
PAUSE = 0.05  # seconds between two attempts


@contextmanager
def held(lock: Path, announce: Callable[[], None] = lambda: None, *, remove: bool = False) -> Iterator[None]:
    """Hold a lock; wait while another process holds it.

    Args:
        announce: called once if the wait is long.
        remove: remove the file at the end.
    """
    announced, due = False, time.monotonic() + PATIENCE
    with writable(lock):
        while (descriptor := _take(lock)) is None:
            if not announced and time.monotonic() >= due:
                announce()
                announced = True
            time.sleep(PAUSE)
    try:
        yield
    finally:
        _let_go(descriptor, lock if remove else None)


@contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Hold a lock unless another process does, and remove its file at the end; yield whether it is held."""
    with writable(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _take(lock)
    try:
        yield descriptor is not None
    finally:
        _let_go(descriptor, lock)


def is_held(lock: Path) -> bool:
    """Return whether another process holds a lock, without creating its file."""
    with writable(lock), suppress(FileNotFoundError):
        descriptor = _take(lock, make=False)
        _let_go(descriptor)
        return descriptor is None
    return False


def _take(lock: Path, *, make: bool = True) -> int | None:
    """Return a descriptor that holds a lock, or None if another process holds it."""
    while True:
        descriptor = open_lock(lock, make=make)
        try:
            is_taken = try_lock(descriptor)
            with suppress(FileNotFoundError):
                if is_taken and os.path.samestat(os.fstat(descriptor), lock.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not is_taken:
            return None


def _let_go(descriptor: int | None, remove: Path | None = None) -> None:
    if descriptor is None:
        return
    if remove is not None:
        with suppress(OSError):  # an empty file is harmless
            remove.unlink()
    unlock(descriptor)
    os.close(descriptor)
    if remove is not None and not POSIX:  # Windows cannot remove an open file, so no process holds it now
        with suppress(OSError):
            remove.unlink()
