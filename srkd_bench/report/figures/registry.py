"""The table of figures; draw and save them.

Every module holds one figure; `style` and `palette` say how all of them look.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from srkd_bench.core.files import put
from srkd_bench.evaluation.results import Results
from srkd_bench.report.figures.cost import cost
from srkd_bench.report.figures.curves import curves
from srkd_bench.report.figures.forest import forest
from srkd_bench.report.figures.images import images
from srkd_bench.report.figures.seeds import seeds
from srkd_bench.report.figures.style import styled
from srkd_bench.report.figures.svg import to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FIGURES: dict[str, Callable[[Results, str], Figure | None]] = {
    "forest": forest,
    "seeds": seeds,
    "images": images,
    "cost": cost,
}
"""Every figure of a metric, in the order to show them; `curves` has none."""
CAPTIONS = {
    "forest": "Difference from the baseline. Dots are seeds, thick bars 95 % intervals, thin bars intervals that "
    "hold for all methods together. Methods without a significant difference on all data sets are pale. Controls, "
    "if any, have an axis of their own.",
    "seeds": "Mean over images of each seed, without controls. Thin lines connect the students of a seed; vertical "
    "marks are means over seeds.",
    "images": "Difference from the baseline on each image, mean over seeds, sorted for each method, without "
    "controls. A curve crosses zero at the share of images that lose.",
    "cost": "Difference from the baseline on all data sets against the cost of training. Bars are 95 % intervals; "
    "methods of equal cost stand side by side. The line is the student alone, trained for longer. A dotted line "
    "ends where the student alone gains as much as the method, after k times as many steps.",
    "curves": "Training of the students, without controls: means over seeds, smoothed where a value is of one "
    "batch.",
}
"""What a reader must know of each figure; captions of the page."""
SUFFIXES = (".pdf", ".png", ".svg")


def figures(results: Results) -> dict[str, Figure]:
    """Return all figures that have something to draw, by name: `forest-psnr_y`, …, `curves`."""
    wanted = [(name, metric) for metric in results.metrics for name in FIGURES]
    drawn = {f"{name}-{metric}": FIGURES[name](results, metric) for name, metric in wanted}
    drawn["curves"] = curves(results)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the same figure gives the same bytes. PNG has a white ground, PDF and SVG none.

    Args:
        path: ends in one of `SUFFIXES`; an SVG's ids begin with its stem.
    Raises:
        SrkdError: it cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind == "svg":
        put(path, to_svg(figure, path.stem) + "\n")
        return
    file = BytesIO()
    ground, metadata = {"pdf": ("none", {"CreationDate": None}), "png": ("white", {})}[kind]
    with styled():
        figure.savefig(file, format=kind, facecolor=ground, metadata=metadata)
    put(path, file.getvalue())
