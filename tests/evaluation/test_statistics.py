"""Paired t tests with Holm's correction: worked by hand, on the published scores, and simulated."""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ttest_1samp, wilcoxon

from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.statistics import (
    LEVEL,
    UNKNOWN,
    Difference,
    adjusted,
    changes,
    differences,
    holm,
    new_images_interval,
    pairwise,
    reverse,
    sign_flip,
    t_interval,
    t_test,
)
from tests.support.published_scores import published

Values = dict[str, list[list[float]]]


def results(*columns: str, **sets: Values) -> Results:
    """Return results of methods whose values are given by data set, by seed, by image; nan: not measured."""
    scores = [
        Score(model, dataset, f"i{image}", "psnr_y", "y@1", value, method=model, seed=seed)
        for dataset, models in sets.items()
        for model, seeds in models.items()
        for seed, images in enumerate(seeds)
        for image, value in enumerate(images)
        if not math.isnan(value)
    ]
    return Results("demo", list(columns), list(sets), ["psnr_y"], scores)


def gains(**of_seeds: list[float]) -> Results:
    """Return results of one image whose methods differ from `none` by these amounts, by seed."""
    seeds = max(map(len, of_seeds.values()))
    values = {"none": [[0.0]] * seeds} | {name: [[gain] for gain in own] for name, own in of_seeds.items()}
    return results(*values, a=values)


def overall(found: list[Difference]) -> dict[str, Difference]:
    """Return the differences on all data sets by model."""
    return {one.model: one for one in found if one.dataset is None}


# Differences


def test_a_difference_is_paired_by_seed_and_image() -> None:
    values = {"none": [[30.0, 20.0], [31.0, 25.0]], "hkd": [[30.5, 20.1], [31.3, 25.1]]}
    of_set, whole = differences(results("none", "hkd", a=values), "psnr_y")
    assert of_set.mean == pytest.approx((0.5 + 0.1 + 0.3 + 0.1) / 4)
    assert (of_set.model, of_set.baseline, of_set.dataset) == ("hkd", "none", "a")
    assert (of_set.seeds, of_set.images, of_set.left_out) == (2, 2, ())
    assert (whole.dataset, whole.mean, whole.low, whole.high) == (None, of_set.mean, of_set.low, of_set.high)


def test_on_all_data_sets_each_has_the_same_weight() -> None:
    small = {"none": [[30.0], [30.0]], "hkd": [[31.0], [31.0]]}
    large = {"none": [[30.0] * 9] * 2, "hkd": [[30.0] * 9] * 2}
    *_, whole = differences(results("none", "hkd", small=small, large=large), "psnr_y")
    assert (whole.dataset, whole.mean, whole.images) == (None, 0.5, 10)


def test_all_data_sets_together_use_the_seeds_that_each_has_and_name_what_is_missing() -> None:
    a = {"none": [[30.0], [30.0]], "hkd": [[31.0], [32.0]]}
    b = {"none": [[30.0], [30.0]], "hkd": [[33.0]]}
    c = {"none": [[30.0]]}
    *_, whole = differences(results("none", "hkd", a=a, b=b, c=c), "psnr_y")
    assert (whole.mean, whole.seeds, whole.p_every_set) == (2.0, 1, None)
    assert whole.left_out == ("data set c", "seed 1")


def test_the_baseline_can_be_any_method() -> None:
    measured = gains(hkd=[1.0])
    assert [(one.model, one.mean) for one in differences(measured, "psnr_y", "hkd")] == [("none", -1.0)] * 2
    assert differences(replace(measured, baseline="hkd"), "psnr_y")[0].model == "none"


def test_a_verdict_needs_a_holm_p_below_five_percent() -> None:
    one = Difference("hkd", "none", "psnr_y", None, 0.1, 0.05, 0.15, 0.03, 6, 5, p=0.01, p_holm=0.049)
    assert one.verdict == "better"
    assert replace(one, mean=-0.1).verdict == "worse"
    assert replace(one, p_holm=0.05).verdict == "not significant"
    assert replace(one, p_holm=None).verdict is None


