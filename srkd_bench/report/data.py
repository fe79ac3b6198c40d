"""The scores as data: JSON with a row a measurement of a data set, CSV with a row an image."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, astuple, fields
from io import StringIO
from statistics import fmean

from srkd_bench.metrics import METRICS
from srkd_bench.report.claims import Verdict
from srkd_bench.report.results import Results
from srkd_bench.report.table import one_line
from srkd_bench.scores import Score
from srkd_bench.stats import Difference, differences

SCHEMA = 2
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # what a spreadsheet computes instead of showing


def to_json(results: Results, verdicts: Sequence[Verdict] = ()) -> str:
    """Return strict JSON; an infinite value (SR equal to HR), or a mean with one in it, is null.

    `protocol` is the default one, or that of the scores where they share another; every row carries its own.
    A difference's `dataset` is null for all data sets together.
    """
    rows: dict[tuple[object, ...], dict[str, float]] = defaultdict(dict)
    for score in results.scores:
        key = (score.model, score.run, score.method, score.seed, score.dataset, score.metric, score.protocol)
        rows[key][score.image] = score.value
    protocols = {score.protocol for score in results.scores}
    names = ("model", "run", "method", "seed", "dataset", "metric", "protocol")
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
        "differences": [
            difference_row(one) for metric in results.metrics for one in differences(results, metric)
        ],
        "claims": [_verdict(verdict) for verdict in verdicts],
        "networks": [asdict(network) for network in results.networks],
        "notes": results.notes,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def to_csv(results: Results) -> str:
    """Return a line a score, its columns named as the fields of `Score`; None is empty, infinity is `inf`.

    A name is one printable line, as in the tables. Before one that begins like a formula stands an apostrophe:
    images are named by who made the data set, and people open CSV in spreadsheets. JSON has names as they are.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in fields(Score))
    writer.writerows([_shown(value) for value in astuple(score)] for score in results.scores)
    return text.getvalue()


def _verdict(verdict: Verdict) -> dict[str, object]:
    return asdict(verdict) | {"evidence": [difference_row(one) for one in verdict.evidence]}


def difference_row(one: Difference) -> dict[str, object]:
    """Return a difference as JSON can hold it, with its verdict; an interval that isn't known is null."""
    bounds = {"low": _finite(one.low), "high": _finite(one.high)}
    return asdict(one) | bounds | {"verdict": one.verdict}


def _shown(value: object) -> object:
    if not isinstance(value, str):
        return value
    line = one_line(value)
    return f"'{line}" if line.lstrip().startswith(FORMULA) else line


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
