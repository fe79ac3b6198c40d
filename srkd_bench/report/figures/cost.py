"""PSNR against the cost of a network."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.results import Network, Results
from srkd_bench.report.figures.palette import Look, palette
from srkd_bench.report.figures.series import Means, means, methods, names_of, short
from srkd_bench.report.figures.style import (
    ONE_COLUMN,
    SMALL,
    End,
    axis_label,
    name_at_right,
    new,
    powers_of_ten,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COSTS = {"parameters": "parameters", "multiply_adds": "multiply-adds\nfor 1280×720 pixels"}


def cost(results: Results, metric: str) -> Figure | None:
    """Draw a row a data set: the score against parameters and multiply-adds; None without students.

    Points are means over seeds, bars their sample standard deviation; bicubic costs next to nothing: it is
    a line, or a number where a line would be far below.
    """
    networks: dict[str, Network] = {network.role: network for network in results.networks}
    found = means(results, metric)
    datasets = [name for name in results.datasets if _students(results, found, name)]
    if len(networks) < 2 or not datasets:
        return None
    names, looks = names_of(results), palette(results.columns)
    with styled():
        figure = new(ONE_COLUMN, 0.45 + 1.25 * len(datasets))
        grid = figure.subplots(len(datasets), 2, sharex="col", sharey="row", squeeze=False)
        figure.supylabel(axis_label(metric), fontsize=7)
        for row, dataset in zip(grid, datasets, strict=True):
            row[0].set_title(short(dataset))
            own = {m: list(found[dataset, m].values()) for m in results.columns if found.get((dataset, m))}
            bicubic = own.pop("bicubic", None)
            for axes, what in zip(row, COSTS, strict=True):
                _points(axes, what, own, networks, looks)
            if bicubic:
                _bicubic(row, bicubic[0], METRICS[metric].decimals, looks["bicubic"])
        for axes, what in zip(grid[-1], COSTS.values(), strict=True):
            axes.set_xlabel(what)
        x = _cost(networks, "none", "multiply_adds")  # every student's
        ends = [
            [End(x, fmean(found[on, m].values()), names[m], looks[m]) for m in _students(results, found, on)]
            for on in datasets
        ]
        name_at_right(figure, list(zip(grid[:, 1], ends, strict=True)))
    return figure


def _students(results: Results, found: Means, dataset: str) -> list[str]:
    return [model for model in methods(results) if found.get((dataset, model))]


def _cost(networks: dict[str, Network], model: str, what: str) -> float:
    network = networks["teacher" if model == "teacher" else "student"]
    return float(getattr(network, what))


def _points(
    axes: Axes, what: str, own: dict[str, list[float]], networks: dict[str, Network], looks: dict[str, Look]
) -> None:  # fmt: skip
    """Draw the models' means over seeds; `own` has each model's values."""
    for model, values in own.items():
        at, mean, look = _cost(networks, model, what), fmean(values), looks[model]
        bar = stdev(values) if len(values) > 1 else None
        size = 6 if model == "teacher" else 3.5
        axes.errorbar([at], [mean], yerr=bar, fmt=look.marker, color=look.colour, ms=size, elinewidth=0.8)
        if model == "teacher":
            axes.annotate(
                short(model), (at, mean), (0, 4), textcoords="offset points", fontsize=SMALL, ha="center"
            )
    costs = [float(getattr(network, what)) for network in networks.values()]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 2.2, max(costs) * 2.2)
    powers_of_ten(axes)
    axes.margins(y=0.16)


def _bicubic(row: Sequence[Axes], value: float, decimals: int, look: Look) -> None:
    """Draw bicubic as a line; where students would become one point for it, write its value at the bottom."""
    text = f"{short('bicubic')} {value:.{decimals}f}"
    low, high = row[0].get_ylim()
    if value < low - (high - low) / 2:
        row[0].text(0.97, 0.03, f"↓ {text}", transform=row[0].transAxes, fontsize=SMALL, ha="right")
        return
    for axes in row:
        axes.axhline(value, color=look.colour, lw=0.8, linestyle=":")
    row[0].annotate(
        text, (0.97, value), (0, 1), ("axes fraction", "data"), "offset points", fontsize=SMALL, ha="right"
    )