def test_single_data_sets_have_intervals_but_no_verdict() -> None:
    of_sets = [one for one in differences(published("bsds"), "psnr_y") if one.dataset is not None]
    assert len(of_sets) == 6 * 4
    assert {(one.p_holm, one.verdict, one.simultaneous) for one in of_sets} == {(None, None, None)}
    assert all(one.low < one.mean < one.high for one in of_sets)


def test_every_two_models_form_one_family_in_both_orders() -> None:
    measured = gains(hkd=[0.10, 0.12, 0.11], rkd=[0.11, 0.09, 0.13])
    found = pairwise(measured, "psnr_y", ["none", "hkd", "rkd", "ckd"], "a")
    assert len(found) == 6  # ckd was not measured
    forward, backward = found["none", "hkd"], found["hkd", "none"]
    assert backward == reverse(forward)
    assert (backward.low, backward.high) == (-forward.high, -forward.low)
    assert (forward.dataset, forward.verdict, backward.verdict) == ("a", "worse", "better")
    p = [found[pair].p or 0.0 for pair in (("none", "hkd"), ("none", "rkd"), ("hkd", "rkd"))]
    assert forward.p_holm == holm(p)[0]


# Invalid and unusual input


def test_one_seed_has_a_mean_but_no_interval_no_p_and_no_verdict() -> None:
    one = overall(differences(results("none", "hkd", a={"none": [[30, 31]], "hkd": [[31, 31.5]]}), "psnr_y"))
    hkd = one["hkd"]
    assert (hkd.mean, hkd.p, hkd.p_holm, hkd.p_every_set, hkd.p_sign_flip) == (0.75, None, None, None, None)
    assert (hkd.verdict, hkd.new_images, hkd.simultaneous) == (None, None, None)
    assert all(map(math.isnan, (hkd.low, hkd.high, hkd.deviation, hkd.half_width)))


def test_two_seeds_are_enough_for_a_verdict() -> None:
    clear, unclear = overall(differences(gains(hkd=[0.1, 0.101], rkd=[0.1, 0.2]), "psnr_y")).values()
    # With one degree of freedom t is Cauchy's: p = 1 - 2 / pi * arctan(|t|), and t is 201 and 3.
    assert clear.p == pytest.approx(1 - 2 / math.pi * math.atan(201))
    assert clear.p_holm == pytest.approx(2 * (clear.p or 0))
    assert (clear.verdict, unclear.verdict) == ("better", "not significant")
    assert unclear.p == pytest.approx(1 - 2 / math.pi * math.atan(3))
    assert unclear.high == pytest.approx(0.15 + 0.05 * math.tan(0.475 * math.pi))


@pytest.mark.parametrize("gain", [0.0, 0.1, -0.3])
def test_without_variance_there_is_no_test_and_others_are_not_corrected_for_it(gain: float) -> None:
    found = overall(differences(gains(same=[gain] * 3, hkd=[0.1, 0.2, 0.15]), "psnr_y"))
    same, hkd = found["same"], found["hkd"]
    assert (same.p, same.p_holm, same.p_every_set, same.verdict) == (None, None, None, None)
    assert same.mean == pytest.approx(gain)
    assert (same.low, same.high, same.deviation) == (same.mean, same.mean, 0)
    assert hkd.p_holm == hkd.p


def test_values_that_differ_by_rounding_only_have_no_variance() -> None:
    of_seeds = np.array([0.1, 0.3 - 0.2, 30.1 - 30.0])
    assert len(set(of_seeds.tolist())) == 3
    assert t_test(of_seeds) is None


def test_infinite_psnr_is_left_out_and_named() -> None:
    none = [[30.0, math.inf], [30.0, 31.0]]
    hkd = [[30.1, 40.0], [30.3, 31.5]]
    whole = overall(differences(results("none", "hkd", a={"none": none, "hkd": hkd}), "psnr_y"))["hkd"]
    assert whole.mean == pytest.approx(0.2)
    assert (whole.images, whole.left_out) == (1, ("image i1",))


