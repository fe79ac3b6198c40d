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
    """Return strict JSON of a report, as `report_of` has it."""
    return json.dumps(report_of(results, verdicts), indent=1, allow_nan=False) + "\n"


def report_of(results: Results, verdicts: Sequence[Verdict] = ()) -> dict[str, object]:
    """Return a report as plain data; an infinite value (SR equal to HR), or a mean with one in it, is None.

    `protocol` is the default one, or that of the scores where they share another; every row carries its own.
    A difference's `dataset` is null for all data sets together.
    """
    rows: dict[tuple[object, ...], dict[str, float]] = defaultdict(dict)
    names = [name for name in ROW if name in columns(results.scores)]
    for score in results.scores:
        rows[tuple(getattr(score, name) for name in names)][score.image] = score.value
    protocols = {score.protocol for score in results.scores}
    found = {name: differences(results, name) for name in results.metrics}
    return {
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
            {"metric": name, **strict(asdict(one))}
            for name in results.metrics
            for one in multipliers(results, name).values()
        ],
        "claims": [asdict(one) | {"evidence": list(map(difference_row, one.evidence))} for one in verdicts],
        "networks": [asdict(network) for network in results.networks],
        "notes": results.notes,
    }


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
    row = {**strict(asdict(one)), "mean": one.mean, "verdict": one.verdict}
    del row["units"], row["unit_means"]  # the scores give them
    return row


def _detectable(found: Sequence[Difference]) -> float | None:
    size = least_detectable(found)
    return None if size is None else round(size, 5)  # solved to six decimals


def strict(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row with the digits that every version of SciPy agrees on; nan and infinity are null."""
    return {key: _rounded(value) for key, value in row.items()}


def _rounded(value: object) -> object:
    if isinstance(value, tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, Mapping):
        return strict(value)
    return _finite(float(f"{value:.12g}")) if isinstance(value, float) else value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
