"""The figures of a grid: scores against the cost of training, and gains over two axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import STEPS, CellResults, by_steps, columns_of, free, measured
from srkd_bench.evaluation.grids.gains import CellGain
from srkd_bench.evaluation.statistics import t_interval
from srkd_bench.report.figures.palette import Look, palette
from srkd_bench.report.figures.style import (
    End,
    axis_label,
    name_at_right,
    panels,
    plain_powers,
    styled,
)
from srkd_bench.report.grids.heat import heat
from srkd_bench.report.grids.names import cell_name, labels_of
from srkd_bench.report.tables.table import UNRANKED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


HEIGHT = 1.9  # inches, of a row of panels
BAND = 0.25  # opacity of an interval
Place = Callable[[CellResults, str], float]
"""Returns the cost of a training of a method in a cell."""
CAPTIONS = {
    "heat": "Gain over the baseline over two axes of the grid. In parentheses: not significant, with p adjusted "
    "for all cells and methods (Holm).",
    "curves": "Score against the cost of a training, mean over seeds. Bands are 95 % intervals of each mean over "
    "seeds; gains are tested in pairs, which is more precise than the bands suggest. The horizontal distance "
    "between a method and the student alone is what the method is worth in training. Teacher labels count in equal "
    "parts for the trainings that use them.",
    "time": "Score against the time of a training on the machine that trained it, otherwise as above.",
}
"""What a reader must know of each figure; captions of the page."""


def figures(cells: Sequence[CellResults], gains: Mapping[str, Sequence[CellGain]]) -> dict[str, Figure]:
    """Return all figures that have something to draw, by name and metric.

    Args:
        gains: by metric.
    """
    drawn: dict[str, Figure | None] = {}
    for metric, own in gains.items():
        drawn[f"curves-{metric}"] = curves(cells, metric)
        drawn[f"time-{metric}"] = curves(cells, metric, time=True)
        drawn[f"heat-{metric}"] = heat(cells, own, metric)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def curves(cells: Sequence[CellResults], metric: str, *, time: bool = False) -> Figure | None:
    """Draw the scores of each method against the cost of its training, a panel for cells that differ in it only.

    Controls are points of the student alone. The cost is in multiply-adds if it is known for all trainings, else in
    steps.

    Args:
        time: against the seconds of the trainings instead.
    Returns:
        None if no cells differ in their steps only, or if a time is not known.
    """
    groups = [group for group in by_steps(cells) if len(group) > 1]
    trained = [(cell, model) for group in groups for cell in group for model in _students(cell, metric)]
    place, words = _cost(trained, time=time)
    if not trained or place is None:
        return None
    names, looks = labels_of(cells), palette(columns_of(cells))
    others = [key for key in free(cells) if key != STEPS]
    with styled():
        figure, grid = panels(len(groups), HEIGHT, columns=2 if len(groups) % 3 else 3)
        ends = [
            (axes, _panel(axes, group, metric, place, looks, names))
            for axes, group in zip(grid, groups, strict=True)
        ]
        for axes, group in zip(grid, groups, strict=True):
            axes.set_title(cell_name(group[0], others))
            axes.set_xscale("log")
            plain_powers(axes)
            axes.set_xlabel(words)
            axes.set_ylabel(axis_label(metric))
        name_at_right(figure, ends)
    return figure


def _panel(
    axes: Axes,
    group: Sequence[CellResults],
    metric: str,
    place: Place,
    looks: Mapping[str, Look],
    names: Mapping[str, str],
) -> list[End]:
    """Draw a line with a band for each method of a group, and return where the lines end."""
    ends = []
    for model in dict.fromkeys(_method(cell, model) for cell in group for model in _students(cell, metric)):
        if line := _line(group, metric, model, place):
            x, y, low, high = zip(*line, strict=True)
            axes.plot(x, y, marker=looks[model].marker, color=looks[model].colour, ms=3)
            axes.fill_between(x, low, high, color=looks[model].colour, alpha=BAND, lw=0)
            ends.append(End(x[-1], y[-1], names[model], looks[model]))
    return ends


def _students(cell: CellResults, metric: str) -> list[str]:
    """Return the columns of a cell with students that were measured."""
    known = measured(cell, metric)
    return [model for model in cell.results.columns if model in known and model not in UNRANKED]


def _method(cell: CellResults, model: str) -> str:
    """Return the method on whose line a column is: a control is the student alone, trained for longer."""
    return "none" if is_control(model) and "none" in cell.results.columns else model


def _cost(trained: Sequence[tuple[CellResults, str]], *, time: bool) -> tuple[Place | None, str]:
    """Return a function that returns the cost of a training, and the name of that cost."""
    if time:
        known = all(_seconds(cell, model) > 0 for cell, model in trained)
        return (_seconds if known else None), "training time (s)"
    if all(cell.costs.get(model) for cell, model in trained):
        return lambda cell, model: cell.costs[model], "training cost (multiply-adds)"
    return lambda cell, model: cell.results.steps.get(model, cell.factors[STEPS]), "training steps"


def _seconds(cell: CellResults, model: str) -> float:
    """Return the mean time of a method's trainings, 0 if it is not known.

    Students of a seed are trained together and have one time.
    """
    found = [one.card.get("seconds", 0.0) for one in cell.results.trainings if one.model == model]
    return fmean(found) if found else 0.0


def _line(
    group: Sequence[CellResults], metric: str, model: str, place: Place
) -> list[tuple[float, float, float, float]]:
    """Return cost, mean, and interval of the mean over seeds, of each training of the method, by cost."""
    found = []
    columns = [
        (cell, column)
        for cell in group
        for column in _students(cell, metric)
        if _method(cell, column) == model
    ]
    for cell, column in columns:
        of_sets = [cell.results.seed_means(metric, column, name) for name in cell.results.datasets]
        shared = set.intersection(*map(set, of_sets)) if of_sets else set()
        means = np.array([fmean(own[seed] for own in of_sets) for seed in shared])
        if len(means) and np.isfinite(means).all():
            mean, (low, high) = float(means.mean()), t_interval(means)
            found.append((place(cell, column), mean, *((low, high) if math.isfinite(low) else (mean, mean))))
    return sorted(found, key=lambda point: point[0])
