"""How the gains of a grid change between neighbouring values of an axis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import stdtrit

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import CellResults, axes_of, free, grouped, tied
from srkd_bench.evaluation.grids.gains import CellGain
from srkd_bench.evaluation.multiplier import seed_gains
from srkd_bench.evaluation.statistics import LEVEL, UNKNOWN, Interval

Seeds = Mapping[int, float]
"""A value for each seed."""


@dataclass(frozen=True)
class Change:
    """The gain of a method at one value of an axis minus that at the value before it.

    Attributes:
        before, after: labels of the two values.
        mean: over pairs of cells that differ on this axis only, in the metric's unit.
        low, high: its 95 % interval; nan if two cells share fewer than two seeds.
        pairs: number of pairs of cells.
    """

    model: str
    axis: str
    before: str
    after: str
    mean: float
    low: float
    high: float
    pairs: int


def changes(cells: Sequence[CellResults], gains: Sequence[CellGain], metric: str) -> list[Change]:
    """Return the changes of each method along each axis with numbers; controls are left out.

    Unlike the regression, they assume no shape of an effect, and allow that the gains of a seed in different cells
    depend on each other.
    """
    axes = [axis for axis in free(cells) if all(axis in cell.factors for cell in cells)]
    found = list[Change]()
    for model in dict.fromkeys(one.model for one in gains if not is_control(one.model)):
        of_cells = {
            one.cell.name: seed_gains(
                one.cell.results, metric, model, one.cell.results, one.difference.baseline
            )
            for one in gains
            if one.model == model and one.difference is not None
        }
        for axis in axes:
            groups = [
                {cell.axes[axis]: of_cells[cell.name] for cell in group if cell.name in of_cells}
                for group in grouped(cells, axis, *tied(cells))
            ]
            for before, after in pairwise(axes_of(cells)[axis]):
                both = [(own[before], own[after]) for own in groups if own.keys() >= {before, after}]
                pairs = [
                    {seed: new[seed] - old[seed] for seed in old.keys() & new.keys()} for old, new in both
                ]
                if pairs := [own for own in pairs if own]:
                    mean = float(np.mean([np.mean([*own.values()]) for own in pairs]))
                    found.append(
                        Change(model, axis, before, after, mean, *_interval(pairs, mean), len(pairs))
                    )
    return found


def _interval(pairs: Sequence[Seeds], mean: float) -> Interval:
    """Return the 95 % interval of the mean over pairs of their means over seeds.

    Pairs with the same seed may depend on each other (cluster-robust variance, Student's t). With the same seeds in
    all pairs, it is the paired t test on each seed's mean over pairs.

    Source: Bell and McCaffrey, Survey Methodology 28, 2002.
    """
    if any(len(own) < 2 for own in pairs):
        return UNKNOWN
    parts, weights = dict[int, float](), dict[int, float]()  # of each seed in the error, and in its variance
    for own in pairs:
        n, middle = len(own), float(np.mean([*own.values()]))
        for seed, value in own.items():
            parts[seed] = parts.get(seed, 0.0) + (value - middle) / math.sqrt(n * (n - 1)) / len(pairs)
            weights[seed] = weights.get(seed, 0.0) + 1 / n**2
    freedom = sum(weights.values()) ** 2 / sum(one**2 for one in weights.values()) - 1
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * math.hypot(*parts.values())
    return mean - half, mean + half
