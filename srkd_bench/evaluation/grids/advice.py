"""Predict what distillation gains in a training that no cell of a grid is like."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.evaluation.grids.cells import STEPS, CellResults
from srkd_bench.evaluation.grids.effects import fitted_gains, fitted_slope
from srkd_bench.evaluation.grids.gains import cell_gains
from srkd_bench.evaluation.grids.regression import Fit, Layout, position
from srkd_bench.evaluation.statistics import LEVEL, UNKNOWN, Interval

SCHEMA = 2
PACKAGED = Path(__file__).with_name("map.json")
"""The summary of the published map; `python -m docs_generators.advice` writes it."""
NEAR = 1.01  # how far beyond the cells a factor still counts as inside


@dataclass(frozen=True)
class Summary:
    """Regression of a grid's gains, from which `srkd advise` predicts the gain of other settings.

    Args:
        grid: its name.
        cells: values of each cell's factors, as `position` returns them.
        labels: of each cell, by axis.
        gains: the fit of each method's gains over the student alone.
        measured: the positions in `cells` of those that the fit of a method has.
        slope: the fit of the logarithm of what the student alone gains when its training is doubled, if it was
            trained at several lengths.
    """

    grid: str
    metric: str
    datasets: tuple[str, ...]
    cells: tuple[Mapping[str, float], ...]
    labels: tuple[Mapping[str, str], ...]
    gains: Mapping[str, Fit]
    measured: Mapping[str, tuple[int, ...]]
    slope: Fit | None


@dataclass(frozen=True)
class Range:
    """How far outside the grid a factor of a question is.

    Attributes:
        times: the factor over the largest value of the grid, or below 1 over the smallest; 1 inside.
    """

    factor: str
    value: float
    low: float
    high: float
    times: float


@dataclass(frozen=True)
class Expectation:
    """Predicted gain of a method.

    Attributes:
        gain, low, high: in the metric's unit, with its 95 % interval; nan if it is not known.
        inside: whether the question lies between the cells in which the method was measured; it may lie outside
            although each factor is inside the grid.
        k: how many times longer the student alone must be trained for the same gain; None if it is not known.
        k_low, k_high: its 95 % interval; None on a side that is unbounded or not known.
    """

    method: str
    gain: float
    low: float
    high: float
    inside: bool
    k: float | None
    k_low: float | None
    k_high: float | None


@dataclass(frozen=True)
class Advice:
    """Prediction of `srkd advise` for one student, training length and number of images.

    Attributes:
        ranges: of every factor with a number.
        assumed: labels of the axes that the question leaves open, as in most cells.
    """

    expected: list[Expectation]
    ranges: list[Range]
    assumed: dict[str, str]


def summarise(cells: Sequence[CellResults], metric: str) -> Summary:
    """Return the summary of a grid.

    Raises:
        SrkdError: no axis of it varies, or no method was measured in two cells.
    """
    name = cells[0].results.suite
    compared = cell_gains(cells, metric)
    gains = fitted_gains(cells, compared)
    known = {(one.model, one.cell.name) for one in compared if one.difference is not None}
    where = [position(cell, cells) for cell in cells]
    if not gains or not where[0]:
        problem = f"{name} has no method whose gain in {metric} is known in two different cells"
        raise SrkdError(
            problem, "advice needs the scores of a grid with `none` and a method in several cells"
        )
    return Summary(
        grid=name,
        metric=metric,
        datasets=tuple(dict.fromkeys(one for cell in cells for one in cell.results.datasets)),
        cells=tuple(where),
        labels=tuple(dict(cell.axes) for cell in cells),
        gains=gains,
        measured={
            model: tuple(n for n, cell in enumerate(cells) if (model, cell.name) in known) for model in gains
        },
        slope=fitted_slope(cells, metric),
    )


def advise(summary: Summary, asked: Mapping[str, float]) -> Advice:
    """Return what each method is expected to gain.

    Args:
        asked: positive numbers by axis; axes that the grid does not vary by numbers have no effect. Where nothing
            is asked about an axis, its most frequent value is used.
    """
    factors = summary.cells[0]
    assumed = {
        axis: Counter(own[axis] for own in summary.labels).most_common(1)[0][0]
        for axis in dict.fromkeys(name.partition("=")[0] for name in factors)
        if axis not in factors or axis not in asked
    }
    where = {name: asked[name] if name in asked else _assumed(name, summary, assumed) for name in factors}
    numeric = [name for name in factors if "=" not in name]
    return Advice(
        expected=[
            _expectation(
                method,
                fit,
                summary.slope,
                where,
                _between(where, [summary.cells[n] for n in summary.measured[method]], numeric),
            )
            for method, fit in summary.gains.items()
        ],
        ranges=[_range(name, where[name], summary.cells) for name in numeric],
        assumed=assumed,
    )


def _assumed(name: str, summary: Summary, assumed: Mapping[str, str]) -> float:
    """Return the value of a factor in the cells with the label that is assumed on its axis."""
    axis = name.partition("=")[0]
    cells = zip(summary.cells, summary.labels, strict=True)
    return next(cell[name] for cell, labels in cells if labels[axis] == assumed[axis])


def to_json(summary: Summary) -> str:
    """Return a summary as text; numbers have the digits on which all versions of NumPy agree."""
    return json.dumps({"schema": SCHEMA, **_rounded(asdict(summary))}, indent=1) + "\n"


def read_summary(path: Path = PACKAGED) -> Summary:
    """Return a summary that `to_json` wrote.

    Raises:
        MissingError: there is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = "this version of srkd comes without the scores of a map"
        raise MissingError(problem, "give the score file of a grid: --from grid.csv.gz") from None
    return Summary(
        grid=found["grid"],
        metric=found["metric"],
        datasets=tuple(found["datasets"]),
        cells=tuple(found["cells"]),
        labels=tuple(found["labels"]),
        gains={method: _fit(one) for method, one in found["gains"].items()},
        measured={method: tuple(cells) for method, cells in found["measured"].items()},
        slope=_fit(found["slope"]) if found["slope"] else None,
    )


