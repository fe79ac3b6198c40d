"""The per-image table: what every image gains from every method."""

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean

from srkd_bench.evaluation.metrics import METRICS
from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables.differences import signed
from srkd_bench.report.tables.table import MISSING, UNRANKED, label, model_labels


@dataclass(frozen=True)
class ImageRow:
    """One image; a text a column."""

    dataset: str
    image: str
    levels: list[str]
    gains: list[str]


@dataclass(frozen=True)
class ImageTable:
    """One metric on every image.

    Args:
        levels: labels of the models whose own values are shown: bicubic, teacher, the baseline, strangers.
        gains: labels of the methods that are shown as differences from the baseline.
    """

    levels: list[str]
    gains: list[str]
    rows: list[ImageRow]


def per_image(results: Results, metric: str) -> ImageTable:
    """Return the means over seeds of each image; a difference is of the seeds that method and baseline share."""
    values: dict[tuple[str, str], dict[str, dict[int | None, float]]] = defaultdict(lambda: defaultdict(dict))
    students = set()
    for score in results.scores:
        if score.metric == metric:
            values[score.dataset, score.image][score.model][score.seed] = score.value
            if score.seed is not None:
                students.add(score.model)
    names, decimals = model_labels(results), METRICS[metric].decimals
    compared = [m for m in results.columns if m != results.baseline and m not in UNRANKED and m in students]
    shown = [m for m in results.columns if m not in compared and any(m in own for own in values.values())]
    order = {dataset: place for place, dataset in enumerate(results.datasets)}
    rows = [
        ImageRow(
            dataset=label(dataset),
            image=image,
            levels=[_level(own.get(model), decimals) for model in shown],
            gains=[_gain(own.get(model), own.get(results.baseline), decimals) for model in compared],
        )
        for (dataset, image), own in sorted(
            values.items(), key=lambda item: (order.get(item[0][0], len(order)), item[0])
        )
    ]
    return ImageTable([names[model] for model in shown], [names[model] for model in compared], rows)


def _level(values: dict[int | None, float] | None, decimals: int) -> str:
    return f"{fmean(values.values()):.{decimals}f}" if values else MISSING


def _gain(
    values: dict[int | None, float] | None, baseline: dict[int | None, float] | None, decimals: int
) -> str:
    shared = set(values or ()) & set(baseline or ())
    if values is None or baseline is None or not shared:
        return MISSING
    gain = fmean(values[s] for s in shared) - fmean(baseline[s] for s in shared)
    return signed(gain, decimals) if math.isfinite(gain) else MISSING
