"""Per-image differences from the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srkd_bench.evaluation.results import Results
from srkd_bench.report.figures.palette import INK, palette
from srkd_bench.report.figures.series import methods, names_of, short
from srkd_bench.report.figures.style import End, axis_label, mark, name_at_right, panels, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def images(results: Results, metric: str) -> Figure | None:
    """Draw each method's differences from the baseline image by image, sorted; None below two methods.

    Pairs are those of `Results.pairs`, as in all tables. Where a curve crosses zero is the share of images that
    lose.
    """
    gains = {dataset: _gains(results, metric, dataset) for dataset in results.datasets}
    gains = {dataset: curves for dataset, curves in gains.items() if curves}
    if not gains:
        return None
    names, looks = names_of(results), palette(results.columns)
    with styled():
        figure, grid = panels(len(gains), 1.8, columns=2)
        ends = list[list[End]]()
        for axes, (dataset, curves) in zip(grid, gains.items(), strict=True):
            ends.append([])
            count = max(map(len, curves.values()))
            axes.set_title(f"{short(dataset)} ({count} image{'s' * (count != 1)})")
            for model, values in curves.items():
                shares = [100 * (i + 0.5) / len(values) for i in range(len(values))]
                axes.plot(shares, values, color=looks[model].colour)
                ends[-1].append(End(shares[-1], values[-1], names[model], looks[model]))
            mark(axes, [looks[model].marker for model in curves])
            axes.axhline(0, color=INK, lw=0.5)
            axes.set_xlim(0, 100)
            axes.set_xticks([0, 50, 100])
            axes.set_xlabel("images, from worst to best (%)")
        base = names.get(results.baseline, results.baseline)
        figure.supylabel(axis_label(metric, f" minus that of {base}"), fontsize=7)
        name_at_right(figure, list(zip(grid, ends, strict=True)))
    return figure


def _gains(results: Results, metric: str, dataset: str) -> dict[str, list[float]]:
    """Return each method's differences from the baseline, sorted."""
    base = results.baseline
    compared = (model for model in methods(results) if model != base)
    gains = {model: results.image_gains(metric, model, base, dataset) for model in compared}
    return {model: sorted(own.values()) for model, own in gains.items() if own}
