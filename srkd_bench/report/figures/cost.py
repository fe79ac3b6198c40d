"""Differences from the baseline against the cost of training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from srkd_bench.evaluation import statistics
from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.multiplier import Multiplier, multipliers
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import Difference
from srkd_bench.report.figures.palette import INK, Look, palette
from srkd_bench.report.figures.series import names_of
from srkd_bench.report.figures.style import SMALL, TWO_COLUMNS, End, axis_label, name_at_right, new, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


HEIGHT = 2.6  # inches
APART = 1.05  # ratio of the places of methods that cost the same
Costs = dict[str, float]
"""Training steps by model, each as many as the student alone could be trained for instead."""


def cost(results: Results, metric: str) -> Figure | None:
    """Draw each method's difference on all data sets against its training cost; None where no cost is known.

    Bars are 95 % intervals. The line is the student alone, trained for longer; a dotted line leads from each method
    to the point where the student alone gains as much.
    """
    costs, base = _costs(results), results.baseline
    found = {
        one.model: one
        for one in statistics.differences(results, metric)
        if one.dataset is None and one.model in costs and math.isfinite(one.mean)
    }
    if base not in costs or not found:
        return None
    names, looks, worth = names_of(results), palette(results.columns), multipliers(results, metric)
    places = _side_by_side({model: costs[model] for model in found})
    with styled():
        figure = new(TWO_COLUMNS, HEIGHT)
        axes = figure.add_subplot()
        _student_alone(axes, {base: 0.0} | {m: one.mean for m, one in found.items()}, costs, looks[base])
        for model, one in found.items():
            _method(axes, places[model], one, looks[model])
            if model in worth:
                _equal_gain(axes, places[model], costs[base], worth[model], one.mean, looks[model])
        _axes(axes, axis_label(metric, f" minus that of {names[base]}"))
        axes.annotate(
            names[base], (costs[base], 0), (0, 5), textcoords="offset points", fontsize=SMALL, ha="center"
        )
        ends = [End(places[m], one.mean, names[m] + _k(worth.get(m)), looks[m]) for m, one in found.items()]
        name_at_right(figure, [(axes, ends)])
    return figure


def _costs(results: Results) -> Costs:
    """Return what is known; a step of the student alone costs 1."""
    alone = {model: 1.0 for model in results.columns if model == "none" or is_control(model)}
    steps = {**alone, **results.step_costs}
    return {model: results.steps[model] * steps[model] for model in results.steps if model in steps}


def _side_by_side(costs: Costs) -> Costs:
    """Return places on a logarithmic axis; methods that cost the same stand beside each other."""
    alike: dict[str, list[str]] = {}
    for model, cost in costs.items():
        if not is_control(model):
            alike.setdefault(f"{cost:.3g}", []).append(model)
    shifts = {model: i - (len(group) - 1) / 2 for group in alike.values() for i, model in enumerate(group)}
    return {model: cost * APART ** shifts.get(model, 0.0) for model, cost in costs.items()}


def _student_alone(axes: Axes, gains: dict[str, float], costs: Costs, look: Look) -> None:
    """Draw the line through the student alone, by its cost."""
    points = sorted(
        (costs[model], gain) for model, gain in gains.items() if model == "none" or is_control(model)
    )
    axes.plot([x for x, _ in points], [y for _, y in points], color=look.colour, zorder=1)
    axes.plot(points[0][0], points[0][1], look.marker, color=look.colour)


def _method(axes: Axes, x: float, one: Difference, look: Look) -> None:
    if math.isfinite(one.low):
        axes.plot([x, x], [one.low, one.high], color=look.colour, lw=1.4, solid_capstyle="butt")
    axes.plot([x], [one.mean], look.marker, color=look.colour, ms=5, mew=0)


def _equal_gain(axes: Axes, x: float, base: float, worth: Multiplier, gain: float, look: Look) -> None:
    """Draw the line to where the student alone gains as much, unless it is beyond what was measured."""
    if 1 < worth.k < worth.largest:
        axes.plot([base * worth.k, x], [gain, gain], ":", color=look.colour, lw=0.8)
        axes.plot([base * worth.k], [gain], "o", color=look.colour, ms=3, mfc="none")


def _k(worth: Multiplier | None) -> str:
    """Return the training multiplier, to write behind a name."""
    if worth is None:
        return ""
    sign = "<" if worth.k <= 1 else ">" if worth.k >= worth.largest * (1 - 1e-9) else "= "
    return f", k {sign}{worth.k:.3g}"


def _axes(axes: Axes, label: str) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axes.axhline(0, color=INK, lw=0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training cost in multiply-adds (steps of the student alone)")
    axes.set_ylabel(label)
    axes.margins(x=0.06, y=0.08)
