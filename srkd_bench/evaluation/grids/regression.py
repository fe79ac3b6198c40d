"""Weighted least squares of a mean over seeds on the logarithms of a grid's factors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import stdtrit

from srkd_bench.evaluation.grids.cells import CellResults, axes_of, free
from srkd_bench.evaluation.statistics import LEVEL, UNKNOWN, Array, Interval

Term = tuple[str, ...]
"""The factors whose centred logarithms are multiplied; `()` is the mean at the centre. A factor is the key of an
axis with numbers, or `KEY=LABEL` for a label of an axis without numbers, other than its first."""
RANK = 1e-8  # relative size below which a column adds nothing to the columns before it


@dataclass(frozen=True)
class Point:
    """What was measured in a cell: a value for each seed.

    Args:
        at: positive numbers by axis, and 1 or 0 by `KEY=LABEL`.
    """

    at: Mapping[str, float]
    values: Sequence[float]


@dataclass(frozen=True)
class Layout:
    """The terms of a model.

    Args:
        terms: those that the cells determine.
        aliased: terms that the cells cannot distinguish from those before them; they are taken as 0.
        centre: of each factor, the mean over cells of its logarithm to base 2; of `KEY=LABEL`, the share of cells.
    """

    terms: tuple[Term, ...]
    aliased: tuple[Term, ...]
    centre: Mapping[str, float]


@dataclass(frozen=True)
class Fit:
    """A fitted model: value = sum over terms of coefficient × product of centred log2 factors.

    Attributes:
        coefficients: by term of the layout, in the unit of the values, for each doubling of a factor.
        covariance: of the coefficients.
        within: variance over seeds within a cell, pooled; nan if every cell has one seed.
        between: variance between cells that the terms do not explain; with one seed in every cell, it includes
            that over seeds.
        freedom: degrees of freedom of the intervals; 0 if there are none.
    """

    layout: Layout
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    within: float
    between: float
    freedom: int
    cells: int
    seeds: int

    def interval(self, term: Term) -> Interval:
        """Return the 95 % interval of a coefficient by Student's t; nan without degrees of freedom."""
        place = self.layout.terms.index(term)
        return self._around(self.coefficients[place], self.covariance[place][place])

    def predict(self, at: Mapping[str, float]) -> tuple[float, float]:
        """Return the expected value in a new cell and its variance, which includes that between cells."""
        row = _row(at, self.layout.terms, self.layout.centre)
        mean = float(row @ np.array(self.coefficients))
        return mean, float(row @ np.array(self.covariance) @ row) + self.between

    def prediction_interval(self, at: Mapping[str, float]) -> Interval:
        """Return the 95 % interval of the expected value in a new cell."""
        return self._around(*self.predict(at))

    def _around(self, mean: float, variance: float) -> Interval:
        if self.freedom < 1:
            return UNKNOWN
        half = float(stdtrit(self.freedom, 1 - LEVEL / 2)) * math.sqrt(variance)
        return mean - half, mean + half


def position(cell: CellResults, cells: Sequence[CellResults]) -> dict[str, float]:
    """Return where a cell is, as a `Point` has it: its number on each axis that varies, or its label as 1 and 0.

    Labels are used on axes on which a cell has no positive number, or two labels have the same one, such as
    teachers of equal size. Axes that follow from the number of steps are left out.

    Args:
        cells: all of the grid.
    """
    found: dict[str, float] = {}
    labels = axes_of(cells)
    for key in free(cells):
        numbers = {one.axes[key]: one.factors.get(key, 0.0) for one in cells}
        if min(numbers.values()) > 0 and len({*numbers.values()}) == len(numbers):
            found[key] = cell.factors[key]
        else:
            found |= {f"{key}={label}": float(cell.axes[key] == label) for label in labels[key][1:]}
    return found


