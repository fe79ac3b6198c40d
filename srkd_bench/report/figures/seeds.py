"""Scores of every seed."""

from __future__ import annotations

from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING

from srkd_bench.evaluation.results import Results
from srkd_bench.report.figures.palette import INK, palette
from srkd_bench.report.figures.series import means, methods, names_of, short
from srkd_bench.report.figures.style import FAINT, axis_label, panels, rows_only, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def seeds(results: Results, metric: str) -> Figure | None:
    """Draw every seed's mean over images, a tick for their mean and a line through each seed; None below two seeds.

    Where the lines run side by side, a comparison seed by seed sees more than one of the means.
    """
    found, models = means(results, metric), methods(results)
    numbers = sorted({seed for values in found.values() for seed in values if seed is not None})
    datasets = [name for name in results.datasets if any(found.get((name, model)) for model in models)]
    if len(numbers) < 2:
        return None
    names, looks, units = names_of(results), palette(results.columns), list(map(results.unit, models))
    with styled():
        figure, grid = panels(len(datasets), 0.45 + 0.19 * len(models), sharey=True)
        for axes, dataset in zip(grid, datasets, strict=True):
            axes.set_title(short(dataset))
            rows_only(axes)
            own = {y: found.get((dataset, model), {}) for y, model in enumerate(models)}
            for unit, seed in product(("seed", "teacher"), numbers):
                alike = {y: values for y, values in own.items() if seed in values and units[y] == unit}
                axes.plot([one[seed] for one in alike.values()], list(alike), color=INK, alpha=FAINT, lw=0.5)
            for y, model in enumerate(models):
                if not own[y]:
                    continue
                look, values = looks[model], list(own[y].values())
                axes.plot(values, [y] * len(values), look.marker, color=look.colour, alpha=0.75, mew=0)
                axes.plot([fmean(values)] * 2, [y - 0.32, y + 0.32], color=look.colour, lw=1.6)
            axes.set_xlabel(axis_label(metric))
            axes.locator_params(axis="x", nbins=4)
        grid[0].set_ylim(len(models) - 0.5, -0.5)
        grid[0].set_yticks(range(len(models)), [names[model] for model in models])
    return figure
