"""Manifests: the key, sizes and checksums of an artifact."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from srkd_bench.config.artifacts import Pack
from srkd_bench.config.base import Artifact, digest_of, short
from srkd_bench.core.errors import IntegrityError
from srkd_bench.core.files import put
from srkd_bench.store.layout import MANIFEST

REPAIR = "srkd store verify --repair"


def sign(folder: Path, key: Artifact) -> None:
    """Write the manifest of a complete folder."""
    files = {path.name: stamp(path) for path in sorted(folder.iterdir())}
    put(folder / MANIFEST, json.dumps({"key": key.model_dump(mode="json"), "files": files}, indent=1))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of the artifact in a folder.

    Raises:
        IntegrityError: it is corrupted.
    """
    path = folder / MANIFEST
    with suppress(OSError):
        manifest = parsed(path.read_bytes()) or {}
        key = manifest.get("key")
        if isinstance(key, dict) and place_of(folder.parent.name, key) == place_at(folder):
            return manifest
    raise IntegrityError(f"{path} is corrupted", REPAIR)


def parsed(content: bytes) -> dict[str, Any] | None:
    """Parse a manifest into plain data; return None unless it is in canonical form."""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        text = content.decode()
        manifest: dict[str, Any] = json.loads(text)
        if (
            json.dumps(manifest, indent=1) == text
            and "key" in manifest
            and isinstance(manifest["files"], dict)
        ):
            return manifest
    return None


def stamp(path: Path) -> dict[str, Any]:
    """Return a file's size and sha256 for a manifest."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def place_of(kind: str, key: Any) -> str:
    """Return the path of the artifact with a key; an empty string for an invalid key."""
    if kind != Pack.folder:
        return f"{kind}/{short(digest_of(key))}"
    try:
        return Pack.model_validate(key).place
    except ValueError:
        return ""


def place_at(folder: Path) -> str:
    """Return the path in the store of an artifact's folder."""
    return f"{folder.parent.name}/{folder.name}"
