"""PSNR and SSIM by the field's protocol."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from srkd_bench.config.metrics import METRICS
from srkd_bench.data.images import luma

WINDOW = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()
STRIP = 16
# One row per pixel of a strip, holding the window at that pixel: one matrix product blurs a strip.
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
    difference = sr - hr
    difference *= difference
    mse = difference.mean()
    return 10 * math.log10(255**2 / mse) if mse else math.inf


def ssim(sr: NDArray[Any], hr: NDArray[Any], *, border: int) -> float:
    """Return the mean structural similarity, 1 where the images are equal.

    Args:
        sr, hr: (H, W), same shape, values in 0..255.
        border: pixels left out on every side; the field uses `scale`.
    Raises:
        ValueError: the shapes differ or are not (H, W), or fewer than 11 x 11 pixels are left inside `border`.
    Source: Wang et al., IEEE TIP 2004; window and constants as in its authors' `ssim_index.m`.
    """
    if sr.ndim != 2:
        raise ValueError(f"expected an image (H, W), got {sr.shape}")
    sr, hr = _inside(sr, hr, border, least=len(WINDOW))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_sr, mean_hr = _blur(sr), _blur(hr)
    product = mean_sr * mean_hr
    squares = mean_sr * mean_sr
    squares += mean_hr * mean_hr
    both = sr * sr
    both += hr * hr
    variances = _blur(both)  # only their sum is needed, which saves a blur
    variances -= squares
    covariance = _blur(sr * hr)
    covariance -= product
    # In place from here on: a fresh array of this size costs more than the arithmetic on it.
    covariance *= 2
    covariance += c2
    product *= 2
    product += c1
    product *= covariance
    squares += c1
    variances += c2
    squares *= variances
    product /= squares
    return float(product.mean())


def _inside(
    sr: NDArray[Any], hr: NDArray[Any], border: int, least: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if sr.shape != hr.shape:
        raise ValueError(f"SR is {sr.shape} but HR is {hr.shape}")
    height, width = sr.shape[:2]
    if border < 0 or min(height, width) - 2 * border < least:
        raise ValueError(f"{sr.shape} leaves less than {least} x {least} pixels inside a border of {border}")
    inside = np.s_[border : height - border, border : width - border]
    return sr[inside].astype(np.float64, copy=False), hr[inside].astype(np.float64, copy=False)


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blur (H, W) with the Gaussian window where it fits entirely; the result is (H - 10, W - 10)."""
    for _ in range(2):  # the window is separable: down the columns, then, transposed, along the rows
        size = len(image) - len(WINDOW) + 1
        whole = size - size % STRIP
        blurred = np.empty((size, image.shape[1]))
        if whole:
            strips = sliding_window_view(image, BAND.shape[1], axis=0)[::STRIP].swapaxes(1, 2)
            np.matmul(BAND, strips, out=blurred[:whole].reshape(-1, STRIP, image.shape[1]))
        rest = size - whole
        np.matmul(BAND[:rest, : rest + len(WINDOW) - 1], image[whole:], out=blurred[whole:])
        image = blurred.T
    return image


FUNCTIONS: dict[str, Callable[..., float]] = {"psnr_y": psnr, "ssim_y": ssim, "psnr_rgb": psnr}
"""(sr, hr, *, border) -> float for each of `METRICS`, on the pixels that its protocol measures."""


def measure(
    sr: NDArray[np.uint8],
    hr: NDArray[np.uint8],
    *,
    scale: int,
    metrics: Iterable[str],
    hr_luma: NDArray[np.float64] | None = None,
) -> dict[str, float]:
    """Return each metric of one image, by its key in `METRICS`.

    Args:
        sr, hr: (H, W, 3) uint8, same shape.
        scale: number of pixels excluded on each side.
        metrics: keys of `METRICS`.
        hr_luma: `luma(hr)`, (H, W), if already computed.
    Raises:
        ValueError: wrong shape or type, or too small images.
    """
    for image in (sr, hr):
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ValueError(f"expected a uint8 image (H, W, 3), got {image.dtype} {image.shape}")
    images = {"y@1": (luma(sr), luma(hr) if hr_luma is None else hr_luma), "rgb@1": (sr, hr)}
    return {name: FUNCTIONS[name](*images[METRICS[name].protocol], border=scale) for name in metrics}
