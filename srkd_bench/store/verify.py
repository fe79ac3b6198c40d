"""Verify every file of the store and remove corrupted ones."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from srkd_bench.config.artifacts import ARTIFACTS
from srkd_bench.core.files import writable
from srkd_bench.core.progress import Display
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.downloads import checksum_of, stamped
from srkd_bench.store.layout import FAILED, MANIFEST, PART, SHA256, beside, download_of, lock_of
from srkd_bench.store.locks import alone
from srkd_bench.store.manifest import parsed, place_at, place_of

CHUNK = 1 << 20  # bytes in memory at a time
Hasher = Callable[[Path], str]


@dataclass(frozen=True)
class Fault:
    """A corrupted artifact, checkpoint or download."""

    path: Path
    problem: str


@dataclass
class Findings:
    """The result of a verification.

    Args:
        unverified: downloads without a recorded checksum.
    """

    files: int = 0
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)
    unverified: list[Path] = field(default_factory=list)


def verify(store: ArtifactStore, display: Display) -> Findings:
    """Read every byte in the store, and report corrupted files. Nothing is changed.

    Files that another process is writing are not faults: they are in `tmp/`, in a `.part`, or appear complete.
    """
    found, home = Findings(), store.home
    things = [*_artifacts(home), *_checkpoints(home), *_downloads(home)]
    total = sum(map(size_of, things))
    with display.bar(f"checking {home}", bytes=True) as tick:

        def sha256(path: Path) -> str:
            found.files += 1
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    found.bytes += len(chunk)
                    tick(found.bytes, max(total, found.bytes))
            return digest.hexdigest()

        for thing in things:
            if problem := _problem(thing, sha256):
                found.faults.append(Fault(thing, problem))
            checked = thing.suffix == SHA256 or beside(thing, SHA256).exists()
            if thing.parent.name == "downloads" and not checked and thing.exists():
                found.unverified.append(thing)
    return found


def repair(store: ArtifactStore, fault: Fault) -> bool:
    """Remove a corrupted item, so that it is created again; return whether it was removed.

    It is kept while a process is creating the same item.
    """
    path = fault.path
    with alone(lock_of(store.home, path)) as mine:
        if mine and _problem(path):  # unless it was recreated in the meantime
            delete(store, path)
        return mine


def delete(store: ArtifactStore, path: Path) -> None:
    """Remove a folder of the store, or a file and its recorded checksum."""
    with writable(path):
        if path.is_dir():
            store.discard(path)
        else:
            path.unlink(missing_ok=True)
            beside(path, SHA256).unlink(missing_ok=True)


_sha256 = partial(checksum_of, algorithm="sha256")


def artifact_problem(folder: Path, sha256: Hasher = _sha256) -> str:
    """Describe the fault of an artifact; empty if it is intact.

    Args:
        sha256: hashes a file; called once for each file to be read.
    Raises:
        OSError: a file cannot be read.
    """
    here = {path.name: path for path in folder.iterdir()}
    if MANIFEST not in here:
        return f"{MANIFEST} is missing"
    sha256(folder / MANIFEST)
    manifest = parsed((folder / MANIFEST).read_bytes())
    place = place_of(folder.parent.name, manifest["key"]) if manifest else ""
    if manifest is None or place != place_at(folder):
        return f"{MANIFEST} is corrupted" + (f": it belongs to {place}" if place else "")
    files: dict[str, Any] = manifest["files"]
    problems = [f"{name} is missing" for name in files if name not in here]
    problems += [f"{name} does not belong to it" for name in here if name not in files and name != MANIFEST]
    wrong = [name for name in files if name in here and not _fits(here[name], files[name], sha256)]
    problems += [f"{name} is corrupted" for name in wrong]
    return ", ".join(sorted(problems))


def _fits(path: Path, stamp: Any, sha256: Hasher) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    return bool(stamp == {"bytes": path.stat().st_size, "sha256": sha256(path)})


def _artifacts(home: Path) -> Iterator[Path]:
    for kind in ARTIFACTS:
        yield from (path for path in entries(home / kind) if path.is_dir())


def _checkpoints(home: Path) -> Iterator[Path]:
    for folder in entries(home / "work"):
        yield from (one for one in entries(folder) if one.name == FAILED or one.match("step-*.pt"))


def _downloads(home: Path) -> Iterator[Path]:
    """Yield downloads, and the checksums of those that are missing."""
    for path in entries(home / "downloads"):
        if path.is_file() and (download_of(path) == path.name or _is_left_alone(path)):
            yield path


def _is_left_alone(path: Path) -> bool:
    """Return whether this is a checksum without its file, complete or partial."""
    file = path.with_suffix("")
    return path.suffix == SHA256 and not file.exists() and not beside(file, PART).exists()


def entries(folder: Path) -> list[Path]:
    """Return the sorted entries of a folder; none if it is not a folder."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; files deleted in the meantime count as 0."""
    total = 0
    files = (Path(top) / name for top, _, names in os.walk(path) for name in names)
    for file in files if path.is_dir() else [path]:
        with suppress(FileNotFoundError):
            total += file.lstat().st_size
    return total


def _problem(thing: Path, sha256: Hasher = _sha256) -> str:
    """Describe the fault of an item; empty if it is intact. Check again if it was replaced in the meantime."""
    while (before := identity(thing)) is not None:
        try:
            problem = _examined(thing, sha256)
        except OSError as error:
            problem = f"cannot be read ({error.strerror or error})"
        if not problem or identity(thing) == before:
            return problem
    return ""


def _examined(thing: Path, sha256: Hasher) -> str:
    if thing.parent.name in ARTIFACTS:
        return artifact_problem(thing, sha256)
    if thing.suffix == SHA256:
        return f"{thing.stem} is missing" if _is_left_alone(thing) else ""
    digest = sha256(thing)
    if thing.parent.name == "downloads":
        return "" if stamped(thing) in (None, digest) else "differs from the download"
    if thing.suffix == ".pt":
        return "" if checkpoints.promises(thing.name, digest) else "is corrupted"
    try:
        whole = isinstance(json.loads(thing.read_bytes())["error"], str)
    except (ValueError, LookupError, TypeError, RecursionError):
        whole = False
    return "" if whole else "is corrupted"


def identity(path: Path) -> tuple[int, int] | None:
    """Return a value that changes when a file is changed or replaced; None if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns  # inode numbers are reused
