"""Embed images and figures in the page."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from srkd_bench.data.catalog import DATASETS, base
from srkd_bench.evaluation.regions import Panel
from srkd_bench.report.page.findings import listed
from srkd_bench.report.tables.table import LABELS, label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


VIEWS = {**LABELS, "hr": "HR (ground truth)", "lr": "LR (input)"}
PIXELS_PER_POINT = 1.75  # of figures: their 7 pt letters are then as large as a caption's
WIDE = 300  # points; a figure of two columns, which narrow screens scroll
CHOSEN = (
    "They were chosen automatically in each data set: the images whose PSNR-Y differs most between the methods, and"
    " in each the square in which their outputs differ most. Differences are therefore larger here than elsewhere."
)
NAMED = "They were selected by the user who made this report (option --crop)."


def pictured(panel: Panel, names: Mapping[str, str], baseline: str) -> dict[str, Any]:
    """Return what the template shows of a panel; its slider starts with the baseline and the ground truth."""
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


def selection(datasets: Sequence[str], panels: Sequence[Panel]) -> list[str]:
    """Return how the regions were chosen, and which of them are not of the data sets that were scored."""
    scored = set(map(base, datasets))
    others = list(dict.fromkeys(one.crop.dataset for one in panels if base(one.crop.dataset) not in scored))
    notes = [CHOSEN] if any(not one.named for one in panels) else []
    notes += [NAMED] if any(one.named for one in panels) else []
    if others:
        notes.append(
            f"Images of {listed([label(name) for name in others])} do not belong to the scored data sets"
            f" ({', '.join(map(label, datasets))}): they illustrate the outputs and are in no score of this page."
            " Reports show such images where the scored ones are missing or may not be published."
        )
    if builtin := [label(name) for name in others if name in DATASETS and DATASETS[name].builtin]:
        notes.append(f"{listed(builtin)}: photographs that come with scikit-image.")
    return notes


def drawing(svg: str) -> dict[str, Any]:
    """Return a figure in pixels; it was drawn in points, for a paper's columns."""
    from markupsafe import Markup

    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        return {"svg": Markup(svg), "wide": False}  # drawn by this package
    width, height = (float(side) for side in found.groups())
    for side, length in (("width", width), ("height", height)):
        svg = re.sub(rf' {side}="[\d.]+pt"', f' {side}="{length * PIXELS_PER_POINT:.0f}"', svg, count=1)
    return {"svg": Markup(svg), "wide": width > WIDE}


def data_uri(pixels: NDArray[np.uint8], format: str = "PNG") -> str:
    """Return an image (h, w, 3) as a data URI.

    Args:
        format: `PNG` for exact pixels, `JPEG` for an overview.
    """
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, format, optimize=True)
    return f"data:image/{format.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