def test_a_data_set_of_infinite_values_only_is_named() -> None:
    a = {"none": [[math.inf], [30.0]], "hkd": [[31.0], [31.0]]}
    b = {"none": [[30.0], [30.0]], "hkd": [[30.5], [30.6]]}
    found = differences(results("none", "hkd", a=a, b=b), "psnr_y")
    assert [(one.dataset, one.left_out) for one in found] == [("b", ()), (None, ("data set a",))]
    assert found[1].mean == pytest.approx(0.55)


def test_seeds_and_images_that_only_one_side_has_are_left_out_and_named() -> None:
    none = [[30.0, 30.0, 30.0]] * 3
    hkd = [[30.1, math.nan, 30.1], [30.3, 30.0, 30.3]]
    whole = overall(differences(results("none", "hkd", a={"none": none, "hkd": hkd}), "psnr_y"))["hkd"]
    assert whole.mean == pytest.approx(0.2)
    assert whole.left_out == ("seed 2", "image i1")


def test_without_the_baseline_and_for_models_without_seeds_there_are_no_differences() -> None:
    measured = gains(hkd=[1.0, 1.1])
    assert differences(measured, "psnr_y", "ckd") == []
    assert differences(measured, "ssim_y") == []
    scores = [*measured.scores, Score("teacher", "a", "i0", "psnr_y", "y@1", 33.0)]
    with_teacher = replace(measured, columns=["teacher", *measured.columns], scores=scores)
    assert {one.model for one in differences(with_teacher, "psnr_y")} == {"hkd"}


# Tests and intervals against other implementations, and by hand


def simultaneous(family: Iterable[NDArray[np.float64]]) -> list[tuple[float, float]]:
    """Return the simultaneous intervals of methods whose differences are given by seed."""
    found = [
        Difference("m", "none", "psnr_y", None, own.mean(), *t_interval(own), 0.0, len(own), 1, t_test(own))
        for own in family
    ]
    return [one.simultaneous or UNKNOWN for one in adjusted(found)]


def test_the_t_test_and_the_intervals_are_scipys() -> None:
    values = np.array([0.1, 0.3, 0.15, 0.22])
    scipys = ttest_1samp(values, 0)
    assert t_test(values) == pytest.approx(scipys.pvalue)
    assert t_interval(values) == pytest.approx(tuple(scipys.confidence_interval()))
    assert simultaneous([values] * 6)[0] == pytest.approx(tuple(scipys.confidence_interval(1 - 0.05 / 6)))


def test_holm_is_as_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_better_on_every_data_set_takes_the_largest_p_and_one_sign() -> None:
    values = {"none": [[0.0]] * 3, "hkd": [[0.2], [0.21], [0.19]]}
    weak: Values = {"none": [[0.0]] * 3, "hkd": [[1.0], [1.5], [0.6]]}
    negative: Values = {"none": [[0.0]] * 3, "hkd": [[-1.0], [-1.5], [-0.6]]}
    *of_sets, whole = differences(results("none", "hkd", a=values, b=weak), "psnr_y")
    assert whole.p_every_set == of_sets[1].p
    assert (of_sets[1].p or 0) > (of_sets[0].p or 0)
    *_, whole = differences(results("none", "hkd", a=values, b=negative), "psnr_y")
    assert whole.p_every_set == 1.0


def test_sign_flips_are_exact_as_worked_by_hand() -> None:
    assert sign_flip(np.array([1.0, 2.0])) == 0.5  # |±1 ± 2| is 3 in two of four
    assert sign_flip(np.full(6, 0.1)) == 2 / 64
    assert sign_flip(np.array([1.0, 2.0, 3.0, -4.0])) == 14 / 16  # all but 1 - 2 - 3 + 4 = 0 and its mirror
    assert sign_flip(np.zeros(3)) == 1.0


def test_sign_flips_agree_with_scipys_exact_wilcoxon_on_ranks() -> None:
    ranks = np.array([1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 8.0])  # the signed ranks are the values themselves
    assert sign_flip(ranks) == pytest.approx(wilcoxon(ranks, method="exact").pvalue)


