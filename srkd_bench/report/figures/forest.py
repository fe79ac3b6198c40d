"""Forest plot: differences from the baseline with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation import statistics
from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import Difference
from srkd_bench.report.figures.palette import INK, Look, palette
from srkd_bench.report.figures.series import names_of, short
from srkd_bench.report.figures.style import FAINT, SMALL, TWO_COLUMNS, axis_label, new, rows_only, styled
from srkd_bench.report.tables.differences import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


ROW, AXIS = 0.165, 0.25  # inches: a row, and the horizontal axis below a panel's rows
BAND = 0.02  # dB on both sides of 0
PALE = 0.4  # opacity of methods whose difference is not significant
Row = tuple[str, Difference | None]
"""A name at the left, and the difference; None for a heading."""


def forest(results: Results, metric: str) -> Figure | None:
    """Draw each method's difference from the baseline: on all data sets, then on each; None below two methods.

    Dots are seeds, thick bars 95 % intervals, thin bars simultaneous intervals of all methods. Methods whose
    difference on all data sets is not significant are pale. Controls have a panel and an axis of their own.
    """
    found = [one for one in statistics.differences(results, metric) if math.isfinite(one.mean)]
    if len(results.datasets) == 1:  # on which all data sets together say the same
        found = [one for one in found if one.dataset is None]
    names, looks = names_of(results), palette(results.columns)
    panels = [rows for rows in (_methods(results, found, names), _controls(results, found, names)) if rows]
    if not panels:
        return None
    significant = {one.model for one in found if one.verdict in ("better", "worse")}
    base = names.get(results.baseline, results.baseline)
    counts = [len(rows) for rows in panels]
    with styled():
        figure = new(TWO_COLUMNS, ROW * sum(counts) + AXIS * (len(panels) + 1))
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=counts)[:, 0]
        for axes, rows in zip(grid, panels, strict=True):
            _panel(axes, rows, METRICS[metric].unit)
            for y, (_, one) in enumerate(rows):
                if one is not None:
                    alpha = 1 if one.model in significant else PALE
                    _interval(axes, y, one, looks[one.model], alpha)
            axes.margins(x=0.03)
        grid[-1].set_xlabel(axis_label(metric, f" minus that of {base}"))
    return figure


def _methods(results: Results, found: Sequence[Difference], names: dict[str, str]) -> list[Row]:
    """Return the methods under the data set's name, all data sets together first."""
    rows: list[Row] = []
    for dataset in (None, *results.datasets):
        block = [
            (names[one.model], one) for one in found if one.dataset == dataset and not is_control(one.model)
        ]
        rows += [(_on(results, dataset), None), *block] if block else []
    return rows


def _controls(results: Results, found: Sequence[Difference], names: dict[str, str]) -> list[Row]:
    """Return the data sets under the control's name."""
    rows: list[Row] = []
    for control in filter(is_control, results.columns):
        block = [(_on(results, one.dataset), one) for one in found if one.model == control]
        block.sort(key=lambda row: row[1].dataset is not None)
        rows += [(names[control], None), *block] if block else []
    return rows


def _on(results: Results, dataset: str | None) -> str:
    if dataset is None and len(results.datasets) == 1:
        dataset = results.datasets[0]
    return short(dataset or "All data sets")


def _panel(axes: Axes, rows: Sequence[Row], unit: str) -> None:
    """Prepare axes for rows: their names at the left, zero, and the band of small differences."""
    axes.set_ylim(len(rows) - 0.4, -0.6)
    rows_only(axes)
    axes.axvline(0, color=INK, lw=0.5)
    if unit == "dB":
        axes.axvspan(-BAND, BAND, color=INK, alpha=FAINT, lw=0)
        place: dict[str, Any] = {
            "xycoords": axes.get_xaxis_transform(),
            "textcoords": "offset points",
            "ha": "center",
        }
        axes.annotate(f"±{BAND} dB", (0, 1), (0, 2), fontsize=SMALL, alpha=0.6, **place)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    for tick, (_, one) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if one is None else "normal")
    axes.locator_params(axis="x", nbins=9)


def _interval(axes: Axes, y: int, one: Difference, look: Look, alpha: float) -> None:
    """Draw a row: its seeds, intervals and mean, and the numbers with the verdict at the right.

    The simultaneous interval does not extend the axis: with few seeds it is many times as wide as the other.
    """
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"color": look.colour, "alpha": alpha, "solid_capstyle": "butt"}
    if one.simultaneous:
        axes.add_artist(Line2D(one.simultaneous, [y, y], lw=0.7, **style))
    if math.isfinite(one.low):
        axes.plot([one.low, one.high], [y, y], lw=2.2, **style)
    axes.plot(
        one.unit_means,
        [y + 0.3] * len(one.unit_means),
        "o",
        color=look.colour,
        alpha=0.6 * alpha,
        ms=2,
        mew=0,
    )
    axes.plot([one.mean], [y], look.marker, color=look.colour, alpha=alpha, ms=4.5, mew=0)
    axes.annotate(
        f"{in_words(one, METRICS[one.metric].decimals)} {one.verdict or ''}", (1, y), (4, 0),
        ("axes fraction", "data"), "offset points", va="center", fontsize=SMALL,
    )  # fmt: skip
