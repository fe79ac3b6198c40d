"""System calls that differ between POSIX and Windows. Other modules use none that Windows lacks."""

import ctypes
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
    import resource
except ImportError:  # Windows
    import msvcrt

    POSIX = False
else:
    POSIX = True


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # options of glibc's mallopt


def keep_freed_memory() -> None:
    """Let this process reuse freed memory instead of returning it to the system, which clears pages on next use.

    By default, glibc returns blocks above 128 kB to 32 MB, depending on the history of the process. Other C
    libraries are left as they are.
    """
    with suppress(OSError, AttributeError, TypeError):
        for option, size in ((_MMAP_THRESHOLD, 32 * 2**20), (_TRIM_THRESHOLD, 512 * 2**20)):
            ctypes.CDLL("libc.so.6").mallopt(option, size)


def open_lock(path: Path, *, make: bool) -> int:
    """Open a lock file, which must not be a symbolic link.

    Args:
        make: create the file if it is missing.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | (os.O_CREAT if make else 0)
    return os.open(path, flags, 0o644)


def try_lock(descriptor: int) -> bool:
    """Try to lock an open file; return False while another descriptor holds the lock.

    The system releases the lock when the descriptor is closed or its process ends, even by a crash.
    """
    with suppress(BlockingIOError if POSIX else PermissionError):
        if POSIX:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return True
    return False


def unlock(descriptor: int) -> None:
    """Release a lock, also where a child of this process has inherited the descriptor."""
    if POSIX:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    else:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk. Windows syncs files only."""
    if not POSIX and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if POSIX else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def leave_lost_terminal() -> None:
    """Discard further output if the terminal was closed, since writing to it would raise an error."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


def memory(*, peak: bool = False) -> int | None:
    """Return the memory of this process in bytes, now or at its peak; None on Windows.

    macOS reports the peak only, which is then also returned for now.
    """
    try:
        kind = "VmHWM:" if peak else "VmRSS:"
        return 1024 * int(Path("/proc/self/status").read_text(encoding="utf-8").split(kind)[1].split()[0])
    except OSError:
        if not POSIX:
            return None
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most


def forget_peak_memory() -> None:
    """Reset the peak of `memory` to the present use. Only Linux supports this."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
