"""Keeping the store small: how much it holds, what killed processes left, and what no suite needs."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srkd_bench import adopt, checkpoint, planning
from srkd_bench.config import Pack, Suite
from srkd_bench.datasets import find
from srkd_bench.disk import writable
from srkd_bench.download import sidecar
from srkd_bench.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.locks import KINDS, alone, download_of, is_held, lock_of, lock_of_scratch, nobodys
from srkd_bench.manifest import MANIFEST, read_manifest
from srkd_bench.networkspec import network_spec
from srkd_bench.packs import pixels_of
from srkd_bench.progress import Display
from srkd_bench.spec import Artifact
from srkd_bench.store import ArtifactStore
from srkd_bench.verify import ARTIFACTS, identity

PLACES = (*ARTIFACTS, "downloads", "work", "cache", "peeked", "tmp")


@dataclass(frozen=True)
class Waste:
    """Something that can go.

    Args:
        what: what it is, for people.
        found: tells whether it has changed since.
    """

    path: Path
    what: str
    bytes: int
    found: tuple[int, int] | None


def usage(store: ArtifactStore) -> list[tuple[str, int, int]]:
    """Return (place, how many, bytes) of each of the store's folders."""
    rows = []
    for place in PLACES:
        paths = _inside(store.home / place)
        count = len(
            {download_of(path) for path in paths if path.suffix != ".lock"} if place == "downloads" else paths
        )
        rows.append((place, count, size_of(store.home / place)))
    return rows


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    files = (Path(top) / name for top, _, names in os.walk(path) for name in names)
    for file in files if path.is_dir() else [path]:
        with suppress(FileNotFoundError):
            total += file.lstat().st_size
    return total


def leftovers(store: ArtifactStore) -> list[Waste]:
    """Return what killed processes left: nobody is at work on it, and nothing will ever use it."""
    found: list[Waste] = []
    for folder in _inside(store.home / "tmp"):
        with nobodys(folder) as free:
            if free:
                found.append(_waste(folder, "left by a process that was killed"))
    for path, what in _halves(store.home):
        if not is_held(lock_of(store.home, path)):
            found.append(_waste(path, what))
    return found


def _halves(home: Path) -> Iterator[tuple[Path, str]]:
    for folder in _inside(home / "work"):
        if (home / "runs" / folder.name / MANIFEST).is_file():
            yield folder, f"checkpoint of a finished run: {describe(home / 'runs' / folder.name)}"
        else:
            yield from ((part, "half a checkpoint") for part in _inside(folder) if part.suffix == ".part")
    for kind in ARTIFACTS:
        for folder in _inside(home / kind):
            if folder.is_dir() and not (folder / MANIFEST).exists():
                yield folder, f"incomplete: it has no {MANIFEST}"
    for part in _inside(home / "downloads"):
        whole = part.with_name(download_of(part)).exists()
        if part.suffix == ".part" and (whole or part.name.endswith(".sha256.part")):
            yield part, "half a download, beside the whole one"


def unneeded(store: ArtifactStore, suites: Iterable[Suite], display: Display) -> list[Waste]:
    """Return what none of the suites needs, leftovers among it.

    Raises:
        MissingError: a suite's data isn't here, so that nobody can tell what belongs to it.
        SrkdError: another process makes what no suite here needs: nobody can tell what else it needs.
    """
    home, keep = store.home, set[str]()
    for suite in suites:
        keys = needed(store, suite, display)
        keep |= {key.place for key in keys} | {f"work/{key.digest[:20]}" for key in keys}
        keep |= {f"downloads/{path.name}" for path in _sources(store, suite)}
    _refuse_strangers(home, keep)
    found = {waste.path: waste for waste in leftovers(store)}
    for kind in (*ARTIFACTS, "work"):
        for path in _inside(home / kind):
            if f"{kind}/{path.name}" not in keep and path not in found:
                found[path] = _waste(path, describe(path))
    for path in _inside(home / "downloads"):
        stays = f"downloads/{download_of(path)}" in keep or path.suffix in (".lock", ".sha256")
        if not stays and path not in found and not is_held(lock_of(home, path)):
            found[path] = _waste(path, "half a download" if path.suffix == ".part" else "download")
    for path in _inside(home / "cache"):
        teacher = path.name[:20]
        if not keep & {f"runs/{teacher}", f"weights/{teacher}"}:
            found[path] = _waste(path, "SR of a teacher, kept to save time")
    for path in _inside(home / "peeked"):
        found[path] = _waste(path, "single files of the shared store, fetched when they are needed")
    return sorted(
        (waste for waste in found.values() if waste.path.parent not in found), key=lambda one: one.path
    )


