"""Write results as JSON."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.multiplier import multipliers
from srkd_bench.evaluation.results import Results, Training
from srkd_bench.evaluation.scores import columns
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.report.tables.claims import Verdict
from srkd_bench.report.tables.gains import least_detectable

SCHEMA = 3
ROW = ("model", "run", "method", "seed", "teacher_seed", "dataset", "metric", "protocol")


def to_json(results: Results, verdicts: Sequence[Verdict] = ()) -> str:
    """Return strict JSON; an infinite value (SR equal to HR), or a mean with one in it, is null.

    `protocol` is the default one, or that of the scores where they share another; every row carries its own.
    A difference's `dataset` is null for all data sets together.
    """
    rows: dict[tuple[object, ...], dict[str, float]] = defaultdict(dict)
    names = [name for name in ROW if name in columns(results.scores)]
    for score in results.scores:
        rows[tuple(getattr(score, name) for name in names)][score.image] = score.value
    protocols = {score.protocol for score in results.scores}
    found = {name: differences(results, name) for name in results.metrics}
    document = {
        "schema": SCHEMA,
        "protocol": protocols.pop() if len(protocols) == 1 else METRICS["psnr_y"].protocol,
        "suite": results.suite,
        "seeds": results.seeds,
        "budget": results.budget,
        "scores": [
            {
                **dict(zip(names, key, strict=True)),
                "mean": _finite(fmean(images.values())),
                "n": len(images),
                "images": {image: _finite(value) for image, value in images.items()},
            }
            for key, images in rows.items()
        ],
        "baseline": results.baseline,
        "differences": [difference_row(one) for own in found.values() for one in own],
        "detectable": {name: _detectable(own) for name, own in found.items()},
        "multipliers": [
            {"metric": name, **_strict(asdict(one))}
            for name in results.metrics
            for one in multipliers(results, name).values()
        ],
        "claims": [asdict(one) | {"evidence": list(map(difference_row, one.evidence))} for one in verdicts],
        "networks": [asdict(network) for network in results.networks],
        "notes": results.notes,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def to_cards(results: Results) -> str:
    """Return as JSON how each network was trained: its card, and PSNR-Y in dB on validation images by step."""
    document = {"schema": 1, "suite": results.suite, "trainings": [_card(one) for one in results.trainings]}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _card(one: Training) -> dict[str, object]:
    curve = {str(event["step"]): event["validation"] for event in one.events if "validation" in event}
    several = {} if one.teacher_seed is None else {"teacher_seed": one.teacher_seed}
    return {"model": one.model, "seed": one.seed, **several, "card": one.card, "validation": curve}


def difference_row(one: Difference) -> dict[str, object]:
    """Return a difference with its verdict as JSON can hold it; what is not known is null."""
    row = {**_strict(asdict(one)), "mean": one.mean, "verdict": one.verdict}
    del row["unit_means"]  # the scores give them
    return row


def _detectable(found: Sequence[Difference]) -> float | None:
    size = least_detectable(found)
    return None if size is None else round(size, 5)  # solved to six decimals


def _strict(row: Mapping[str, object]) -> dict[str, object]:
    return {key: _rounded(value) for key, value in row.items()}


def _rounded(value: object) -> object:
    """Return numbers with the digits that every version of SciPy agrees on; null for nan and infinity."""
    if isinstance(value, tuple):
        return [_rounded(one) for one in value]
    return _finite(float(f"{value:.12g}")) if isinstance(value, float) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