def _fit(found: Mapping[str, object]) -> Fit:
    """Return a fit from plain data."""
    values = {name: _tuples(value) for name, value in found.items()}
    layout = {name: _tuples(value) for name, value in dict(values.pop("layout")).items()}  # type: ignore[call-overload]
    return Fit(layout=Layout(**layout), **values)  # type: ignore[arg-type]


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _expectation(
    method: str, fit: Fit, slope: Fit | None, where: Mapping[str, float], inside: bool
) -> Expectation:
    gain, variance = fit.predict(where)
    low, high = fit.prediction_interval(where)
    if slope is None or STEPS not in where:
        return Expectation(method, gain, low, high, inside, None, None, None)
    logarithm, spread = slope.predict(where)
    rise = math.exp(max(min(logarithm, 100), -100))  # no overflow far outside the grid
    freedom = min(fit.freedom, slope.freedom)
    limits = ratio_interval((gain, variance), (rise, rise**2 * spread), freedom)
    return Expectation(method, gain, low, high, inside, *map(_times, (gain / rise, *limits)))


def ratio_interval(top: tuple[float, float], bottom: tuple[float, float], freedom: int) -> Interval:
    """Return Fieller's 95 % interval of a ratio of independent estimates, each with its variance.

    Returns:
        nan without degrees of freedom, and where the denominator does not differ significantly from 0.
    """
    if freedom < 1:
        return UNKNOWN
    square = float(stdtrit(freedom, 1 - LEVEL / 2)) ** 2
    a = bottom[0] ** 2 - square * bottom[1]
    if a <= 0:
        return UNKNOWN
    product = top[0] * bottom[0]
    root = math.sqrt(square * (bottom[1] * top[0] ** 2 + top[1] * a))  # the discriminant, never below 0
    return (product - root) / a, (product + root) / a


def _times(doublings: float) -> float | None:
    """Return a factor of training; None beyond a million times, which nothing supports."""
    return 2**doublings if abs(doublings) < 20 else None


def _range(name: str, value: float, cells: Sequence[Mapping[str, float]]) -> Range:
    low, high = min(cell[name] for cell in cells), max(cell[name] for cell in cells)
    times = value / high if value > high * NEAR else value / low if value * NEAR < low else 1.0
    return Range(name, value, low, high, times)


def _between(
    where: Mapping[str, float], cells: Sequence[Mapping[str, float]], numeric: Sequence[str]
) -> bool:
    """Return whether a place is near a weighted mean of cells, on logarithmic axes."""
    from scipy.optimize import linprog

    points = np.log2([[cell[name] for name in numeric] for cell in cells]).T
    place, near = np.log2([where[name] for name in numeric]), math.log2(NEAR)
    limits, bounds = np.vstack([points, -points]), np.concatenate([place + near, near - place])
    mixture = linprog(
        np.zeros(len(cells)), A_ub=limits, b_ub=bounds, A_eq=np.ones((1, len(cells))), b_eq=[1.0]
    )
    return bool(mixture.success)
