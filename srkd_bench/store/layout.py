"""Names of folders, files and locks in a store."""

import re
from pathlib import Path

from srkd_bench.config.artifacts import ARTIFACTS, Labels, Pack, Run

MANIFEST, INDEX, PIXELS, LEVELS = "artifact.json", "index.json", "images.u8", "labels.i16"
WEIGHTS, CARD, SCORES, EVENTS, FAILED = (
    "weights.safetensors", "card.json", "scores.json", "events.jsonl", "failed.json",
)  # fmt: skip
FILES = {  # of an artifact besides its manifest, by the store's folder
    "runs": {CARD, EVENTS, WEIGHTS},
    "weights": {CARD, WEIGHTS},
    "scores": {CARD, SCORES},
    "labels": {CARD, INDEX, LEVELS},
    "data": {INDEX, PIXELS},
}
FOLDERS = (*ARTIFACTS, "downloads", "work", "cache", "peeked", "tmp", "locks")
PART, LOCK, SHA256 = ".part", ".lock", ".sha256"  # suffixes of companion files
_BESIDE = re.compile(r"((\.sha256)?(\.[0-9a-f]{8})?\.part|\.sha256|\.lock)$")


def lock_of(home: Path, path: Path) -> Path:
    """Return the lock of an artifact; it depends on the name only, so that it also works for a damaged artifact."""
    folder, name = (*path.relative_to(home).parts[:2], "")[:2]
    if folder == "downloads":
        return beside(path.with_name(download_of(path)), LOCK)
    if folder in ARTIFACTS:
        name = re.sub(r"_x[234]$", "", name) if folder == Pack.folder else name
        return home / "locks" / f"{ARTIFACTS[folder].kind}-{name}"
    if folder == "work" and name.startswith(f"{Labels.kind}-"):
        return home / "locks" / name
    return home / "locks" / (f"{Run.kind if folder == 'work' else folder}-{name}" if name else "format")


def lock_for(what: str, place: str) -> str:
    """Return the name of the lock for fetching or uploading the artifact at a path."""
    return f"{what}-{place.replace('/', '-')}"


def place_of_lock(name: str) -> str | None:
    """Return the path of the artifact of a lock (HR images for data); None for other locks."""
    kind, _, rest = name.partition("-")
    rest = (
        rest.partition("-")[0] if kind == Labels.kind else rest
    )  # a process or an image of its own behind it
    return next((f"{folder}/{rest}" for folder, one in ARTIFACTS.items() if one.kind == kind), None)


def download_of(path: Path) -> str:
    """Return the name of the download that a file in `downloads/` belongs to."""
    return _BESIDE.sub("", path.name)


def beside(path: Path, ending: str) -> Path:
    """Return the path of a file's companion: its `LOCK`, its `SHA256`, or its partial download `PART`."""
    return path.with_name(path.name + ending)
