"""Reproducible tar files, read without trusting their content."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tarfile import AREGTYPE, BLOCKSIZE, REGTYPE, USTAR_FORMAT, HeaderError, TarInfo
from typing import Any, BinaryIO

from srkd_bench.core.errors import IntegrityError
from srkd_bench.store.manifest import REPAIR

CHUNK = 1 << 20  # bytes in memory at a time
MOST_FILES = 100_000
Moved = Callable[[int], None]


@dataclass(frozen=True)
class Member:
    """Where a file's content is in the tar."""

    offset: int
    bytes: int


def add(tar: BinaryIO, name: str, path: Path, stamp: dict[str, Any], moved: Moved) -> None:
    """Append a file without owner, rights or time, so that the same files are the same tar.

    Args:
        stamp: `bytes` and `sha256` that it must have.
        moved: told how many more bytes are written.
    Raises:
        IntegrityError: the file has changed or is gone.
    """
    wrong = IntegrityError(f"{path} is not what was written", REPAIR)
    if not path.is_file() or path.stat().st_size != stamp["bytes"]:
        raise wrong
    header = TarInfo(name)
    header.size = stamp["bytes"]
    tar.write(header.tobuf(USTAR_FORMAT))
    with path.open("rb") as file:
        if _copy(file, tar, header.size, moved) != stamp["sha256"]:
            raise wrong
    tar.write(bytes(-header.size % BLOCKSIZE))


def finish(tar: BinaryIO) -> None:
    """Append what marks the end, so that a tar that is cut short can be told."""
    tar.write(bytes(2 * BLOCKSIZE))


def members(tar: BinaryIO, allowed: re.Pattern[str], largest: dict[str, int]) -> dict[str, Member]:
    """Return the files of a plain tar by name, after reading all headers and no content.

    Python's `tarfile` would follow links, sparse maps and extended headers of any size; here, a header that is
    none of a plain file with an allowed name is the end.

    Args:
        allowed: what a name must look like, folders included.
        largest: most bytes of a file, by its name without folders.
    Raises:
        IntegrityError: something else than such files is in it, a name stands twice, or it is cut short.
    """
    length = tar.seek(0, os.SEEK_END)
    tar.seek(0)
    found: dict[str, Member] = {}
    while True:
        block = tar.read(BLOCKSIZE)
        if len(block) < BLOCKSIZE:
            raise IntegrityError("it is cut short" if found else "it is no plain tar")
        if block == bytes(BLOCKSIZE):
            return found
        try:
            header = TarInfo.frombuf(block, "ascii", "strict")
        except (HeaderError, ValueError):
            raise IntegrityError("it is no plain tar") from None
        shown = repr(header.name[:80])
        if header.type not in (REGTYPE, AREGTYPE):
            raise IntegrityError(f"{shown} is not a plain file")
        if not allowed.fullmatch(header.name):
            raise IntegrityError(f"{shown} is nothing that srkd exports")
        if header.name in found:
            raise IntegrityError(f"{shown} stands twice")
        if not 0 <= header.size <= largest.get(header.name.rpartition("/")[2], length):
            raise IntegrityError(f"{shown} is too large")
        if len(found) == MOST_FILES:
            raise IntegrityError(f"it holds more than {MOST_FILES:,} files")
        found[header.name] = Member(tar.tell(), header.size)
        tar.seek(header.size + -header.size % BLOCKSIZE, os.SEEK_CUR)  # past the end, nothing is read next


def extract(tar: BinaryIO, member: Member, path: Path, moved: Moved) -> None:
    """Write a member's content to a new file."""
    tar.seek(member.offset)
    with path.open("xb") as file:
        _copy(tar, file, member.bytes, moved)


def _copy(source: BinaryIO, target: BinaryIO, size: int, moved: Moved) -> str:
    """Copy so many bytes, or what is there, and return the sha256 of what was copied."""
    digest = hashlib.sha256()
    while size and (chunk := source.read(min(size, CHUNK))):
        digest.update(chunk)
        target.write(chunk)
        moved(len(chunk))
        size -= len(chunk)
    return digest.hexdigest()
