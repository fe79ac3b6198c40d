"""Who is at work on what: the locks that makers hold, looked at and taken without waiting."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from srkd_bench.core.files import writable

KINDS = {
    "runs": "run",
    "weights": "weights",
    "scores": "score",
    "data": "data",
    "work": "run",
    "cache": "cache",
    "peeked": "peeked",
}
BESIDE = re.compile(r"(\.sha256)?\.part|\.sha256|\.lock")  # what stands beside a download, after its name


def lock_of(home: Path, path: Path) -> Path:
    """Return the lock that is held by whoever makes something: known from its name alone, however broken it is."""
    kind, name = path.relative_to(home).parts[:2]
    if kind == "downloads":
        return path.with_name(download_of(path) + ".lock")
    if kind == "data":
        name = re.sub(r"_x[234]$", "", name)
    return home / "locks" / f"{KINDS[kind]}-{name}"


def download_of(path: Path) -> str:
    """Return the name of the download that a file in `downloads/` is, or stands beside."""
    end = re.search(rf"({BESIDE.pattern})$", path.name)
    return path.name[: end.start()] if end else path.name


@contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Hold a lock unless another process does; give whether it is held."""
    mine = FileLock(lock)
    with writable(lock), suppress(Timeout):
        lock.parent.mkdir(parents=True, exist_ok=True)
        mine.acquire(timeout=0)
    try:
        yield mine.is_locked
    finally:
        mine.release()


def is_held(lock: Path) -> bool:
    """Say whether another process holds a lock; nothing is made to find out."""
    if not lock.exists():
        return False
    with alone(lock) as mine:
        return not mine


def lock_of_scratch(folder: Path) -> Path:
    """Return the lock that is held by whoever writes in a folder of `tmp/`: a file, for NFS locks no folders."""
    return folder.parent.parent / "locks" / f"tmp-{folder.name}"


@contextmanager
def nobodys(folder: Path) -> Iterator[bool]:
    """Hold a folder of `tmp/` unless the process that writes there lives; give whether it is held."""
    if folder.is_symlink() or not folder.is_dir():  # it has just been published or removed
        yield False
        return
    try:
        descriptor = os.open(lock_of_scratch(folder), os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # there is a lock before there is a folder: its maker has gone
        yield folder.is_dir()
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = folder.is_dir()
    except BlockingIOError:
        free = False
    try:
        yield free
    finally:
        os.close(descriptor)
