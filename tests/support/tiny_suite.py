"""A suite that trains in a second: tiny networks, a few steps, and the built-in photographs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"train": "photos-test", "test": ["photos-test"], "scale": 2},
    "teacher": {"model": {"n_feats": 6, "n_resblocks": 4}, "train": {"steps": 12}},
    "student": {"n_feats": 4, "n_resblocks": 4},
    "train": {"batch": 4, "patch": 8, "steps": 10, "learning_rate": 1e-3},
    "methods": ["none", "hkd"],
}


def tiny_suite(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    """Write the tiny suite to NAME.yaml in a folder and return the file.

    Args:
        changes: what to change or add, by key. Mappings are merged with the tiny suite's; None removes a key.
    """
    path = folder / f"{name}.yaml"
    path.write_text(
        yaml.safe_dump(_merged(TINY, {"name": name, **changes}), sort_keys=False), encoding="utf-8"
    )
    return path


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = {
        key: _merged(old[key], value) if isinstance(value, dict) and isinstance(old.get(key), dict) else value
        for key, value in new.items()
    }
    return {key: value for key, value in {**old, **merged}.items() if value is not None}
