"""Embed images and figures in the page."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from srkd_bench.evaluation.regions import Panel
from srkd_bench.report.tables.table import LABELS, label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


VIEWS = {**LABELS, "hr": "HR, the truth", "lr": "LR, the input"}
PIXELS_A_POINT = 1.75  # that figures are shown at: their 7 pt letters are then as large as a caption's
WIDE = 300  # points; a figure of two columns, which a phone scrolls


def pictured(panel: Panel, names: Mapping[str, str], baseline: str) -> dict[str, Any]:
    """Return what the template shows of a panel; its slider begins between the baseline and the truth."""
    models = [view.model for view in panel.views]
    return {
        "dataset": label(panel.crop.dataset),
        "image": panel.crop.image,
        "crop": panel.crop,
        "size": panel.size,
        "whole": data_uri(panel.whole, "JPEG"),
        "seed": panel.seed,
        "left": models.index(baseline) if baseline in models else 0,
        "right": models.index("hr") if "hr" in models else len(models) - 1,
        "views": [
            {
                "label": VIEWS.get(view.model, names.get(view.model, view.model)),
                "source": data_uri(view.pixels),
                "height": view.pixels.shape[0],
                "width": view.pixels.shape[1],
                "psnr": None if view.psnr is None else f"{view.psnr:.2f} dB",
            }
            for view in panel.views
        ],
    }


def drawing(svg: str) -> dict[str, Any]:
    """Return a figure in pixels; it was drawn in points, for a paper's columns."""
    from markupsafe import Markup

    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        return {"svg": Markup(svg), "wide": False}  # drawn by this package
    width, height = (float(side) for side in found.groups())
    for side, length in (("width", width), ("height", height)):
        svg = re.sub(rf' {side}="[\d.]+pt"', f' {side}="{length * PIXELS_A_POINT:.0f}"', svg, count=1)
    return {"svg": Markup(svg), "wide": width > WIDE}


def data_uri(pixels: NDArray[np.uint8], format: str = "PNG") -> str:
    """Return an image (h, w, 3) as an address that holds its own file.

    Args:
        format: `PNG`, exact to the last bit, or `JPEG` where only the place matters.
    """
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, format, optimize=True)
    return f"data:image/{format.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
