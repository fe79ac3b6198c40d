"""Heat maps: the gain of each method over two axes of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import CellResults, axes_of, free, grouped, tied
from srkd_bench.evaluation.grids.gains import CellGain
from srkd_bench.evaluation.statistics import Difference
from srkd_bench.report.figures.style import SMALL, TWO_COLUMNS, new, styled
from srkd_bench.report.grids.gains import gain_text, two_axes
from srkd_bench.report.grids.names import axis_title, baseline_of, cell_name, labels_of, value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


ROW, AROUND = 0.28, 0.55  # inches: the height of a row of cells, and what stands around it
COLOURS = "RdBu"  # red: worse, blue: better; colour-blind readers can distinguish them
DARK, LIGHT = "#111111", "#f8f8f8"


def heat(cells: Sequence[CellResults], gains: Sequence[CellGain], metric: str) -> Figure | None:
    """Draw the gain of each method, a column of panels, over two axes; a row for each value of the others.

    Controls have no panels.

    Returns:
        None for grids with fewer than two axes that vary, or without a gain.
    """
    keys = two_axes(cells)
    known = {
        (one.cell.name, one.model): one.difference
        for one in gains
        if one.difference is not None and math.isfinite(one.difference.mean) and not is_control(one.model)
    }
    models = list(dict.fromkeys(model for _, model in known))
    if keys is None or not models:
        return None
    groups, names = grouped(cells, *keys, *tied(cells)), labels_of(cells)
    others = [key for key in free(cells) if key not in keys]
    limit = max(max(abs(one.mean) for one in known.values()), 1e-9)
    height = len(groups) * (ROW * len(axes_of(cells)[keys[0]]) + AROUND)
    with styled(**{"axes.grid": False}):
        figure = new(TWO_COLUMNS, height)
        grid = figure.subplots(len(groups), len(models), squeeze=False, sharex=True, sharey=True)
        for own, group in zip(grid, groups, strict=True):
            for axes, model in zip(own, models, strict=True):
                here = {cell.name: known.get((cell.name, model)) for cell in group}
                _panel(axes, group, here, keys, limit, METRICS[metric].decimals, axes_of(cells))
                where = cell_name(group[0], others)
                axes.set_title(f"{names[model]}{f', {where}' if where else ''}", fontsize=SMALL + 0.5)
            own[0].set_ylabel(axis_title(keys[0]))
        for axes in grid[-1]:
            axes.set_xlabel(axis_title(keys[1]))
        unit = METRICS[metric].unit
        figure.suptitle(
            f"{METRICS[metric].label} minus that of {baseline_of(cells)}{f' ({unit})' if unit else ''}",
            fontsize=7,
        )
    return figure


def _panel(
    axes: Axes,
    group: Sequence[CellResults],
    known: dict[str, Difference | None],
    keys: tuple[str, str],
    limit: float,
    decimals: int,
    labels: dict[str, list[str]],
) -> None:
    """Draw the gains of one method in cells that differ on two axes."""
    down, across = (labels[key] for key in keys)
    values = np.full((len(down), len(across)), np.nan)
    for cell in group:
        row, column = down.index(cell.axes[keys[0]]), across.index(cell.axes[keys[1]])
        if (one := known[cell.name]) is not None:
            values[row, column] = one.mean
            ink = LIGHT if abs(one.mean) > 0.6 * limit else DARK
            text = gain_text(one, decimals)
            axes.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", color=ink, fontsize=SMALL - 0.5
            )
    axes.pcolormesh(values, cmap=COLOURS, vmin=-limit, vmax=limit, edgecolors="none")
    axes.set_xticks(np.arange(len(across)) + 0.5, [value(keys[1], text) for text in across])
    axes.set_yticks(np.arange(len(down)) + 0.5, [value(keys[0], text) for text in down])
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
