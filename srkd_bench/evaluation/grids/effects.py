"""Fit the gains of a grid on its factors."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import STEPS, CellResults, by_steps
from srkd_bench.evaluation.grids.gains import CellGain
from srkd_bench.evaluation.grids.regression import Fit, Point, fit, position
from srkd_bench.evaluation.multiplier import seed_gains


def fitted_gains(cells: Sequence[CellResults], gains: Sequence[CellGain]) -> dict[str, Fit]:
    """Return the fit of each method's gains on all cells, by method; controls are not fitted.

    Nothing for methods whose gain is known in fewer than two cells.
    """
    points: dict[str, list[Point]] = {}
    for one in gains:
        if one.difference is not None and not is_control(one.model):
            point = Point(position(one.cell, cells), one.difference.unit_means)
            points.setdefault(one.model, []).append(point)
    found = {model: fit(own) for model, own in points.items() if len(own) > 1}
    return {model: one for model, one in found.items() if one is not None}


def fitted_slope(cells: Sequence[CellResults], metric: str) -> Fit | None:
    """Return the fit of what the student alone gains when its training is doubled, on all factors.

    Between every two lengths that follow each other the gain per doubling is a point at their geometric mean.

    Returns:
        None if no two cells differ in their steps only.
    """
    points: list[Point] = []
    for group in by_steps(cells):
        measured = [cell for cell in group if "none" in cell.results.columns]
        for short, long in pairwise(measured):
            where = position(short, cells)
            gains = seed_gains(long.results, metric, "none", short.results, "none")
            if STEPS in where and gains:
                where[STEPS] = float(np.sqrt(short.factors[STEPS] * long.factors[STEPS]))
                doublings = np.log2(long.factors[STEPS] / short.factors[STEPS])
                points.append(Point(where, [float(gain / doublings) for gain in gains.values()]))
    return fit(points)
