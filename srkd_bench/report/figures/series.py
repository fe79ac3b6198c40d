"""The data series that figures draw."""

from __future__ import annotations

import math

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
