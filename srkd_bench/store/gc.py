"""Measure the store and collect garbage."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srkd_bench.config.artifacts import ARTIFACTS
from srkd_bench.config.base import short
from srkd_bench.config.network import network_spec
from srkd_bench.core.errors import IntegrityError, SrkdError
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import (
    FAILED,
    FOLDERS,
    LOCK,
    MANIFEST,
    PART,
    SCORES,
    beside,
    download_of,
    lock_of,
    place_of_lock,
)
from srkd_bench.store.locks import alone, is_held
from srkd_bench.store.manifest import read_manifest
from srkd_bench.store.verify import delete, entries, identity, size_of

_LEFT = {"runs": "checkpoint of a finished run", "labels": "draft of finished labels"}  # by kind, in `work/`
HOUR = 3600.0  # seconds, after which no process still writes a small file


@dataclass(frozen=True)
class Waste:
    """Something that can be deleted.

    Args:
        what: description for the user.
        found: identity when it was found, to detect later changes.
    """

    path: Path
    what: str
    bytes: int
    found: tuple[int, int] | None


def usage(store: ArtifactStore) -> list[tuple[str, int, int]]:
    """Return (path, number of entries, bytes) of each of the store's folders."""
    rows = []
    for place in FOLDERS:
        paths = entries(store.home / place)
        if place == "downloads":
            paths = list({path.with_name(download_of(path)) for path in paths if path.suffix != LOCK})
        rows.append((place, len(paths), size_of(store.home / place)))
    return rows


def leftovers(store: ArtifactStore) -> list[Waste]:
    """Return the leftovers of killed processes and of earlier versions, which no process uses any more."""
    # A folder in `tmp/` is locked before it is created, and deleted before its lock is released.
    found = ((path, what) for path, what in _halves(store.home) if not is_held(lock_of(store.home, path)))
    return [waste_at(path, what) for path, what in found if path.exists()]


def _halves(home: Path) -> Iterator[tuple[Path, str]]:
    for folder in entries(home / "tmp"):
        yield folder, "left by a killed process"
    for part in entries(home):
        with suppress(FileNotFoundError):
            if part.suffix == PART and time.time() - part.stat().st_mtime > HOUR:
                yield part, "incomplete file"
    for folder in entries(home / "work"):
        place = place_of_lock(lock_of(home, folder).name) or ""
        if (home / place / MANIFEST).is_file():
            yield folder, f"{_LEFT[place.partition('/')[0]]}: {describe(home / place)}"
        else:
            yield from ((part, "incomplete checkpoint") for part in entries(folder) if part.suffix == PART)
    for kind in ARTIFACTS:
        for folder in entries(home / kind):
            if folder.is_dir() and not (folder / MANIFEST).exists():
                yield folder, f"incomplete: it has no {MANIFEST}"
    for path in entries(home / "cache"):
        yield path, "SR of a teacher, kept by an earlier version"
    for part in entries(home / "downloads"):
        whole = part.with_name(download_of(part))
        if part.suffix == PART and (whole.exists() or part != beside(whole, PART)):
            yield part, "partial download of a complete file"


def remove(store: ArtifactStore, waste: Waste) -> bool:
    """Remove waste unless another process now uses it; return whether it was removed."""
    path = waste.path
    with alone(lock_of(store.home, path)) as free:
        same = identity(path) == waste.found
        if free and same:
            delete(store, path)
        return free and same


def unused_locks(store: ArtifactStore) -> list[Path]:
    """Return the lock files that no process holds."""
    locks = [path for path in entries(store.home / "downloads") if path.suffix == LOCK]
    return [path for path in (*entries(store.home / "locks"), *locks) if not is_held(path)]


def remove_locks(store: ArtifactStore) -> int:
    """Remove the lock files that no process holds, and return their number."""
    removed = 0
    for lock in unused_locks(store):
        with alone(lock) as free:
            removed += free
    return removed


def describe(path: Path) -> str:
    """Describe a finished artifact or unfinished work by its manifest."""
    kind = path.parent.name
    if kind == "work" and path.name.startswith("labels-"):
        return "unfinished teacher labels"
    if kind == "work":
        state = "failed" if (path / FAILED).exists() else "unfinished"
        return f"{state} run, {checkpoints.steps_done(path):,} steps done"
    try:
        key = read_manifest(path)["key"]
        if kind == "runs":
            return f"{key['method']} seed {key['seed']}, {network_spec(key['model'])}"
        if kind == "weights":
            return f"{network_spec(key['model'])}, trained elsewhere"
        if kind == "data":
            return f"{'HR' if key['scale'] == 1 else 'LR'} images of {key['dataset']}"
        if kind == "labels":
            how = " (self-ensemble)" if key["ensemble"] else ""
            return f"labels of training images by {_owner(key['teacher'], path)}{how}"
        return _scores(key, path)
    except (IntegrityError, OSError, ValueError, LookupError, TypeError):
        return "corrupted: see `srkd store verify`"


def _scores(key: dict[str, Any], path: Path) -> str:
    dataset = json.loads((path / SCORES).read_bytes())["dataset"]
    name = "bicubic" if key["network"] == "bicubic" else _owner(key["network"], path)
    return f"scores on {dataset} of {name}" + (" (self-ensemble)" if key["self_ensemble"] else "")


def _owner(digest: str, path: Path) -> str:
    """Describe the network that an artifact at a path was made with."""
    owners = (path.parents[1] / kind / short(digest) for kind in ("runs", "weights"))
    return next((describe(folder) for folder in owners if folder.is_dir()), "a deleted network")


def refuse_other_suites(home: Path, keep: set[str]) -> None:
    """Raise if a running process works on something that is not kept, as its teacher and data are unknown."""
    for lock in entries(home / "locks"):
        place = place_of_lock(lock.name)
        if place is not None and place not in keep and is_held(lock):
            raise SrkdError(
                f"another process works on a suite that is not kept ({lock.name})",
                "name its suite too (--keep), or wait until it is done",
            )


def waste_at(path: Path, what: str) -> Waste:
    """Return a file or folder as waste, with its present size and identity."""
    return Waste(path, what, size_of(path), identity(path))
