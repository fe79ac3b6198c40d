"""Export finished runs and scores to a file, and import them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from srkd_bench.config.artifacts import Labels, Pack
from srkd_bench.config.base import DIGITS, short
from srkd_bench.config.suite import Suite
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.files import replacing, room_for, writable
from srkd_bench.core.portable import sync
from srkd_bench.core.progress import Display
from srkd_bench.data.catalog import DATASETS
from srkd_bench.experiments.planning.requirements import needed
from srkd_bench.experiments.transfer import tar as tar_module
from srkd_bench.experiments.transfer.validation import KINDS, LARGEST, checked
from srkd_bench.store.artifact_store import ArtifactStore, find_run
from srkd_bench.store.layout import FILES, MANIFEST, lock_of
from srkd_bench.store.manifest import read_manifest, stamp

_NAME = re.compile(
    "|".join(
        f"{kind}/[0-9a-f]{{{DIGITS}}}/({'|'.join(map(re.escape, {*FILES[kind], MANIFEST}))})"
        for kind in KINDS
    )
)


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    Args:
        new, here: paths in the store of imported artifacts, and of those that existed before and were skipped.
        datasets: names of the data sets that the artifacts depend on and that are not available locally.
    """

    new: list[str]
    here: list[str]
    datasets: list[str]


def finished(
    store: ArtifactStore,
    digits: Iterable[str],
    suites: Sequence[Suite],
    display: Display,
    *,
    labels: bool = True,
) -> list[str]:
    """Return the paths in the store of the given runs with their scores, and of suites' finished artifacts.

    Args:
        digits: an unambiguous prefix of each run's id.
        suites: one, or the cells of a grid.
        labels: include the suites' teacher labels, which are large.
    Raises:
        MissingError: no run has this prefix, nothing of the suite is finished, or its data is missing.
        SrkdError: several runs have this prefix.
    """
    runs = {find_run(store, one)[0] for one in digits}
    places = {f"runs/{name}" for name in runs}
    for name, key in store.keys("scores") if runs else []:
        if short(key["network"]) in runs:
            places.add(f"scores/{name}")
    if suites:
        wanted = {key.place: key for suite in suites for key in needed(store, suite, display)}
        keys = [key for key in wanted.values() if key.folder in KINDS and store.has(key)]
        if not any(key.folder == "runs" for key in keys):
            raise MissingError(f"no run of suite {suites[0].name} is finished", "srkd ls runs")
        places |= {key.place for key in keys if labels or key.folder != Labels.folder}
    return sorted(places)


def contents(places: Iterable[str]) -> str:
    """Describe artifacts by their numbers: `4 runs, 5 sets of scores`."""
    counts = Counter(place.partition("/")[0] for place in places)
    words = {"runs": ("run", "runs"), "weights": ("loaded network", "loaded networks")}
    words["scores"] = ("set of scores", "sets of scores")
    words["labels"] = ("set of teacher labels", "sets of teacher labels")
    listed = (f"{counts[kind]} {words[kind][counts[kind] > 1]}" for kind in KINDS if counts[kind])
    return ", ".join(listed) or "nothing"


def export(store: ArtifactStore, places: list[str], path: Path, display: Display) -> int:
    """Write artifacts to a tar atomically, each file verified against its manifest; return the tar's size.

    The same artifacts give a bit-identical tar.

    Raises:
        IntegrityError: a file is corrupted. SrkdError: the tar cannot be written.
    """
    files: dict[str, dict[str, Any]] = {}
    for place in sorted(places):
        store.bring(place)
        listed = read_manifest(store.home / place)["files"] | {MANIFEST: stamp(store.home / place / MANIFEST)}
        files |= {f"{place}/{name}": listed[name] for name in sorted(listed)}
    total, done = sum(one["bytes"] for one in files.values()), 0
    with replacing(path, total) as tar, display.bar(f"writing {path.name}", bytes=True) as tick:

        def moved(count: int) -> None:
            nonlocal done
            done += count
            tick(done, total)

        for name, expected in files.items():
            tar_module.add(tar, name, store.home / name, expected, moved)
        tar_module.finish(tar)
    sync(path.absolute().parent)
    return path.stat().st_size


def take_in(store: ArtifactStore, path: Path, display: Display) -> Imported:
    """Import a file that `export` wrote on any machine; artifacts that exist are skipped.

    The file is not trusted, and nothing is imported before all of it is validated: names, manifests, digests,
    checksums, and the format of weights, scores and keys. It cannot be verified that its scores were really
    measured.

    Raises:
        MissingError: no such file. IntegrityError: the file is incomplete, or not in the format of `export`.
    """
    if not path.is_file():
        raise MissingError(f"no file '{path}'", "`srkd store export` writes one")
    try:
        tar = path.open("rb")
    except OSError as error:
        raise SrkdError(f"cannot read '{path}': {error.strerror}") from None
    with tar, store.scratch() as folder:
        try:
            places = _unpacked(store, tar, folder, display)
            datasets = {name for place in places if (name := checked(folder, place)) in DATASETS}
        except IntegrityError as error:
            raise IntegrityError(
                f"nothing was imported from {path}: {error.message}",
                "import only files that `srkd store export` wrote; get the file again",
            ) from None
        new = [place for place in places if _published(store, folder / place, store.home / place)]
    named = (one for one in datasets if not DATASETS[one].builtin)
    absent = (one for one in named if not store.has(Pack(dataset=one, scale=1)))
    return Imported(new, [place for place in places if place not in new], sorted(absent))


def _unpacked(store: ArtifactStore, tar: BinaryIO, folder: Path, display: Display) -> list[str]:
    """Unpack a tar into a folder, and return the artifacts' paths inside it."""
    found = tar_module.members(tar, _NAME, LARGEST)
    total, done = sum(member.bytes for member in found.values()), 0
    room_for(store.home, total)
    with display.bar("reading", bytes=True) as tick, writable(folder, total):

        def moved(count: int) -> None:
            nonlocal done
            done += count
            tick(done, total)

        for name, member in found.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            tar_module.extract(tar, member, folder / name, moved)
    if not found:
        raise IntegrityError("it holds nothing")
    return sorted({name.rpartition("/")[0] for name in found})


def _published(store: ArtifactStore, folder: Path, target: Path) -> bool:
    """Move a validated artifact into the store unless it exists; return whether it is new."""
    with store.locked([lock_of(store.home, target).name]):
        if (target / MANIFEST).is_file():
            return False
        store.publish(folder, target)
        return True
