"""What an artifact's manifest says: its key, and the size and sha256 of its files."""

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

from srkd_bench.core.errors import IntegrityError
from srkd_bench.core.files import put

MANIFEST = "artifact.json"
REPAIR = "srkd store verify --repair"


class Key(Protocol):
    """What names an artifact: every `Spec` that is kept in the store has these."""

    @property
    def place(self) -> str:
        """Where the artifact is kept: `runs/0123456789abcdef0123`, `data/set5_x2`."""
        ...

    @property
    def digest(self) -> str:
        """The sha256, in hex, of all that decides the artifact's content."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the key as plain data."""
        ...


def sign(folder: Path, key: Key | dict[str, Any]) -> None:
    """Write the manifest of a folder that has all its files."""
    files = {path.name: stamp(path) for path in sorted(folder.iterdir())}
    plain = key if isinstance(key, dict) else key.model_dump(mode="json")
    put(folder / MANIFEST, json.dumps({"key": plain, "files": files}, indent=1))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return an artifact's manifest.

    Raises:
        IntegrityError: it is not what was written.
    """
    path = folder / MANIFEST
    try:
        if (manifest := parsed(path.read_bytes())) is not None:
            return manifest
    except OSError:
        pass
    raise IntegrityError(f"{path} is not what was written", REPAIR)


def parsed(content: bytes) -> dict[str, Any] | None:
    """Return a manifest's content as plain data, or None if it is none: each can be written in one way only."""
    try:
        text = content.decode()
        manifest: dict[str, Any] = json.loads(text)
        if json.dumps(manifest, indent=1) == text and isinstance(manifest["files"], dict):
            return manifest
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def stamp(path: Path) -> dict[str, Any]:
    """Return a file's size and sha256, as manifests keep them."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def place_of(kind: str, key: Any) -> str:
    """Return where the artifact with that key belongs."""
    if kind == "data":
        return f"data/{key['dataset']}" + (f"_x{key['scale']}" if key["scale"] != 1 else "")
    text = json.dumps(key, sort_keys=True, separators=(",", ":"))
    return f"{kind}/{hashlib.sha256(text.encode()).hexdigest()[:20]}"