def test_random_flips_agree_with_the_t_test_and_never_give_zero() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, size=30)
    assert sign_flip(values) == pytest.approx(ttest_1samp(values, 0).pvalue, abs=0.01)
    assert sign_flip(np.full(30, 1.0)) > 0


def test_new_images_need_two_seeds_and_two_images_of_each_data_set() -> None:
    enough = np.array([[0.1, 0.2], [0.15, 0.3]])
    assert new_images_interval([enough]) is not None
    assert new_images_interval([enough, enough[:, :1]]) is None
    assert new_images_interval([enough[:1]]) is None
    assert new_images_interval([]) is None


def test_new_images_add_the_variance_over_images_as_worked_by_hand() -> None:
    # Seeds differ by nothing, images by 2: Var = MS_image / (n k) = (2 * 2) / (2 * 2), one degree of freedom.
    interval = new_images_interval([np.array([[-1.0, 1.0], [-1.0, 1.0]])])
    assert interval == pytest.approx((-math.tan(0.475 * math.pi), math.tan(0.475 * math.pi)))


# The published scores

ALL = {  # Holm p, interval, p on every data set, interval on new images
    "hkd": (0.0006, (0.0686, 0.1116), 0.003, (0.058, 0.122)),
    "ckd": (0.0217, (-0.3450, -0.0731), 0.034, (-0.345, -0.073)),
    "rkd": (0.2654, (-0.0598, 0.0206), None, None),
    "rvkd": (0.0032, (0.0636, 0.1337), 0.017, (0.047, 0.151)),
    "rkd+hkd": (0.0056, (0.0397, 0.0995), 0.016, (0.036, 0.103)),
    "none@equal-cost": (0.0006, (0.2225, 0.3532), None, (0.202, 0.374)),
}


@pytest.mark.parametrize("model", ALL)
def test_the_published_study_has_the_values_that_were_computed_independently(model: str) -> None:
    p, interval, every, new_images = ALL[model]
    found = overall(differences(published("bsds"), "psnr_y"))
    one = found[model]
    assert list(found) == list(ALL)
    assert one.p_holm == pytest.approx(p, abs=1e-4)
    assert (one.low, one.high) == pytest.approx(interval, abs=1e-4)
    assert every is None or one.p_every_set == pytest.approx(every, abs=5e-4)
    assert new_images is None or one.new_images == pytest.approx(new_images, abs=5e-4)


def test_a_holm_verdict_may_hold_where_the_simultaneous_interval_includes_zero() -> None:
    ckd = overall(differences(published("bsds"), "psnr_y"))["ckd"]
    assert ckd.verdict == "worse"
    assert ckd.simultaneous == pytest.approx((-0.432, 0.014), abs=5e-4)


def test_five_images_do_not_generalise() -> None:
    one = next(one for one in differences(published("bsds"), "psnr_y") if one.dataset == "set5")
    assert (one.model, one.low > 0) == ("hkd", True)
    assert one.new_images == pytest.approx((-0.007, 0.228), abs=5e-4)


def test_tuned_ckd_is_not_significantly_worse() -> None:
    found = overall(differences(published("bsds-tuned"), "psnr_y"))
    assert found["ckd"].p_holm == pytest.approx(0.167, abs=5e-4)
    assert {name: one.verdict for name, one in found.items()} == {
        "hkd": "better",
        "ckd": "not significant",
        "rkd": "not significant",
        "rvkd": "better",
        "rkd+hkd": "better",
    }


def test_tuned_rvkd_is_above_rkd_and_hkd_on_set5() -> None:
    found = differences(published("bsds-tuned"), "psnr_y", "rkd+hkd")
    one = next(one for one in found if (one.model, one.dataset) == ("rvkd", "set5"))
    assert (one.mean, one.low, one.high) == pytest.approx((0.053, 0.040, 0.067), abs=5e-4)


