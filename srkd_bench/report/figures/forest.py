"""Forest plot: differences from the baseline with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation import statistics
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import Difference
from srkd_bench.report.figures.palette import INK, palette
from srkd_bench.report.figures.series import means, names_of, noise, short
from srkd_bench.report.figures.style import FAINT, ONE_COLUMN, SMALL, axis_label, new, rows_only, styled
from srkd_bench.report.tables.differences import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


ROW = 0.145  # inches
Row = str | Difference | None
"""The name of a data set (None: of all together), or a difference on it."""


def forest(results: Results, metric: str) -> Figure | None:
    """Draw each method's difference from the baseline; None below two methods.

    What is neither better nor worse by `Difference.verdict` is pale. The band is the baseline's own standard
    deviation over seeds: what two trainings of the same method differ by.
    """
    rows = _rows(results, metric)
    if not rows:
        return None
    names, looks = names_of(results), palette(results.columns)
    base = names.get(results.baseline, results.baseline)
    with styled():
        figure = new(ONE_COLUMN, 0.5 + ROW * len(rows))
        axes = figure.add_subplot()
        axes.set_ylim(len(rows) - 0.4, -0.6)
        rows_only(axes)
        for y, row in enumerate(rows):
            if isinstance(row, Difference):
                _interval(axes, y, row, looks[row.model].colour, looks[row.model].marker)
        banded = _bands(axes, rows, results, metric)
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=4)
        axes.axvline(0, color=INK, lw=0.5)
        texts = [names[r.model] if isinstance(r, Difference) else short(r or "All data sets") for r in rows]
        axes.set_yticks(range(len(rows)), texts)
        for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
            tick.set_fontweight("normal" if isinstance(row, Difference) else "bold")
        axes.set_xlabel(axis_label(metric, f" minus that of {base}"))
        if banded:
            axes.text(
                0.5, 1.0, f"band: {base} ± 1 s.d. over seeds", fontsize=SMALL, alpha=0.6, transform=axes.transAxes,
                ha="center", va="bottom",
            )  # fmt: skip
    return figure


def _rows(results: Results, metric: str) -> list[Row]:
    """Return each data set's name followed by its differences."""
    found = [one for one in statistics.differences(results, metric) if math.isfinite(one.mean)]
    # Of one data set alone, all data sets together say the same again.
    datasets = [*results.datasets, None] if len(results.datasets) > 1 else results.datasets
    rows: list[Row] = []
    for dataset in datasets:
        block = [one for one in found if one.dataset == dataset]
        rows += [dataset, *block] if block else []
    return rows


def _bands(axes: Axes, rows: Sequence[Row], results: Results, metric: str) -> bool:
    """Draw the baseline's deviation over seeds behind each data set's rows; return whether any is known."""
    spread, banded = means(results, metric), False
    for y, row in enumerate(rows):
        if isinstance(row, Difference) or (band := noise(spread, row, results.baseline)) is None:
            continue
        size = sum(isinstance(one, Difference) and one.dataset == row for one in rows)
        axes.fill_betweenx([y + 0.5, y + size + 0.5], -band, band, color=INK, alpha=FAINT, lw=0)
        banded = True
    return banded


def _interval(axes: Axes, y: int, one: Difference, colour: str, marker: str) -> None:
    """Draw a row: its interval, its mean, and both in figures at the right."""
    real = one.verdict in ("better", "worse")
    alpha = 1 if real else 0.5
    if math.isfinite(one.low) and math.isfinite(one.high):
        axes.plot([one.low, one.high], [y, y], color=colour, alpha=alpha, solid_capstyle="butt")
    axes.plot([one.mean], [y], marker, color=colour, alpha=alpha, ms=4, mew=0)
    decimals = METRICS[one.metric].decimals
    low, high = signed(one.low, decimals), signed(one.high, decimals)
    interval = f" [{low}, {high}]" if math.isfinite(one.low) and math.isfinite(one.high) else ""
    axes.annotate(
        signed(one.mean, decimals) + interval, (1, y), (4, 0), ("axes fraction", "data"), "offset points",
        va="center", fontsize=SMALL, fontweight="bold" if real else "normal",
    )  # fmt: skip
