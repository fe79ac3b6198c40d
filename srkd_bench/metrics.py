"""PSNR and SSIM by the field's protocol: pure functions, and the table of what srkd measures."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srkd_bench.images import luma

PROTOCOLS = {
    "y@1": "SR is rounded to 8 bits, as a saved PNG; both images become BT.601 luma, not rounded; `scale` pixels "
    "are left out on every side; a data set's score is the mean of its images'. "
    "SSIM: 11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03, only where the window fits.",
    "rgb@1": "As y@1, but on the three colour channels, with one mean squared error over all of them.",
}

WINDOW = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()
STRIP = 32
# Row i has the window at its columns i to i + 10.
BAND = np.array([np.pad(WINDOW, (i, STRIP - 1 - i)) for i in range(STRIP)])


def psnr(sr: NDArray[Any], hr: NDArray[Any], *, border: int) -> float:
    """Return the peak signal-to-noise ratio in dB, `inf` where the images are equal.

    Args:
        sr, hr: (H, W) or (H, W, C), same shape, values in 0..255.
        border: pixels left out on every side; the field uses `scale`.
    Raises:
        ValueError: the shapes differ, or nothing is left inside `border`.
    """
    sr, hr = _inside(sr, hr, border, least=1)
    mse = np.mean((sr - hr) ** 2)
    return 10 * math.log10(255**2 / mse) if mse else math.inf


def ssim(sr: NDArray[Any], hr: NDArray[Any], *, border: int) -> float:
    """Return the mean structural similarity, 1 where the images are equal.

    Args:
        sr, hr: (H, W), same shape, values in 0..255.
        border: pixels left out on every side; the field uses `scale`.
    Raises:
        ValueError: the shapes differ or aren't (H, W), or less than 11 x 11 pixels are left inside `border`.
    Source: Wang et al., IEEE TIP 2004; window and constants as in its authors' `ssim_index.m`.
    """
    if sr.ndim != 2:
        raise ValueError(f"expected an image (H, W), got {sr.shape}")
    sr, hr = _inside(sr, hr, border, least=len(WINDOW))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    # Of the two variances only the sum is needed: one blur less.
    mean_sr, mean_hr, mean_product, mean_squares = _blur(np.stack([sr, hr, sr * hr, sr**2 + hr**2]))
    product = mean_sr * mean_hr
    squares = mean_sr**2 + mean_hr**2
    covariance = mean_product - product
    variances = mean_squares - squares
    return float(np.mean((2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))))


def _inside(
    sr: NDArray[Any], hr: NDArray[Any], border: int, least: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if sr.shape != hr.shape:
        raise ValueError(f"SR is {sr.shape} but HR is {hr.shape}")
    height, width = sr.shape[:2]
    if border < 0 or min(height, width) - 2 * border < least:
        raise ValueError(f"{sr.shape} leaves less than {least} x {least} pixels inside a border of {border}")
    inside = np.s_[border : height - border, border : width - border]
    return sr[inside].astype(np.float64), hr[inside].astype(np.float64)


def _blur(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh (N, H, W) with the Gaussian window wherever it fits, so that (N, H - 10, W - 10) are left.

    The window is separable: down the columns, then along the rows. Each is a product with a band matrix, `STRIP`
    results at a time: that is four times the arithmetic of the sums, and still three times faster.
    """
    more = len(WINDOW) - 1
    n, height, width = images.shape
    down = np.empty((n, height - more, width))
    for first in range(0, height - more, STRIP):
        band = BAND[: height - more - first, : height - first]
        np.matmul(band, images[:, first : first + STRIP + more], out=down[:, first : first + STRIP])
    blurred = np.empty((n, height - more, width - more))
    for first in range(0, width - more, STRIP):
        band = BAND[: width - more - first, : width - first].T
        np.matmul(down[..., first : first + STRIP + more], band, out=blurred[..., first : first + STRIP])
    return blurred


@dataclass(frozen=True, slots=True)
class Metric:
    """A column of the reports.

    Args:
        score: (sr, hr, *, border) -> float, on what its protocol measures.
        protocol: a key of `PROTOCOLS`.
        label, unit, decimals: how reports print it; `unit` may be empty.
    """

    score: Callable[..., float]
    protocol: str
    label: str
    unit: str
    decimals: int


METRICS = {
    "psnr_y": Metric(psnr, "y@1", "PSNR-Y", "dB", 3),
    "ssim_y": Metric(ssim, "y@1", "SSIM-Y", "", 4),
    "psnr_rgb": Metric(psnr, "rgb@1", "PSNR-RGB", "dB", 3),
}


def measure(
    sr: NDArray[np.uint8], hr: NDArray[np.uint8], *, scale: int, metrics: Iterable[str]
) -> dict[str, float]:
    """Return each metric of one image, by its key in `METRICS`.

    Args:
        sr, hr: (H, W, 3) uint8, same shape.
        scale: so many pixels are left out on every side.
        metrics: keys of `METRICS`.
    Raises:
        ValueError: not such images, or too small ones.
    """
    for image in (sr, hr):
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ValueError(f"expected a uint8 image (H, W, 3), got {image.dtype} {image.shape}")
    images = {"y@1": (luma(sr), luma(hr)), "rgb@1": (sr, hr)}
    chosen = {name: METRICS[name] for name in metrics}
    return {name: metric.score(*images[metric.protocol], border=scale) for name, metric in chosen.items()}