def fit(points: Sequence[Point]) -> Fit | None:
    """Fit the mean of each cell on all factors and on the products of every two of them with numbers.

    A random-effects meta-regression: the weight of a cell is 1 / (within / seeds + between); the variance between
    cells is estimated by the method of moments. The covariance is multiplied by the residual mean square if this
    exceeds 1, and intervals are by Student's t on cells minus terms. Without residual degrees of freedom, the
    variance within cells alone determines the intervals. Cells are taken as independent of each other.

    Returns:
        None without points.
    Source: Knapp and Hartung, Statistics in Medicine 22, 2003.
    """
    points = [point for point in points if len(point.values)]
    if not points:
        return None
    factors = list(points[0].at)
    centre = {name: float(np.mean([_scaled(name, point.at[name]) for point in points])) for name in factors}
    numeric = [name for name in factors if "=" not in name]
    wanted: list[Term] = [(), *((name,) for name in factors), *combinations(numeric, 2)]
    terms, aliased = _estimable(points, wanted, centre)
    design = np.array([_row(point.at, terms, centre) for point in points])
    means = np.array([np.mean(point.values) for point in points])
    return _fitted(design, means, points, Layout(tuple(terms), tuple(aliased), centre))


def _fitted(design: Array, means: Array, points: Sequence[Point], layout: Layout) -> Fit:
    """Return the fit of cell means (cells,) on a design (cells, terms)."""
    seeds = np.array([len(point.values) for point in points], dtype=np.float64)
    spare, rest = int(seeds.sum()) - len(points), len(points) - design.shape[1]
    squares = sum(float(np.var(point.values)) * len(point.values) for point in points)
    within = squares / spare if spare else math.nan
    known = within > 0
    variances = within / seeds if known else np.ones_like(seeds)
    between = _between(design, means, variances) if known and rest else 0.0
    weights = 1 / (variances + between)
    coefficients, inverse = _solve(design, means, weights)
    residual = float(weights @ (means - design @ coefficients) ** 2) / rest if rest else 0.0
    covariance = inverse * (max(residual, 1.0) if known else residual)
    return Fit(
        layout=layout,
        coefficients=tuple(coefficients.tolist()),
        covariance=tuple(map(tuple, covariance.tolist())),
        within=within,
        between=between if known else residual,
        freedom=rest or (spare if known else 0),
        cells=len(points),
        seeds=int(seeds.sum()),
    )


def _scaled(name: str, value: float) -> float:
    return value if "=" in name else math.log2(value)


def _row(at: Mapping[str, float], terms: Sequence[Term], centre: Mapping[str, float]) -> Array:
    """Return the value of each term at a place."""
    own = {name: _scaled(name, at[name]) - centre[name] for name in centre}
    return np.array([math.prod(own[name] for name in term) for term in terms])


def _estimable(
    points: Sequence[Point], wanted: Sequence[Term], centre: Mapping[str, float]
) -> tuple[list[Term], list[Term]]:
    """Return the terms that are no linear combination of those before them, and the others."""
    columns = np.array([_row(point.at, wanted, centre) for point in points])
    basis: list[Array] = []
    terms: list[Term] = []
    for term, column in zip(wanted, columns.T, strict=True):
        rest = column.copy()
        for _ in range(2):  # twice is exact enough (Kahan and Parlett)
            for one in basis:
                rest = rest - (rest @ one) * one
        length = float(np.linalg.norm(rest))
        if length > RANK * max(float(np.linalg.norm(column)), RANK):
            basis.append(rest / length)
            terms.append(term)
    return terms, [term for term in wanted if term not in terms]


def _solve(design: Array, means: Array, weights: Array) -> tuple[Array, Array]:
    """Return the coefficients of weighted least squares, and the inverse of the normal matrix."""
    roots = np.sqrt(weights)
    solved = np.linalg.pinv(design * roots[:, None])
    return solved @ (means * roots), solved @ solved.T


def _between(design: Array, means: Array, variances: Array) -> float:
    """Return the variance between cells that terms and seeds do not explain, by the method of moments."""
    weights = 1 / variances
    coefficients, inverse = _solve(design, means, weights)
    excess: float = float(weights @ (means - design @ coefficients) ** 2) - (len(means) - design.shape[1])
    spread = float(weights.sum() - np.trace(inverse @ (design.T * weights**2) @ design))
    return max(excess / spread, 0.0)
