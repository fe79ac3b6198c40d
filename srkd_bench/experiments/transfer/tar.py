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
    """The position of a file's content in the tar."""

    offset: int
    bytes: int


def add(tar: BinaryIO, name: str, path: Path, stamp: dict[str, Any], moved: Moved) -> None:
    """Append a file without owner, permissions or time, so that the same files give the same tar.

    Args:
        stamp: `bytes` and `sha256` that it must have.
        moved: called with the number of bytes written since the last call.
    Raises:
        IntegrityError: the file has changed or is missing.
    """
    wrong = IntegrityError(f"{path} is corrupted", REPAIR)
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
    """Append the end marker, so that a truncated tar is detected."""
    tar.write(bytes(2 * BLOCKSIZE))


def members(tar: BinaryIO, allowed: re.Pattern[str], largest: dict[str, int]) -> dict[str, Member]:
    """Return the files of a plain tar by name, after reading all headers and no content.

    Python's `tarfile` would follow links, sparse maps and extended headers of any size; here, any header other than
    that of a plain file with an allowed name is an error.

    Args:
        allowed: pattern of allowed names, including folders.
        largest: maximum size of a file in bytes, by its name without folders.
    Raises:
        IntegrityError: it has another kind of member, a duplicate name, or is truncated.
    """
    length = tar.seek(0, os.SEEK_END)
    tar.seek(0)
    found: dict[str, Member] = {}
    while True:
        block = tar.read(BLOCKSIZE)
        if len(block) < BLOCKSIZE:
            raise IntegrityError("it is truncated" if found else "it is not a plain tar file")
        if block == bytes(BLOCKSIZE):
            return found
        try:
            header = TarInfo.frombuf(block, "ascii", "strict")
        except (HeaderError, ValueError):
            raise IntegrityError("it is not a plain tar file") from None
        shown = repr(header.name[:80])
        if header.type not in (REGTYPE, AREGTYPE):
            raise IntegrityError(f"{shown} is not a plain file")
        if not allowed.fullmatch(header.name):
            raise IntegrityError(f"{shown} is not part of an export")
        if header.name in found:
            raise IntegrityError(f"{shown} occurs twice")
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
    """Copy up to `count` bytes, and return the sha256 of the copied bytes."""
    digest = hashlib.sha256()
    while size and (chunk := source.read(min(size, CHUNK))):
        digest.update(chunk)
        target.write(chunk)
        moved(len(chunk))
        size -= len(chunk)
    return digest.hexdigest()
