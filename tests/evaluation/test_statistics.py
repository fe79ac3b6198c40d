"""Paired statistics: computed by hand, and simulated."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import ttest_1samp, wilcoxon

from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.statistics import (
    Difference,
    differences,
    holm,
    interval,
    resample,
    sign_flip,
    student_quantile,
)

Values = dict[str, list[list[float]]]


def results(*columns: str, **sets: Values) -> Results:
    """Return results of methods whose values are given by data set, by seed, by image."""
    scores = [
        Score(model, dataset, f"i{image}", "psnr_y", "y@1", value, method=model, seed=seed)
        for dataset, models in sets.items()
        for model, seeds in models.items()
        for seed, images in enumerate(seeds)
        for image, value in enumerate(images)
        if not math.isnan(value)
    ]
    return Results("demo", list(columns), list(sets), ["psnr_y"], scores)


def simulated(gain: float, *, seeds: int = 6, images: int = 10, random: np.random.Generator) -> Results:
    """Return none and hkd that share what images and seeds do; hkd gains, differently by seed and image."""
    shared = 30 + random.normal(size=(1, images)) * 3 + random.normal(size=(seeds, 1)) * 0.1
    own = random.normal(size=(seeds, 1)) * 0.02 + random.normal(size=(seeds, images)) * 0.02
    return results("none", "hkd", a={"none": shared.tolist(), "hkd": (shared + gain + own).tolist()})


def test_a_difference_is_paired_by_seed_and_image() -> None:
    values = {"none": [[30.0, 20.0], [31.0, 25.0]], "hkd": [[30.5, 20.1], [31.3, 25.1]]}
    per_set, over_all = differences(results("none", "hkd", a=values), "psnr_y")
    assert per_set.mean == pytest.approx((0.5 + 0.1 + 0.3 + 0.1) / 4)
    assert (per_set.model, per_set.baseline, per_set.dataset) == ("hkd", "none", "a")
    assert (per_set.seeds, per_set.images, per_set.left_out) == (2, 2, ())
    assert replace(over_all, dataset="a") == per_set


def test_over_all_each_data_set_weighs_the_same() -> None:
    small = {"none": [[30.0], [30.0]], "hkd": [[31.0], [31.0]]}
    large = {"none": [[30.0] * 9] * 2, "hkd": [[30.0] * 9] * 2}
    *_, over_all = differences(results("none", "hkd", small=small, large=large), "psnr_y")
    assert (over_all.dataset, over_all.mean, over_all.images) == (None, 0.5, 10)


def test_what_only_one_of_both_has_is_left_out_and_named() -> None:
    none = [[30.0, 30.0, 30.0], [30.0, 30.0, math.inf], [30.0, 30.0, 30.0]]
    hkd = [[30.1, math.nan, 99.0], [30.3, 30.0, math.inf]]
    difference = differences(results("none", "hkd", a={"none": none, "hkd": hkd}), "psnr_y")[0]
    assert difference.mean == pytest.approx(0.2)
    assert difference.left_out == ("seed 2", "image i1", "image i2")


def test_over_all_takes_the_seeds_that_every_data_set_has_and_names_what_is_lacking() -> None:
    a = {"none": [[30.0], [30.0]], "hkd": [[31.0], [32.0]]}
    b = {"none": [[30.0], [30.0]], "hkd": [[33.0]]}
    c = {"none": [[30.0]]}
    *_, over_all = differences(results("none", "hkd", a=a, b=b, c=c), "psnr_y")
    assert (over_all.mean, over_all.seeds) == (2.0, 1)
    assert over_all.left_out == ("data set c", "seed 1")


def test_models_without_seeds_are_not_compared_and_without_a_baseline_nothing_is() -> None:
    with_seeds = results("bicubic", "teacher", "none", "hkd", a={"none": [[30.0]], "hkd": [[31.0]]})
    scores = [*with_seeds.scores, Score("teacher", "a", "i0", "psnr_y", "y@1", 33.0)]
    assert {one.model for one in differences(replace(with_seeds, scores=scores), "psnr_y")} == {"hkd"}
    assert differences(with_seeds, "psnr_y", baseline="ckd") == []
    assert differences(with_seeds, "ssim_y") == []


def test_the_baseline_can_be_any_method() -> None:
    measured = results("none", "hkd", a={"none": [[30.0]], "hkd": [[31.0]]})
    (one, _) = differences(measured, "psnr_y", baseline="hkd")
    assert (one.model, one.mean) == ("none", -1.0)
    assert differences(replace(measured, baseline="hkd"), "psnr_y")[0].model == "none"


def test_one_seed_has_no_interval_and_no_p() -> None:
    one = differences(results("none", "hkd", a={"none": [[30.0, 31.0]], "hkd": [[31.0, 31.5]]}), "psnr_y")[0]
    assert (one.mean, one.p, one.p_holm, one.verdict) == (0.75, None, None, "underpowered")
    assert math.isnan(one.low)
    assert math.isnan(one.high)


@pytest.mark.parametrize(
    ("seeds", "gain", "verdict"),
    [
        (5, 1.0, "underpowered"),
        (6, 1.0, "better"),
        (6, -1.0, "worse"),
        (6, 0.0, "undecided"),
        (20, 1.0, "better"),
    ],
)
def test_fewer_than_six_seeds_never_decide(seeds: int, gain: float, verdict: str) -> None:
    spread = np.linspace(-0.1, 0.1, seeds)[:, None] + np.zeros((1, 3))
    values = {"none": (30 - spread).tolist(), "hkd": (30 + gain + 0 * spread).tolist()}
    assert differences(results("none", "hkd", a=values), "psnr_y")[0].verdict == verdict


def test_a_verdict_needs_both_the_interval_and_p() -> None:
    clear = Difference("hkd", "none", "psnr_y", "a", 0.1, 0.05, 0.15, 6, 5, p=0.031, p_holm=0.031)
    assert clear.verdict == "better"
    assert replace(clear, p=0.0625).verdict == "undecided"
    assert replace(clear, low=-0.01).verdict == "undecided"
    assert replace(clear, mean=-0.1, low=-0.15, high=-0.05).verdict == "worse"


def test_sign_flips_are_exact_as_worked_by_hand() -> None:
    assert sign_flip(np.array([1.0, 2.0])) == 0.5  # |±1 ± 2| is 3 in two of four
    assert sign_flip(np.full(6, 0.1)) == 2 / 64
    assert sign_flip(np.full(5, 0.1)) == 2 / 32
    assert sign_flip(np.array([1.0, 2.0, 3.0, -4.0])) == 14 / 16  # all but 1 - 2 - 3 + 4 = 0 and its mirror
    assert sign_flip(np.zeros(3)) == 1.0


def test_sign_flips_agree_with_scipys_exact_wilcoxon_on_ranks() -> None:
    ranks = np.array([1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 8.0])  # the signed ranks are the values themselves
    assert sign_flip(ranks) == pytest.approx(wilcoxon(ranks, method="exact").pvalue)


def test_random_flips_come_near_the_t_test_and_never_give_zero() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, size=30)
    assert sign_flip(values) == pytest.approx(ttest_1samp(values, 0).pvalue, abs=0.01)
    assert sign_flip(np.full(30, 1.0)) > 0


def test_holm_is_as_worked_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.9, 0.6])) == pytest.approx([1.0, 1.0])


def test_holm_counts_the_methods_of_a_data_set() -> None:
    gains = {"none": 0.0, "hkd": 1.0, "ckd": 1.0, "rkd": 1.0}
    values = {model: [[30 + gain]] * 6 for model, gain in gains.items()}
    found = differences(results(*gains, a=values, b=values), "psnr_y")
    assert {(one.p, one.p_holm) for one in found} == {(2 / 64, 6 / 64)}


def test_an_interval_does_not_depend_on_what_else_is_compared() -> None:
    random = np.random.default_rng(3)
    one, other = simulated(0.02, random=random), simulated(0.1, random=random)
    both = replace(
        one, datasets=["b", "a"], scores=one.scores + [replace(s, dataset="b") for s in other.scores]
    )
    assert differences(one, "psnr_y")[0] == next(d for d in differences(both, "psnr_y") if d.dataset == "a")


@pytest.mark.parametrize(
    ("seeds", "images", "most"), [(6, 100, 0.98), (6, 5, 1.0), (10, 20, 0.99), (3, 50, 1.0)]
)
def test_the_interval_covers_the_truth_at_its_rate(seeds: int, images: int, most: float) -> None:
    random, truth, runs = np.random.default_rng(1), 0.02, 1000
    of_images = random.normal(size=(1, images)) * 0.03  # a gain that is larger on some images stays so
    of_images -= of_images.mean()
    covered = 0
    for _ in range(runs):
        noise = random.normal(size=(seeds, 1)) * 0.02 + random.normal(size=(seeds, images)) * 0.02
        values = truth + of_images + noise
        low, high = interval(values.mean(axis=1), resample(values, "a"))
        covered += low <= truth <= high
    assert 0.94 <= covered / runs <= most


def test_false_alarms_stay_at_five_percent() -> None:
    random, runs = np.random.default_rng(2), 1500
    alarms = sum(
        differences(simulated(0.0, random=random), "psnr_y")[0].verdict in ("better", "worse")
        for _ in range(runs)
    )
    assert 0.01 < alarms / runs <= 0.05


def test_a_gain_of_twice_the_seed_noise_is_found_by_six_seeds() -> None:
    random, runs = np.random.default_rng(4), 200
    found = sum(
        differences(simulated(0.05, random=random), "psnr_y")[0].verdict == "better" for _ in range(runs)
    )
    assert found / runs > 0.9


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 7, 20, 249])
def test_students_quantile_is_scipys(freedom: int) -> None:
    assert student_quantile(freedom) == pytest.approx(stdtrit(freedom, 0.975), rel=1e-12)