def test_crosskd_is_above_hkd_after_its_selection_among_seven() -> None:
    crosskd = overall(differences(published("bsds-more"), "psnr_y", "hkd"))["crosskd"]
    assert 7 * (crosskd.p or 1) == pytest.approx(0.008, abs=5e-4)


def test_rvkd_is_above_hkd_with_the_pretrained_teacher() -> None:
    rvkd = overall(differences(published("bsds-pretrained"), "psnr_y", "hkd"))["rvkd"]
    assert rvkd.verdict == "better"
    assert rvkd.p_holm == pytest.approx(0.0047, abs=1e-4)


def test_another_teacher_changes_rvkd_only() -> None:
    found = changes(published("bsds-pretrained"), published("bsds"), "psnr_y")
    whole = overall(found)
    assert whole["none"].deviation == 0.0  # the same six students
    assert {name for name, one in whole.items() if one.verdict == "better"} == {"rvkd"}
    on_bsd100 = [one for one in found if one.dataset == "bsd100" and one.p is not None]
    p = dict(zip([one.model for one in on_bsd100], holm([one.p or 0 for one in on_bsd100]), strict=True))
    assert p["ckd"] == pytest.approx(0.063, abs=5e-4)
    assert p["rkd+hkd"] == pytest.approx(0.0017, abs=1e-4)


def test_rvkd_is_better_on_set5_in_ssim() -> None:
    found = [one for one in differences(published("bsds"), "ssim_y") if one.dataset == "set5"]
    p = dict(zip([one.model for one in found], holm([one.p or 0 for one in found]), strict=True))
    rvkd = next(one for one in found if one.model == "rvkd")
    assert rvkd.low > 0
    assert p["rvkd"] < LEVEL


# Simulations


def null_family(seeds: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return (methods, seeds) differences of six methods without effect from a shared control.

    The control and five methods vary by 0.02 dB, one method by 0.1 dB.
    """
    deviations = np.array([0.02, 0.02, 0.02, 0.02, 0.02, 0.1])
    own = random.normal(size=(6, seeds)) * deviations[:, None]
    difference: NDArray[np.float64] = own - random.normal(size=seeds) * 0.02
    return difference


@pytest.mark.parametrize("seeds", [3, 6, 10])
def test_a_family_of_methods_without_effect_has_a_verdict_in_five_percent_at_most(seeds: int) -> None:
    random, experiments = np.random.default_rng(seeds), 5000
    wrong = sum(
        min(holm([t_test(own) or 1.0 for own in null_family(seeds, random)])) < LEVEL
        for _ in range(experiments)
    )
    assert 0.025 <= wrong / experiments <= 0.055


@pytest.mark.parametrize("seeds", [2, 3, 6, 10])
def test_the_interval_covers_the_mean_over_seeds_in_95_percent(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(0.03, 0.02, size=(10_000, seeds))
    covered = np.mean([low <= 0.03 <= high for low, high in map(t_interval, values)])
    assert 0.94 <= covered <= 0.96


def test_simultaneous_intervals_cover_all_methods_together() -> None:
    random = np.random.default_rng(7)
    covered = [
        all(low <= 0 <= high for low, high in simultaneous(null_family(6, random))) for _ in range(3000)
    ]
    assert 0.945 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize(
    ("seeds", "sizes", "of_images"),
    [(6, (5,), 0.03), (6, (5, 14, 100, 100), 0.03), (6, (100,), 0.1), (10, (14, 14), 0.01)],
)
def test_the_interval_for_new_images_covers_their_mean(
    seeds: int, sizes: tuple[int, ...], of_images: float
) -> None:
    random, experiments, covered = np.random.default_rng(11), 1500, 0
    for _ in range(experiments):
        shared = 0.02 * random.normal(size=(seeds, 1))
        values = [
            shared + of_images * random.normal(size=(1, k)) + 0.02 * random.normal(size=(seeds, k))
            for k in sizes
        ]
        low, high = new_images_interval(values) or (math.nan, math.nan)
        covered += low <= 0 <= high
    assert 0.93 <= covered / experiments <= 0.98
