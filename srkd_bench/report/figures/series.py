"""The data series that figures draw."""

from __future__ import annotations

import math
from statistics import fmean

from srkd_bench.evaluation.controls import is_control
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


def seed_differences(results: Results, metric: str, model: str, dataset: str | None) -> list[float]:
    """Return a model's difference from the baseline for each seed, as `statistics.differences` averages them.

    Args:
        dataset: None for the mean over data sets, of the seeds that all of them share.
    """
    datasets = results.datasets if dataset is None else [dataset]
    pairs = [results.pairs(metric, model, results.baseline, name) for name in datasets]
    of_seeds = [
        dict(zip(own.units, own.values.mean(axis=1).tolist(), strict=True))
        for own in pairs
        if own.values.size
    ]
    shared = set.intersection(*map(set, of_seeds)) if of_seeds else set[int]()
    return [fmean(own[seed] for own in of_seeds) for seed in sorted(shared)]


def short(name: str) -> str:
    """Return what reports call a model or data set, cut where it is long."""
    text = label(name)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def names_of(results: Results) -> dict[str, str]:
    """Return each column's label, cut where it is long."""
    return {model: short(name) for model, name in model_labels(results).items()}


def methods(results: Results) -> list[str]:
    """Return the columns that are trained alike: all but bicubic, the teacher and the controls.

    Controls are trained for longer and gain more: they would squeeze the axes of all others.
    """
    return [model for model in results.columns if model not in UNRANKED and not is_control(model)]
