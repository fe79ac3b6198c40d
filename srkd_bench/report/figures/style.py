"""Common figure style: sizes, fonts, label placement."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from srkd_bench.config.metrics import METRICS
from srkd_bench.report.figures.palette import INK, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # inches, of IEEE's and most two-column papers
SMALL = 6.0  # points, of the smallest text
FAINT = 0.12  # opacity of grids and bands


@contextmanager
def styled(**more: Any) -> Iterator[None]:
    """Draw in srkd's style, and with more of matplotlib's settings; the user's are untouched.

    Matplotlib makes some parts of a figure only when it is saved, so drawing and saving both need this.
    """
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # of names in scripts that the font lacks
        matplotlib.rcdefaults()
        _set_style()
        matplotlib.rcParams.update(more)  # type: ignore[arg-type]  # its keys are literals
        yield


def _set_style() -> None:
    from matplotlib import rc

    rc("font", family=["DejaVu Sans"], size=7)  # comes with matplotlib: figures look alike on every machine
    rc("text", color=INK, parse_math=False)  # names may hold a dollar
    rc("axes", titlesize=7, titleweight="bold", titlelocation="left", titlepad=4, labelsize=7, linewidth=0.5)
    rc("axes", edgecolor=INK, labelcolor=INK, facecolor="none", axisbelow=True, grid=True)
    rc("axes.spines", top=False, right=False)
    rc("axes.formatter", use_mathtext=False, useoffset=False)
    rc("grid", color=INK, alpha=FAINT, linewidth=0.4)
    rc("lines", linewidth=1.0, markersize=3.5, markeredgewidth=0.6)
    rc("xtick", labelsize=6.5, color=INK)
    rc("ytick", labelsize=6.5, color=INK)
    rc("xtick.major", width=0.5, size=2.5)
    rc("ytick.major", width=0.5, size=2.5)
    rc("xtick.minor", width=0.4, size=1.5)
    rc("ytick.minor", width=0.4, size=1.5)
    rc("figure", facecolor="none")
    rc("savefig", facecolor="none", dpi=300)
    rc("pdf", fonttype=42)  # whole TrueType outlines: publishers refuse Type 3
    rc("svg", fonttype="path")  # the same wherever it is shown, whatever fonts are there


def new(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, whose parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def axis_label(metric: str, of: str = "") -> str:
    """Return an axis' label with its unit, such as `PSNR-Y (dB)`."""
    known = METRICS[metric]
    return f"{known.label}{of}{f' ({known.unit})' if known.unit else ''}"


def rows_only(axes: Axes) -> None:
    """Leave nothing of the vertical axis but its labels: rows are names."""
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Return the places moved as little as possible (least squares) so that all are `gap` apart, order kept."""
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    groups: list[list[int]] = []  # of places that touch; a group's middle is its members' mean

    def middle(group: list[int]) -> float:
        return fmean(places[i] for i in group)

    for i in order:
        groups.append([i])
        while len(groups) > 1:
            below, above = groups[-2:]
            if middle(above) - middle(below) >= gap * (len(below) + len(above)) / 2:
                break
            groups[-2:] = [below + above]
    moved = list(places)
    for group in groups:
        for k, i in enumerate(group):
            moved[i] = middle(group) + gap * (k - (len(group) - 1) / 2)
    return moved


def within(places: Sequence[float], gap: float) -> list[float]:
    """Return places as `apart` gives them, moved into 0..1 as far as they fit."""
    moved = apart(places, gap)
    order = sorted(range(len(places)), key=lambda i: moved[i])
    low, high = 0.0, 1.0
    for i in order:
        moved[i] = low = max(moved[i], low)
        low += gap
    for i in reversed(order):
        moved[i] = high = min(moved[i], high)
        high -= gap
    return moved


@dataclass(frozen=True)
class End:
    """Where a line or marker ends, in data's coordinates, and the name to write beside it."""

    x: float
    y: float
    name: str
    look: Look


def name_at_right(figure: Figure, ends: Sequence[tuple[Axes, Sequence[End]]]) -> None:
    """Write names right of axes, each as near as it can be to its end, with its marker and a thin line to it.

    Limits must not change afterwards: call it when all else is drawn.
    """
    from matplotlib.transforms import offset_copy

    figure.draw_without_rendering()  # lays out: only now are heights known
    for axes, own in ends:
        height = axes.get_window_extent().height * 72 / figure.dpi
        into = axes.transData + axes.transAxes.inverted()
        tips = [tuple(into.transform((end.x, end.y))) for end in own]
        heights = within([y for _, y in tips], 1.35 * SMALL / height)
        marks = offset_copy(axes.transAxes, figure, 10, 0, units="points")
        texts = offset_copy(axes.transAxes, figure, 14, 0, units="points")
        for end, tip, y in zip(own, tips, heights, strict=True):
            line = {"arrowstyle": "-", "lw": 0.4, "alpha": 0.6, "shrinkA": 2, "shrinkB": 2}
            line["color"] = end.look.colour
            axes.annotate("", tip, (1, y), "axes fraction", marks, arrowprops=line, annotation_clip=False)
            axes.plot([1], [y], end.look.marker, color=end.look.colour, transform=marks, clip_on=False)
            axes.text(1, y, end.name, transform=texts, fontsize=SMALL, va="center_baseline")


def panels(count: int, height: float, *, columns: int = 4, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side: one column of a paper wide for one, else two.

    Args:
        height: of a row in inches.
        columns: at most; rows are as even as can be.
    """
    rows = -(-count // columns)
    columns = -(-count // rows)
    figure = new(ONE_COLUMN if count == 1 else TWO_COLUMNS, height * rows)
    grid = list(figure.subplots(rows, columns, sharey=sharey, squeeze=False).flat)
    for spare in grid[count:]:
        spare.remove()
    return figure, grid[:count]


def mark(axes: Axes, markers: Sequence[str]) -> None:
    """Put a few markers on each line drawn so far, each at places of its own: colour may be lost in print."""
    for i, (line, marker) in enumerate(zip(axes.get_lines(), markers, strict=True)):
        count = len(np.atleast_1d(line.get_xdata()))
        every = max(1, count // 5)
        line.set(marker=marker, markevery=(every * i // len(markers), every))


def steps_in_thousands(axes: Axes) -> None:
    """Label a horizontal axis of steps in k and M."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def plain_powers(axes: Axes) -> None:
    """Label a logarithmic horizontal axis of large numbers: 10k, 1M, 20T."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,), numticks=8))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


def plain_numbers(axes: Axes) -> None:
    """Label a logarithmic vertical axis with plain numbers, the fewer the longer it is: 0.02, 1e-05."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axes.get_ylim()
    subs = range(1, 10) if high < 6 * low else (1, 2, 5) if high < 100 * low else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
