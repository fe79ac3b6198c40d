"""The data series that figures draw."""

from __future__ import annotations

import math
from statistics import fmean, stdev

from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables.table import UNRANKED, label, model_labels

Means = dict[tuple[str, str], dict[int | None, float]]
LONGEST = 24  # characters of a name: there is room for no more


def means(results: Results, metric: str) -> Means:
    """Return each seed's mean over images, by (data set, model); those that are infinite are left out.

    Bicubic, the teacher and other networks without a seed have the key None.
    """
    return {
        (dataset, model): {seed: value for seed, value in found.items() if math.isfinite(value)}
        for dataset in results.datasets
        for model in results.columns
        if (found := results.seed_means(metric, model, dataset))
    }


def noise(means: Means, dataset: str | None, baseline: str) -> float | None:
    """Return the sample standard deviation of the baseline over seeds; None below two seeds.

    Args:
        dataset: None for the mean over data sets, seed by seed.
    """
    own = [means[on, model] for on, model in means if model == baseline and dataset in (None, on)]
    shared = sorted(set[int | None].intersection(*map(set, own)), key=str) if own else []
    if len(shared) < 2:
        return None
    return stdev(fmean(seeds[seed] for seeds in own) for seed in shared)


def short(name: str) -> str:
    """Return what reports call a model or data set, cut where it is long."""
    text = label(name)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def names_of(results: Results) -> dict[str, str]:
    """Return each column's label, cut where it is long."""
    return {model: short(name) for model, name in model_labels(results).items()}


def methods(results: Results) -> list[str]:
    """Return the columns that have seeds or may have: all but bicubic and the teacher."""
    return [model for model in results.columns if model not in UNRANKED]
