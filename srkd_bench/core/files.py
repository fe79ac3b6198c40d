"""Write files atomically; report full or read-only disks clearly."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from srkd_bench.core.errors import SrkdError
from srkd_bench.core.units import size

_KEPT = "finished work is kept; run the same command to resume"
_HINTS = {
    errno.ENOSPC: f"free disk space there: {_KEPT}",
    errno.EDQUOT: f"free space in your quota: {_KEPT}",
    errno.EFBIG: f"raise the file size limit (ulimit -f): {_KEPT}",
    errno.ENOENT: f"was the folder or its disk removed? restore it: {_KEPT}",
    errno.EIO: f"the disk reports an error: {_KEPT}",
}
_ELSEWHERE = "choose another place (for the store: --home or SRKD_HOME), or get write permission"


@contextmanager
def writable(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn an OSError about writing `path` into an SrkdError with the path and the space needed.

    Args:
        needed: bytes, if known.
    """
    try:
        yield
    except OSError as error:
        room = f", {size(needed)} needed" if needed is not None else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            room += f", {size(free(path))} free"
        hint = _HINTS.get(error.errno or 0, _ELSEWHERE)
        raise SrkdError(f"cannot write {path}: {error.strerror or error}{room}", hint) from error


def write(path: Path, content: bytes | memoryview | str) -> None:
    """Write a file into a private folder without syncing it; the caller syncs the folder when publishing it.

    Raises:
        SrkdError: the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with writable(path, len(data)):
        path.write_bytes(data)


def put(path: Path, content: bytes | memoryview | str) -> None:
    """Write or replace a file atomically: it is complete and synced before it appears under its name.

    Raises:
        SrkdError: the file cannot be written; nothing is changed.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path, len(data)) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, needed: int) -> Iterator[BinaryIO]:
    """Open a temporary file that is synced and replaces `path` when the block ends without an error.

    Several processes may write the same path at once: each has its own temporary file, and the last one wins.

    Raises:
        SrkdError: the file cannot be written; nothing is changed.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with writable(path, needed):
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def free(path: Path) -> int:
    """Return the bytes that are free where `path` is, or would be."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def room_for(path: Path, needed: int) -> None:
    """Raise an SrkdError unless `needed` bytes are free where `path` is, or would be."""
    if (left := free(path)) < needed:
        raise SrkdError(
            f"not enough space in {path}: {size(needed)} needed, {size(left)} free",
            "free disk space, or choose another folder with --home or SRKD_HOME",
        )
