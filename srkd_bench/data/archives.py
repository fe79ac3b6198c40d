"""Read images from folders and archives without unpacking them to disk."""

import gzip
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from srkd_bench.core.errors import IntegrityError, MissingError
from srkd_bench.data.images import SUFFIXES, find_images, is_image

MAX_MEMBER = 200 * 10**6  # bytes
MAX_TOTAL = 100 * 10**9  # bytes
MAX_MEMBERS = 200_000
MAX_DIRECTORY = 20 * 10**6  # bytes of a zip's directory, which is parsed whole, an object per member
MAX_HEADERS = 10**6  # bytes of headers before a member of a tar
MAX_RATIO = 200  # unpacked to packed bytes; images are already compressed, so a higher ratio means a zip bomb
SMALL = 10 * 10**6  # bytes that may have any ratio
LR_WORD = r"lr(bi[a-z]*|bd|dn)?(x?\d)?"  # in the name of a file or folder: `LR`, `LRbicx2`
_LEADS_ELSEWHERE = re.compile(r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)|\\")
# Control characters, bidirectional controls and lone surrogates, with which no report could be written.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_HINT = "srkd reads folders, zip, tar and tar.gz; unpack the images yourself if you trust it"
_UNREAD = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}  # compressions that no known data set uses
Reader = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """An image: its posix path inside the source, and its size in bytes."""

    path: str
    size: int


def images_in(source: Path) -> list[Entry]:
    """Return all images of a folder or archive, in the order in which they are read.

    An archive is recognised by its content and checked to its end. Hidden files and `__MACOSX` are left out. The
    paths of a folder begin with its own name.

    Raises:
        MissingError: there is no such source, or no image in it.
        IntegrityError: the archive is damaged or malicious.
    """
    with _readable(source):
        entries = [entry for entry, _ in _walk(source)]
    if not entries:
        raise MissingError(f"no images in {source}", f"srkd looks for {', '.join(sorted(SUFFIXES))}")
    return entries