def needed(store: ArtifactStore, suite: Suite, display: Display) -> list[Artifact]:
    """Return the keys of all that a suite needs: networks, trials of tuned weights, scores, image packs.

    Raises:
        MissingError: data or the teacher's weights aren't here, so that the keys can't be told.
    """
    names, scale = suite.data.names, suite.data.scale
    pixels = {name: pixels_of(store, name) for name in names}
    if missing := " ".join(name for name in names if pixels[name] is None):
        raise MissingError(
            f"what belongs to suite {suite.name} can't be told without its data: {missing}",
            f"srkd download {missing}",
        )
    plan = planning.plan(suite, store, display, readonly=True)
    networks = [plan.teacher, *plan.students]
    trials = [run for runs in plan.trials.values() for run in runs]
    ensemble = suite.evaluate.self_ensemble
    scores = [
        planning.measurement(network, pixels[name] or "", scale, self_ensemble=ensemble)
        for name in suite.data.test
        for network in (None, *networks)
    ]
    validation = pixels.get(suite.data.validation or "") or ""
    scores += [planning.measurement(run, validation, scale, self_ensemble=False) for run in trials]
    return [
        *networks,
        *trials,
        *scores,
        *(Pack(dataset=name, scale=one) for name in names for one in (1, scale)),
    ]


def remove(store: ArtifactStore, waste: Waste) -> bool:
    """Remove what can go, unless another process is at work on it by now; say whether it is gone."""
    path = waste.path
    if path.parent == store.home / "tmp":
        with nobodys(path) as free:
            if free:
                shutil.rmtree(path, ignore_errors=True)
                lock_of_scratch(path).unlink(missing_ok=True)
            return free
    with alone(lock_of(store.home, path)) as free, writable(path):
        same = identity(path) == waste.found
        if free and same and path.is_dir():
            store.discard(path)
        elif free and same:
            path.unlink(missing_ok=True)
            sidecar(path).unlink(missing_ok=True)
        return free and same


def describe(path: Path) -> str:
    """Say what a finished artifact or unfinished work is, as its manifest tells."""
    kind, home = path.parent.name, path.parent.parent
    if kind == "work":
        state = "failed" if (path / "failed.json").exists() else "unfinished"
        return f"{state} run, {checkpoint.steps_done(path):,} steps done"
    try:
        return _DESCRIBED[kind](read_manifest(path)["key"], home, path)
    except (IntegrityError, OSError, ValueError, LookupError, TypeError):
        return "broken: see `srkd store verify`"


def _run(key: dict[str, Any], home: Path, path: Path) -> str:
    return f"{key['method']} seed {key['seed']}, {network_spec(key['model'])}"


def _weights(key: dict[str, Any], home: Path, path: Path) -> str:
    return f"{network_spec(key['model'])}, trained elsewhere"


def _scores(key: dict[str, Any], home: Path, path: Path) -> str:
    dataset = json.loads((path / "scores.json").read_bytes())["dataset"]
    owners = (home / kind / key["network"][:20] for kind in ("runs", "weights"))
    owner = next((describe(folder) for folder in owners if folder.is_dir()), "a network that is gone")
    name = "bicubic" if key["network"] == "bicubic" else owner
    return f"scores on {dataset} of {name}" + (" (self-ensemble)" if key["self_ensemble"] else "")


def _data(key: dict[str, Any], home: Path, path: Path) -> str:
    return f"{'HR' if key['scale'] == 1 else 'LR'} images of {key['dataset']}"


_DESCRIBED: dict[str, Callable[[dict[str, Any], Path, Path], str]] = {
    "runs": _run,
    "weights": _weights,
    "scores": _scores,
    "data": _data,
}


def _sources(store: ArtifactStore, suite: Suite) -> Iterator[Path]:
    """Give where the downloads of a suite's data sets and of its teacher are, or would be."""
    from srkd_bench import pretrained

    for name in suite.data.names:
        yield from (adopt.kept_at(store, source) for source in find(name).sources)
    if suite.teacher.weights is not None and (path := pretrained.kept_at(store, suite.teacher.weights)):
        yield path


def _refuse_strangers(home: Path, keep: set[str]) -> None:
    """Refuse if a process makes what isn't kept: the teacher and data that it uses can't be told."""
    places = {name: kind for kind, name in KINDS.items() if kind != "work"}
    for lock in _inside(home / "locks"):
        kind, _, name = lock.name.partition("-")
        if kind in places and f"{places[kind]}/{name}" not in keep and is_held(lock):
            raise SrkdError(
                f"another srkd is at work here for a suite that is not kept ({lock.name})",
                "name its suite too (--keep), or wait until it is done",
            )


def _waste(path: Path, what: str) -> Waste:
    return Waste(path, what, size_of(path), identity(path))


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
