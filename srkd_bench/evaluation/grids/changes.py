"""How the gains of a grid change between neighbouring values of an axis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from scipy.special import stdtrit

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import CellResults, axes_of, free, grouped, tied
from srkd_bench.evaluation.grids.gains import CellGain
from srkd_bench.evaluation.statistics import LEVEL, UNKNOWN

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


def changes(cells: Sequence[CellResults], gains: Sequence[CellGain]) -> list[Change]:
    """Return the changes of each method along each axis with numbers; controls are left out.

    Unlike the regression, they assume no shape of an effect, and allow that the gains of a seed in different cells
    depend on each other.
    """
    known: dict[str, dict[str, Seeds]] = {}  # by method and cell
    for one in gains:
        if one.difference is not None and not is_control(one.model):
            of_seeds = dict(zip(one.difference.units, one.difference.unit_means, strict=True))
            known.setdefault(one.model, {})[one.cell.name] = of_seeds
    axes = [axis for axis in free(cells) if all(axis in cell.factors for cell in cells)]
    return [
        Change(model, axis, before, after, *_mean(pairs), len(pairs))
        for model, of_cells in known.items()
        for axis in axes
        for before, after in pairwise(axes_of(cells)[axis])
        if (pairs := _pairs(cells, of_cells, axis, before, after))
    ]


def _pairs(
    cells: Sequence[CellResults], of_cells: Mapping[str, Seeds], axis: str, before: str, after: str
) -> list[Seeds]:
    """Return the change of each common seed, for each pair of cells that differ on this axis only."""
    found = list[Seeds]()
    for group in grouped(cells, axis, *tied(cells)):
        values = {cell.axes[axis]: of_cells.get(cell.name, {}) for cell in group}
        old, new = values.get(before, {}), values.get(after, {})
        if shared := old.keys() & new.keys():
            found.append({seed: new[seed] - old[seed] for seed in sorted(shared)})
    return found


def _mean(pairs: Sequence[Seeds]) -> tuple[float, float, float]:
    """Return the mean over pairs of their means over seeds, and its 95 % interval.

    Pairs with the same seed may depend on each other (cluster-robust variance, Student's t). With the same seeds in
    all pairs, it is the paired t test on each seed's mean over pairs.

    Source: Bell and McCaffrey, Survey Methodology 28, 2002.
    """
    means = [fmean(own.values()) for own in pairs]
    mean = fmean(means)
    if any(len(own) < 2 for own in pairs):
        return mean, *UNKNOWN
    parts, weights = dict[int, float](), dict[int, float]()  # of each seed in the error, and in its variance
    for own, middle in zip(pairs, means, strict=True):
        n = len(own)
        for seed, value in own.items():
            parts[seed] = parts.get(seed, 0.0) + (value - middle) / math.sqrt(n * (n - 1)) / len(pairs)
            weights[seed] = weights.get(seed, 0.0) + 1 / n**2
    freedom = sum(weights.values()) ** 2 / sum(one**2 for one in weights.values()) - 1
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * math.hypot(*parts.values())
    return mean, mean - half, mean + half
