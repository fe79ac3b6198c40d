"""Compare stores."""

import hashlib
from pathlib import Path

KEPT = ("weights.safetensors", "scores.json")


def digests(home: Path) -> dict[str, str]:
    """Return the sha256 of all weights and scores of a store, by path."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.name in KEPT and path.parent.parent.name in ("runs", "weights", "scores")
    }
