import math
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srkd_bench.config.metrics import METRICS, PROTOCOLS
from srkd_bench.data.images import cut, downscale, luma, read_rgb, upscale
from srkd_bench.evaluation.metrics import FUNCTIONS, measure, psnr, ssim

DATA = os.environ.get("SRKD_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA does not point to the real images")
rng = np.random.default_rng(0)


def pair(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    hr = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    noise = rng.integers(-20, 21, hr.shape)
    return (hr + noise).clip(0, 255).astype(np.uint8), hr


def test_psnr_is_as_worked_by_hand() -> None:
    hr = np.full((4, 4), 100, np.uint8)
    sr = hr.copy()
    sr[1, 2] = 94  # the one error inside the border: MSE = 36 / 4
    sr[0, 0] = sr[3, 3] = 255
    assert psnr(sr, hr, border=1) == pytest.approx(10 * math.log10(65025 / 9), abs=1e-12)
    assert psnr(hr, sr, border=1) == psnr(sr, hr, border=1)


def test_psnr_agrees_with_scikit_image() -> None:
    sr, hr = pair(31, 42)
    for border in (0, 3):
        inside = np.s_[border : 31 - border, border : 42 - border]
        expected = peak_signal_noise_ratio(hr[inside], sr[inside])
        assert psnr(sr, hr, border=border) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("height", "width"), [(15, 15), (31, 42), (64, 17)])
def test_ssim_agrees_with_scikit_image(height: int, width: int) -> None:
    sr, hr = (luma(image) for image in pair(height, width))
    inside = np.s_[2:-2, 2:-2]
    expected = structural_similarity(
        sr[inside], hr[inside], data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(sr, hr, border=2) == pytest.approx(expected, abs=1e-12)


def test_ssim_of_flat_images_compares_only_means() -> None:
    sr, hr = np.full((11, 12), 100.0), np.full((11, 12), 50.0)
    c1 = 2.55**2
    assert ssim(sr, hr, border=0) == pytest.approx((2 * 5000 + c1) / (12500 + c1), abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_equal_images_have_infinite_psnr_and_ssim_one() -> None:
    _, hr = pair(20, 20)
    assert measure(hr, hr, scale=2, metrics=METRICS) == {
        "psnr_y": math.inf,
        "ssim_y": 1,
        "psnr_rgb": math.inf,
    }


def test_images_of_different_shapes_are_refused() -> None:
    for score in (psnr, ssim):
        with pytest.raises(ValueError, match=r"SR is \(20, 20\) but HR is \(20, 21\)"):
            score(np.zeros((20, 20)), np.zeros((20, 21)), border=0)


def test_a_border_that_leaves_no_pixels_is_rejected() -> None:
    flat = np.zeros((20, 16))
    assert psnr(flat, flat, border=7) == math.inf
    assert ssim(flat, flat, border=2) == 1
    for score, border in ((psnr, 8), (ssim, 3), (psnr, -1)):
        with pytest.raises(ValueError, match=f"border of {border}"):
            score(flat, flat, border=border)


def test_ssim_refuses_colour() -> None:
    sr, hr = pair(20, 20)
    with pytest.raises(ValueError, match=r"got \(20, 20, 3\)"):
        ssim(sr, hr, border=2)


def test_measure_returns_the_requested_metrics_with_the_scale_as_border() -> None:
    sr, hr = pair(20, 30)
    assert measure(sr, hr, scale=3, metrics=["ssim_y", "psnr_rgb", "psnr_y"]) == {
        "ssim_y": ssim(luma(sr), luma(hr), border=3),
        "psnr_rgb": psnr(sr, hr, border=3),
        "psnr_y": psnr(luma(sr), luma(hr), border=3),
    }
    assert list(measure(sr, hr, scale=2, metrics=["psnr_y"])) == ["psnr_y"]


def test_measure_rejects_images_that_are_not_8_bit() -> None:
    sr, hr = pair(20, 20)
    for wrong in (sr.astype(np.float32), sr[..., 0]):
        with pytest.raises(ValueError, match="expected a uint8 image"):
            measure(wrong, hr, scale=2, metrics=METRICS)  # type: ignore[arg-type]


def test_every_metric_has_a_described_protocol() -> None:
    assert {metric.protocol for metric in METRICS.values()} == set(PROTOCOLS)


def test_every_metric_has_a_function_and_every_function_a_row_in_the_table() -> None:
    assert set(FUNCTIONS) == set(METRICS)


def images(folder: str) -> dict[str, NDArray[np.uint8]]:
    return {path.stem: read_rgb(path, path.name) for path in sorted((Path(str(DATA)) / folder).iterdir())}


def mean_scores(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> dict[str, float]:
    scores = [measure(sr, hr, scale=2, metrics=METRICS) for sr, hr in pairs]
    return {metric: float(np.mean([score[metric] for score in scores])) for metric in METRICS}


@needs_data
@pytest.mark.parametrize(
    ("dataset", "count", "psnr_y", "ssim_y", "psnr_rgb"),
    [
        ("set5", 5, 33.6734, 0.93029, 31.7866),
        ("set14", 14, 30.3246, 0.86985, 28.5183),
        ("bsd100", 100, 29.5599, 0.84340, 28.2304),
        ("urban100", 100, 26.8763, 0.84047, 25.4420),
    ],
)
def test_bicubic_keeps_its_scores(
    dataset: str, count: int, psnr_y: float, ssim_y: float, psnr_rgb: float
) -> None:
    hrs = [cut(hr, 2) for hr in images(f"{dataset}/HR").values()]
    assert len(hrs) == count
    scores = mean_scores([(upscale(downscale(hr, 2), 2), hr) for hr in hrs])
    assert scores["psnr_y"] == pytest.approx(psnr_y, abs=0.002)
    assert scores["ssim_y"] == pytest.approx(ssim_y, abs=0.0001)
    assert scores["psnr_rgb"] == pytest.approx(psnr_rgb, abs=0.002)


@needs_data
def test_rcans_published_images_reproduce_its_papers_scores() -> None:
    hrs = images("set5/HR")
    srs = images("golden/rcan_x2_sr_set5")
    assert set(srs) == set(hrs)
    scores = mean_scores([(srs[name], cut(hr, 2)) for name, hr in hrs.items()])
    assert scores["psnr_y"] == pytest.approx(38.2742, abs=0.002)  # the paper: 38.27
    assert scores["ssim_y"] == pytest.approx(0.96144, abs=0.0001)
