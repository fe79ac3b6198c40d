"""Image regions side by side, with error maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srkd_bench.data.images import luma
from srkd_bench.evaluation.regions import Panel
from srkd_bench.report.figures.series import short
from srkd_bench.report.figures.style import SMALL, TWO_COLUMNS, styled
from srkd_bench.report.tables.table import UNRANKED, capitals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Inches.
GAP = 0.05
LINE = 0.12  # of text
BAR = 0.42  # the colour bar with its numbers
BOX = ("#202020", 2.2), ("#ffffff", 1.0)  # seen on any image
DECIMALS = 2
PIXELS = 256  # of a magnified region's shorter side, at least: some viewers of PDF blur what is small


def sheet(panels: Sequence[Panel]) -> Figure:
    """Draw each region: the whole image, the views with their PSNR-Y, the best method's in bold, and error maps.

    An error is that of luma, without its sign; all maps of a region share one scale, which ends where one in 500
    pixels is above it.
    """
    from matplotlib.figure import Figure

    heights = [_Layout(panel).height for panel in panels]
    with styled():
        figure = Figure(figsize=(TWO_COLUMNS, sum(heights) + 2 * GAP * (len(panels) - 1)))
        top = 0.0
        for panel, height in zip(panels, heights, strict=True):
            _draw(_Page(figure, top), panel, _Layout(panel))
            top += height + 2 * GAP
    return figure


class _Layout:
    """Widths and heights of a panel's parts, in inches: the whole image is as high as the two rows beside it."""

    def __init__(self, panel: Panel) -> None:
        shape = panel.crop.height / panel.crop.width
        self.columns = math.ceil(len(panel.views) / 2)
        self.rows = math.ceil(len(panel.views) / self.columns)
        ratio = panel.size[1] / panel.size[0]
        room = TWO_COLUMNS - self.columns * GAP
        rows_beside = self.rows * (shape * room / self.columns + 2 * LINE + GAP)
        best = (rows_beside - 2 * LINE) / (ratio + self.rows * shape / self.columns)
        self.whole = min(max(best, 1.2), 3.2)
        self.crop = (room - self.whole) / self.columns, shape * (room - self.whole) / self.columns
        self.whole_height = ratio * self.whole
        self.top = max(self.whole_height + 2 * LINE + GAP, self.rows * (self.crop[1] + 2 * LINE + GAP))
        self.errors = len(panel.views) - 2
        width = min((TWO_COLUMNS - BAR - self.errors * GAP) / self.errors, self.crop[0])
        self.error = width, shape * width
        self.height = self.top + self.error[1] + 2 * LINE + GAP


class _Page:
    """A place in a figure that axes and texts are put on by inches from its left and top."""

    def __init__(self, figure: Figure, top: float) -> None:
        self.figure, self.top = figure, top

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Add axes without ticks, whose frame is a hairline."""
        w, h = self.figure.get_size_inches()
        axes = self.figure.add_axes((x / w, 1 - (self.top + y + height) / h, width / w, height / h))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        return axes

    def text(self, x: float, y: float, text: str, *, bold: bool = False, room: float = math.inf) -> None:
        """Write a line in the middle of `x`, whose top is `y`, so small that it is not wider than `room`."""
        w, h = self.figure.get_size_inches()
        looks: dict[str, Any] = {"ha": "center", "va": "top", "weight": "bold" if bold else "normal"}
        line = self.figure.text(x / w, 1 - (self.top + y) / h, text, size=SMALL, **looks)
        line.set_fontsize(SMALL * min(1, room * self.figure.dpi / line.get_window_extent().width))


def _draw(page: _Page, panel: Panel, layout: _Layout) -> None:
    crop, views = panel.crop, panel.views
    axes = page.axes(0, 0, layout.whole, layout.whole_height)
    axes.imshow(panel.whole, extent=(0, panel.size[0], panel.size[1], 0), aspect="auto", interpolation="none")
    box = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) * (crop.width, crop.height) + (crop.x, crop.y)
    for colour, width in BOX:
        axes.plot(*box.T, color=colour, lw=width, solid_joinstyle="miter")
    axes.set(xlim=(0, panel.size[0]), ylim=(panel.size[1], 0))
    y = layout.whole_height + 0.03
    page.text(layout.whole / 2, y, f"{short(crop.dataset)}: {short(crop.image)}", bold=True)
    where = f"{crop.width}×{crop.height} pixels at {crop.x}, {crop.y}"
    seed = "" if panel.seed is None else f"; seed {panel.seed}"
    page.text(layout.whole / 2, y + LINE, where + seed)

    printed = {  # of what competes
        view.model: round(view.psnr, DECIMALS)
        for view in views
        if view.psnr is not None and view.model not in UNRANKED
    }
    best = max(printed.values(), default=None)
    width, height = layout.crop
    for i, view in enumerate(views):
        x = layout.whole + GAP + (i % layout.columns) * (width + GAP)
        y = (i // layout.columns) * (height + 2 * LINE + GAP)
        page.axes(x, y, width, height).imshow(_magnified(view.pixels), aspect="auto", interpolation="none")
        bold = view.model in printed and printed[view.model] == best
        page.text(x + width / 2, y + height + 0.03, _name(view.model), bold=bold, room=width)
        psnr = "" if view.psnr is None else f"{view.psnr:.{DECIMALS}f} dB"
        page.text(x + width / 2, y + height + 0.03 + LINE, psnr, bold=bold)
    _errors(page, panel, layout)


def _errors(page: _Page, panel: Panel, layout: _Layout) -> None:
    hr = luma(panel.views[0].pixels)
    errors = {view.model: abs(luma(view.pixels) - hr) for view in panel.views if view.psnr is not None}
    end = max(float(np.quantile(list(errors.values()), 0.998)), 1.0)
    width, height = layout.error
    for i, (model, error) in enumerate(errors.items()):
        x = i * (width + GAP)
        axes = page.axes(x, layout.top, width, height)
        looks: dict[str, Any] = {"cmap": "magma", "aspect": "auto", "interpolation": "none"}
        image = axes.imshow(_magnified(error), vmin=0, vmax=end, **looks)
        page.text(x + width / 2, layout.top + height + 0.03, _name(model), room=width)
    bar = page.axes(len(errors) * (width + GAP) + 0.03, layout.top, 0.07, height)
    colours = page.figure.colorbar(image, cax=bar, extend="max", extendfrac=0.06)
    colours.outline.set_visible(False)
    bar.tick_params(labelsize=SMALL, length=1.5, pad=1)
    bar.locator_params(axis="y", nbins=4)
    below = layout.top + height + 0.03 + LINE
    page.text(len(errors) * (width + GAP) / 2, below, "Absolute error of luma (16–235)")


def _magnified(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels repeated, each a square of its own."""
    times = math.ceil(PIXELS / min(pixels.shape[:2]))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def _name(model: str) -> str:
    return short(capitals(model))
