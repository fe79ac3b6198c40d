"""Fit the gains of a grid on its factors."""

import math
from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

import numpy as np

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import STEPS, CellResults, by_steps, lengths_alone
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
    """Return the fit of the logarithm of what the student alone gains when its training is doubled, on all factors.

    Between every two neighbouring lengths, of cells or of their longer trainings (`none@2x`), the gain per doubling
    is a point at their geometric mean; points at which it is not above 0 are left out. A logarithm, since the gain
    falls by about the same factor with every doubling, and stays above 0.

    Returns:
        None if no two lengths differ in their steps only.
    """
    points: list[Point] = []
    for group in by_steps(cells):
        alone = {  # a cell, which comes later, replaces a longer training of the same length
            steps: (cell, model) for cell in group for model, steps in lengths_alone(cell, metric).items()
        }
        for (x0, (short, one)), (x1, (long, other)) in pairwise(sorted(alone.items(), key=itemgetter(0))):
            gains = seed_gains(long.results, metric, other, short.results, one)
            slopes = np.array([*gains.values()]) / math.log2(x1 / x0)
            where = position(short, cells)
            if STEPS in where and len(slopes) and (mean := float(slopes.mean())) > 0:
                where[STEPS] = math.sqrt(x0 * x1)
                points.append(Point(where, (math.log(mean) + slopes / mean - 1).tolist()))
    return fit(points)