def read_images(source: Path, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yield path and encoded bytes of each image in `paths`: one pass, in the order of `images_in`.

    Raises:
        IntegrityError: as `images_in`; or an image is missing or contradicts its header.
    """
    wanted = set(paths)
    with _readable(source):
        for entry, read in _walk(source):
            if entry.path in wanted:
                data = read()
                if len(data) != entry.size:
                    raise IntegrityError(f"{source}: {entry.path!r} lacks some of its {entry.size:,} bytes")
                wanted.remove(entry.path)
                yield entry.path, data
    if wanted:
        raise IntegrityError(f"{source}: {min(wanted)!r} is gone")


def select_hr(paths: Sequence[str]) -> list[str]:
    """Return the high-resolution images of a source, in their order.

    Images named as LR are excluded. If any image is named as HR, all others are excluded.
    """
    roles = {path: _role(path) for path in paths}
    wanted = "hr" if "hr" in roles.values() else ""
    return [path for path, role in roles.items() if role == wanted]


def _role(path: str) -> str:
    """Return `hr` or `lr` by the innermost file or folder name that indicates it, or an empty string.

    Recognised are `HR`, `Set5_HR`, `img_001_SRF_2_LR`, `LR_x2_symmetric`, `LRBI`, `LRbicx2`; a stem such as
    `babyx2` is LR unless a name indicates otherwise.
    """
    inner = PurePosixPath(path).with_suffix("")
    for name in reversed(inner.parts):
        tokens = re.split(r"[^a-z0-9]+", name.lower())
        lr = any(re.fullmatch(LR_WORD, token) for token in tokens)
        if lr != ("hr" in tokens):
            return "lr" if lr else "hr"
    return "lr" if re.search(r".x[2348]$", inner.name, re.IGNORECASE) else ""


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Turn the standard library's exceptions for broken or malicious bytes into an IntegrityError."""
    broken = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
    try:
        yield
    except broken as error:
        raise IntegrityError(f"cannot read {source}: {error}", _HINT) from error


def _walk(source: Path) -> Iterator[tuple[Entry, Reader]]:
    """Yield every image with a function that reads it, which must be called before the next iteration."""
    if not source.exists():
        raise MissingError(f"no file or folder {source}")
    return _folder(source) if source.is_dir() else _archive(source)


def _folder(source: Path) -> Iterator[tuple[Entry, Reader]]:
    for file in find_images(source, nested=True):
        inner = file.relative_to(source).as_posix()
        if _UNPRINTABLE.search(inner):
            raise IntegrityError(f"{source}: {inner!r} has an unsafe name", "rename it")
        yield Entry(f"{source.absolute().name}/{inner}", file.stat().st_size), file.read_bytes


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of an archive, as described by its headers; `fault` is the reason to reject it."""

    name: str
    size: int
    packed: int
    is_file: bool
    fault: str
    read: Reader


def _archive(source: Path) -> Iterator[tuple[Entry, Reader]]:
    """Yield an archive's images; reject the archive at the first member with a fault."""
    with source.open("rb") as file:
        magic = file.read(6)
    limit = min(MAX_TOTAL, max(SMALL, MAX_RATIO * source.stat().st_size))
    members = _zip(source) if magic.startswith((b"PK\x03\x04", b"PK\x05\x06")) else _tar(source, magic, limit)
    total, seen = 0, set[str]()
    for count, member in enumerate(members, 1):
        total += member.size
        path = str(PurePosixPath(member.name))
        faults = {
            "has an unsafe name": _LEADS_ELSEWHERE.search(member.name) or _UNPRINTABLE.search(member.name),
            member.fault: member.fault,
            f"is larger than {MAX_MEMBER:,} bytes": not 0 <= member.size <= MAX_MEMBER,
            f"grows more than {MAX_RATIO} times": member.size > max(SMALL, MAX_RATIO * member.packed),
            f"exceeds the {limit:,} bytes that an archive of this size may hold": total > limit,
            f"exceeds the {MAX_MEMBERS:,} members that an archive may have": count > MAX_MEMBERS,
            "is there twice": path in seen,
        }
        for fault, found in faults.items():
            if found:
                raise IntegrityError(f"{source}: member {member.name!r} {fault}", _HINT)
        if member.is_file and is_image(PurePosixPath(path)):
            seen.add(path)
            yield Entry(path, member.size), member.read


def _zip(source: Path) -> Iterator[_Member]:
    with _Directory(source) as file, zipfile.ZipFile(file) as archive:
        file.limit = MAX_MEMBER
        for info in archive.infolist():
            fault, kind = "", stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 1:
                fault = "is encrypted"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                fault = "is packed otherwise than by deflate"  # which alone stops at the declared size
            elif kind == stat.S_IFLNK:  # never followed; a licence may be one
                fault = "is a link in an image's place" if is_image(PurePosixPath(info.filename)) else ""
            elif kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
                fault = "is neither a plain file nor a folder"
            read = partial(_read_zip, archive, info)
            name = info.orig_filename  # `filename` ends at a NUL
            yield _Member(name, info.file_size, info.compress_size, not name.endswith("/"), fault, read)


class _Directory(io.BufferedReader):
    """A zip file whose single reads are limited to `limit` bytes: first for its directory, then for a member."""

    def __init__(self, source: Path) -> None:
        super().__init__(io.FileIO(source))
        self.limit = MAX_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.limit:
            raise IntegrityError(f"{self.name} has a directory of more than {self.limit:,} bytes", _HINT)
        return super().read(size)


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        return file.read(info.file_size)  # without a size it would unpack everything


def _tar(source: Path, magic: bytes, limit: int) -> Iterator[_Member]:
    with _unpacked(source, magic) as unpacked:
        stream = _Bounded(unpacked, source, limit)
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            while info := archive.next():
                archive.members, archive.pax_headers = [], {}  # type: ignore[attr-defined]  # both would only grow
                fault = ""
                if info.issym() or info.islnk():  # as in a zip
                    fault = "is a link in an image's place" if is_image(PurePosixPath(info.name)) else ""
                elif info.issparse() or not (info.isreg() or info.isdir()):
                    fault = "is neither a plain file nor a folder"
                read = partial(_read_tar, archive, info, stream)
                yield _Member(info.name, info.size, info.size, info.isreg(), fault, read)
                stream.budget = MAX_HEADERS
        if stream.latest != bytes(tarfile.BLOCKSIZE):  # tarfile takes a broken header for the end
            raise IntegrityError(f"{source} ends too early", _HINT)
        stream.budget = limit
        while stream.read(tarfile.RECORDSIZE):  # up to gzip's checksum
            pass


def _read_tar(archive: tarfile.TarFile, info: tarfile.TarInfo, stream: "_Bounded") -> bytes:
    stream.budget = info.size
    file = archive.extractfile(info)
    return file.read(info.size) if file else b""


def _unpacked(source: Path, magic: bytes) -> io.BufferedIOBase:
    if unread := [name for start, name in _UNREAD.items() if magic.startswith(start)]:
        raise IntegrityError(f"cannot read {source}: it is compressed by {unread[0]}", _HINT)
    return gzip.GzipFile(source) if magic.startswith(b"\x1f\x8b") else source.open("rb")


class _Bounded(io.BufferedIOBase):
    """A forward-only decompressed stream that raises before too much is read or unpacked."""

    def __init__(self, stream: io.BufferedIOBase, source: Path, limit: int) -> None:
        self.stream, self.source, self.limit = stream, source, limit
        self.budget = MAX_HEADERS  # bytes that may still be read (skipping is free) until it is reset
        self.latest = b""  # result of the last read

    def tell(self) -> int:
        return self.stream.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._allow(offset - self.tell())
        return self.stream.seek(offset)

    def read(self, size: int | None = -1, /) -> bytes:
        size = -1 if size is None else size
        self.budget -= size
        self._allow(size if self.budget >= 0 else -1)
        self.latest = self.stream.read(size)
        return self.latest

    def _allow(self, step: int) -> None:
        if not 0 <= step <= MAX_MEMBER or self.tell() + step > self.limit:
            raise IntegrityError(f"{self.source} grows more than {MAX_RATIO} times, or a header lies", _HINT)
