"""Results: the operations that all tables and figures share."""

import math
from dataclasses import replace

import pytest

from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score

VALUES = {
    ("none", 0): {"a": 30.0, "b": 20.0},
    ("none", 1): {"a": 31.0, "b": 22.0},
    ("none", 3): {"a": 10.0, "b": 10.0},
    ("hkd", 0): {"a": 30.5, "b": 21.0},
    ("hkd", 1): {"a": 31.1, "b": math.inf},
    ("hkd", 2): {"a": 99.0, "b": 99.0},
    ("teacher", None): {"a": 33.0, "b": 24.0},
}
MADE = Results(
    "demo",
    ["teacher", "none", "hkd"],
    ["set5"],
    ["psnr_y"],
    [
        Score(model, "set5", image, "psnr_y", "y@1", value, seed=seed)
        for (model, seed), images in VALUES.items()
        for image, value in images.items()
    ],
)


def test_runs_are_the_values_by_seed_and_image() -> None:
    assert MADE.runs("psnr_y", "teacher", "set5") == {None: {"a": 33.0, "b": 24.0}}
    assert list(MADE.runs("psnr_y", "none", "set5")) == [0, 1, 3]
    assert MADE.runs("ssim_y", "none", "set5") == {}


def test_means_are_over_images_then_over_seeds() -> None:
    assert MADE.seed_means("psnr_y", "none", "set5") == {0: 25.0, 1: 26.5, 3: 10.0}
    assert MADE.means("psnr_y", "none") == {"set5": pytest.approx(61.5 / 3)}
    assert MADE.means("psnr_y", "ckd") == {}
    assert MADE.image_means("psnr_y", "none", "set5") == {
        "a": pytest.approx(71 / 3),
        "b": pytest.approx(52 / 3),
    }


def test_pairs_are_of_shared_seeds_and_of_images_that_are_finite_in_all_of_them() -> None:
    pairs = MADE.pairs("psnr_y", "hkd", "none", "set5")
    assert (pairs.seeds, pairs.images) == ([0, 1], ["a"])
    assert pairs.values.ravel().tolist() == pytest.approx([0.5, 0.1])
    assert pairs.left_out == ["seed 2", "seed 3", "image b"]
    assert MADE.image_gains("psnr_y", "hkd", "none", "set5") == {"a": pytest.approx(0.3)}
    assert MADE.image_gains("psnr_y", "teacher", "none", "set5") == {}


def test_pairs_can_be_of_two_results() -> None:
    others = replace(MADE, scores=[replace(one, value=one.value - 1) for one in MADE.scores])
    pairs = MADE.pairs("psnr_y", "none", "none", "set5", others)
    assert pairs.seeds == [0, 1, 3]
    assert set(pairs.values.ravel().tolist()) == {1.0}
    fewer = pairs.of_seeds({0, 3})
    assert (fewer.seeds, fewer.values.shape, fewer.left_out) == ([0, 3], (2, 2), ["seed 1"])
