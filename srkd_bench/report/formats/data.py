"""Write scores as JSON and CSV; read CSV."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, astuple, fields
from io import StringIO
from statistics import fmean

from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.results import Results, Training
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.report.tables.claims import Verdict
from srkd_bench.report.tables.table import one_line

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
            difference_row(one) for name in results.metrics for one in differences(results, name)
        ],
        "claims": [asdict(one) | {"evidence": list(map(difference_row, one.evidence))} for one in verdicts],
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


def from_csv(text: str, name: str) -> list[Score]:
    """Return the scores of a text that `to_csv` wrote.

    Raises:
        SrkdError: it is another table, or a line isn't a score.
    """
    rows = csv.DictReader(StringIO(text))
    columns = [column.name for column in fields(Score)]
    if rows.fieldnames != columns:
        raise SrkdError(f"{name} is no table of scores", f"`srkd report -o scores.csv` writes one: {columns}")
    try:
        return [_score(row) for row in rows]
    except (AttributeError, TypeError, ValueError):
        raise SrkdError(f"line {rows.line_num} of {name} is no score", "srkd report -o scores.csv") from None


def _score(row: dict[str, str]) -> Score:
    texts = {name: _read(value) for name, value in row.items()}  # a short line ends in None
    if texts["metric"] not in METRICS:
        raise ValueError(texts["metric"])
    value, method, seed = float(texts.pop("value")), texts.pop("method") or None, texts.pop("seed")
    return Score(**texts, value=value, method=method, seed=int(seed) if seed else None)


def _read(text: str) -> str:
    """Return what `_shown` was given."""
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(FORMULA) else text


def to_cards(results: Results) -> str:
    """Return as JSON how each network was trained: its card, and PSNR-Y in dB on validation images by step."""
    document = {"schema": 1, "suite": results.suite, "trainings": [_card(one) for one in results.trainings]}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _card(one: Training) -> dict[str, object]:
    curve = {str(event["step"]): event["validation"] for event in one.events if "validation" in event}
    return {"model": one.model, "seed": one.seed, "card": one.card, "validation": curve}


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
