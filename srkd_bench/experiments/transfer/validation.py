"""Validate imported artifacts."""

import json
import math
import re
from pathlib import Path
from typing import Any

from srkd_bench.config.artifacts import ARTIFACTS, Labels, Measurement, Pack, Run, Weights
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import ForeignSpec, FusionSpec
from srkd_bench.core.errors import IntegrityError, SrkdError
from srkd_bench.data.catalog import DATASETS, base, is_name
from srkd_bench.store.layout import CARD, EVENTS, FILES, INDEX, LEVELS, MANIFEST, SCORES, WEIGHTS
from srkd_bench.store.manifest import parsed
from srkd_bench.store.verify import artifact_problem

KINDS = {
    folder: one for folder, one in ARTIFACTS.items() if one is not Pack
}  # kinds of artifacts in a bundle
_METHOD, _SHA256 = re.compile(r"[a-z][a-z0-9_]{0,39}"), re.compile(r"[0-9a-f]{64}")
LARGEST = {
    MANIFEST: 10**6,
    CARD: 10**6,
    SCORES: 10**7,
    INDEX: 10**7,
}  # bytes of files that are read into memory
LONGEST_EVENT = 10**6  # bytes


def checked(folder: Path, place: str) -> str:
    """Validate an artifact, and return the name of the data set that it depends on."""
    kind, path = place.partition("/")[0], folder / place
    manifest = parsed((path / MANIFEST).read_bytes()) if (path / MANIFEST).is_file() else None
    if manifest is None:
        raise IntegrityError(f"{place}/{MANIFEST} is missing or corrupted")
    if set(manifest["files"]) != FILES[kind]:
        raise IntegrityError(f"{place} has other files than srkd writes")
    if problem := artifact_problem(path):
        raise IntegrityError(f"{place}: {problem}")
    try:
        spec, key = KINDS[kind].model_validate(manifest["key"]), manifest["key"]
        known = spec.place == place and _printable(key)
        known = known and (not isinstance(spec, Run) or _names_methods(spec))
    except (ValueError, RecursionError):
        known = False
    if not known:
        raise IntegrityError(f"{place}: its settings are unknown to this version of srkd")
    if not _is_record((path / CARD).read_bytes()):
        raise IntegrityError(f"{place}: {CARD} is not a card")
    if isinstance(spec, Measurement):
        return _measured_on(path / SCORES, place)
    if isinstance(spec, Labels):
        _check_labels(path, place)
        return ""
    assert isinstance(spec, Run | Weights)
    _check_network(path, place, spec)
    return spec.data if isinstance(spec, Run) else ""


def _names_methods(run: Run) -> bool:
    """Return whether a run's method names are plain words with a version each, and a sha256 for own methods.

    Imported names are never executed, but they are printed, so a file name must not pass as a method.
    """
    parts = run.method.split("+")
    return sorted(run.params) == sorted(parts) and all(
        _METHOD.fullmatch(part)
        and type(params.get("version")) is int
        and ("sha256" not in params or _SHA256.fullmatch(str(params["sha256"])))
        for part, params in run.params.items()
    )


def _check_network(path: Path, place: str, spec: Run | Weights) -> None:
    from srkd_bench.networks.loading import load_weights, spec_in
    from srkd_bench.networks.weight_files import check_numbers, read

    weights = path / WEIGHTS
    with weights.open("rb") as file:
        safe = file.read(9)[8:] == b"{"  # `load_weights` would also take a pickled state dict
    try:
        if safe and isinstance(spec.model, ForeignSpec | FusionSpec):
            # The imported file names classes: do not import them.
            held = read(weights)[0]
            check_numbers(held.state, weights)
            fits = bool(held.state) and spec_in(held.metadata, weights) == spec.model
        else:
            fits = safe and load_weights(weights).spec == spec.model
    except SrkdError:  # its message may quote the imported file
        fits = False
    if not fits:
        raise IntegrityError(f"{place}: {WEIGHTS} holds no {spec.model}")
    if isinstance(spec, Run):
        with (path / EVENTS).open("rb") as file:
            while line := file.readline(LONGEST_EVENT):
                if not _is_record(line):
                    raise IntegrityError(f"{place}: {EVENTS} holds something else than events")


def _check_labels(path: Path, place: str) -> None:
    """Check that an index describes the labels in the same folder: sizes and checksums of all images."""
    try:
        read = json.loads((path / INDEX).read_bytes().decode())
        images = read["images"]
        right = list(read) == ["images"] and all(
            sorted(one) == ["height", "sha256", "width"]
            and type(one["height"]) is type(one["width"]) is int
            and min(one["height"], one["width"]) > 0
            and _SHA256.fullmatch(one["sha256"])
            for one in images
        )
        size = sum(2 * 3 * one["height"] * one["width"] for one in images)
        right = right and (path / LEVELS).stat().st_size == size
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise IntegrityError(f"{place}: {INDEX} does not describe {LEVELS}")


def _measured_on(path: Path, place: str) -> str:
    """Validate scores, and return their data set."""
    try:
        read = json.loads(path.read_bytes().decode())
        dataset, images = read["dataset"], read["images"]
        values = [value for scores in images.values() for value in scores.values()]
        known = DATASETS.get(dataset) or DATASETS.get(
            base(dataset)
        )  # an unknown copy, or a user's own images
        right = (
            len(read) == 2
            and is_name(dataset)
            and 0 < len(images) == (known.count if known else len(images))
            and _printable(images)
            and all(set(scores) == set(METRICS) for scores in images.values())
            and all(type(value) is float and math.isfinite(value) for value in values)
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise IntegrityError(f"{place}: {SCORES} holds no scores of a data set")
    return str(dataset)


def _is_record(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _printable(value: Any) -> bool:
    """Return whether all texts in plain data are free of terminal control characters."""
    if isinstance(value, dict):
        return all(_printable(one) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return all(map(_printable, value))
    return not isinstance(value, str) or value.isprintable()
