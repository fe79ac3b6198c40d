"""One region of an image as each model renders it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Crop:
    """A region of a data set's image, in HR pixels; `x` and `y` are its left and top."""

    dataset: str
    image: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class View:
    """The region as rendered by one model.

    Args:
        model: `hr`, `lr`, `bicubic`, `teacher` or a method's name.
        pixels: (height, width, 3) uint8; for `lr` smaller by the scale.
        psnr: PSNR-Y of the region in dB against HR; None for `hr` and `lr`.
    """

    model: str
    pixels: NDArray[np.uint8]
    psnr: float | None


@dataclass(frozen=True)
class Panel:
    """A region as all models render it, in the report's order after `hr` and `lr`.

    Args:
        seed: of the students shown.
        whole: the HR image, small, (h, w, 3) uint8, to show where the region lies.
        size: the HR image's true width and height, which the region's place is a part of.
        named: whether a user named the region; else it was chosen, where the methods differ most.
    """

    crop: Crop
    seed: int | None
    views: list[View]
    whole: NDArray[np.uint8]
    size: tuple[int, int]
    named: bool = False
