"""The training multiplier: by hand, on the published scores, and the coverage of its interval."""

import math
from dataclasses import replace

import numpy as np
import pytest

from srkd_bench.evaluation.multiplier import Multiplier, multipliers
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from tests.support.published_scores import EQUAL_COST_STEPS, published

STEPS = {"none": 1000, "none@2x": 2000, "none@10x": 10_000, "hkd": 1000}


def results(**of_seeds: list[float]) -> Results:
    """Return results of one image: PSNR-Y of each column, by seed."""
    names = {name.replace("_", "@"): own for name, own in of_seeds.items()}
    scores = [
        Score(model, "a", "i", "psnr_y", "y@1", value, method=model, seed=seed)
        for model, own in names.items()
        for seed, value in enumerate(own)
    ]
    return Results("demo", list(names), ["a"], ["psnr_y"], scores, steps=STEPS)


def of_hkd(**of_seeds: list[float]) -> Multiplier:
    return multipliers(results(**of_seeds), "psnr_y")["hkd"]


@pytest.mark.parametrize(
    ("model", "k", "interval"),
    [("hkd", 2.06, (1.71, 2.64)), ("rvkd", 2.21, (1.80, 2.67)), ("crosskd", 2.93, (2.37, 3.86))],
)
def test_the_published_methods_have_the_values_that_were_computed_independently(
    model: str, k: float, interval: tuple[float, float]
) -> None:
    study, more = published("bsds"), published("bsds-more")
    crosskd = [one for one in more.scores if one.model == "crosskd"]
    both = replace(study, columns=[*study.columns, "crosskd"], scores=[*study.scores, *crosskd])
    one = multipliers(replace(both, step_costs={model: 10.05}), "psnr_y")[model]
    assert one.k == pytest.approx(k, abs=5e-3)
    assert (one.low, one.high) == pytest.approx(interval, abs=5e-3)
    assert (one.seeds, one.cost, one.largest) == (6, 10.05, EQUAL_COST_STEPS / 10_000)


def test_a_method_that_loses_stands_at_one() -> None:
    ckd = multipliers(published("bsds"), "psnr_y")["ckd"]
    assert (ckd.k, ckd.low, ckd.high) == (1.0, 1.0, 1.0)


def test_k_is_interpolated_in_the_logarithm_of_the_steps() -> None:
    one = of_hkd(none=[30.0, 30.2], none_10x=[31.0, 31.2], hkd=[30.5, 30.7])
    assert one.k == pytest.approx(math.sqrt(10))
    assert (one.low, one.high) == pytest.approx((one.k, one.k))  # all seeds agree
    assert (one.largest, one.cost) == (10.0, None)


def test_a_length_with_fewer_seeds_changes_nothing_between_shorter_ones() -> None:
    shorter = {
        "none": [30.0, 30.2, 30.1, 30.3],
        "none_2x": [30.6, 30.7, 30.7, 30.8],
        "hkd": [30.2, 30.31, 30.3, 30.41],
    }
    long = [31.0, 31.2]
    known, one = of_hkd(**shorter), of_hkd(**shorter, none_10x=long)
    assert (one.k, one.low, one.high) == (known.k, known.low, known.high)
    assert (one.largest, known.seeds, one.seeds) == (10.0, 4, 2)
    assert 1 < one.low < one.k < one.high < 2
    better = shorter | {"hkd": [30.8, 31.0, 30.8, 31.0]}
    y0, y1 = 0.25, -0.2  # of the two seeds
    assert of_hkd(**better, none_10x=long).k == pytest.approx(2 * 5 ** (y0 / (y0 - y1)))
    equal = shorter | {
        "hkd": [30.5, 30.6, 31.0, 31.2]
    }  # better than twice as long, but not for these two seeds
    assert of_hkd(**equal, none_10x=long).k == 2
    assert math.isnan(of_hkd(**shorter, none_10x=long[:1]).low)
    assert multipliers(results(**shorter, none_10x=[math.inf]), "psnr_y") == {}


def test_a_third_length_bends_the_curve() -> None:
    one = of_hkd(none=[30.0], none_2x=[30.8], none_10x=[31.0], hkd=[30.9])
    assert one.k == pytest.approx(2 * math.sqrt(5))
    assert math.isnan(one.low)  # one seed
    assert math.isnan(one.high)


def test_above_the_longest_training_k_is_cut() -> None:
    one = of_hkd(none=[30.0, 30.1], none_10x=[30.2, 30.35], hkd=[35.0, 35.2])
    assert (one.k, one.low, one.high) == pytest.approx((10.0, 10.0, 10.0))


def test_a_gain_that_seeds_do_not_support_has_an_interval_from_one() -> None:
    one = of_hkd(none=[30.0, 30.0, 30.0], none_10x=[31.0, 31.1, 31.2], hkd=[30.3, 29.8, 30.2])
    assert one.low == 1.0
    assert 1 < one.k < one.high < 10


def test_a_gain_that_may_be_as_large_as_of_the_longest_training_has_an_interval_up_to_it() -> None:
    one = of_hkd(none=[30.0, 30.0, 30.0], none_10x=[31.0, 31.1, 31.2], hkd=[30.7, 31.4, 30.8])
    assert 1 < one.low < one.k < one.high == 10


def test_shorter_trainings_than_the_suites_do_not_count() -> None:
    measured = results(none=[30.0, 30.2], none_10x=[31.0, 31.2], none_2x=[29.0, 29.1], hkd=[29.5, 29.6])
    steps = STEPS | {"none@2x": 500}
    assert multipliers(replace(measured, steps=steps), "psnr_y")["hkd"].k == 1.0


def test_only_seeds_that_every_length_has_count() -> None:
    one = of_hkd(none=[30.0, 30.2, 9.0], none_10x=[31.0, 31.2], hkd=[30.5, 30.7, 50.0])
    assert one.seeds == 2
    assert one.k == pytest.approx(math.sqrt(10))
    assert multipliers(results(none=[30.0], none_10x=[31.0], hkd=[]), "psnr_y") == {}


def test_without_a_second_length_or_with_another_baseline_there_is_no_multiplier() -> None:
    lengths = results(none=[30.0, 30.1], none_10x=[31.0, 31.1], hkd=[30.5, 30.6])
    assert set(multipliers(lengths, "psnr_y")) == {"hkd"}
    assert multipliers(replace(lengths, baseline="hkd"), "psnr_y") == {}
    assert multipliers(replace(lengths, steps={}), "psnr_y") == {}
    assert multipliers(replace(lengths, steps=STEPS | {"none@10x": 1000}), "psnr_y") == {}
    assert multipliers(results(none=[30.0, 30.1], hkd=[30.5, 30.6]), "psnr_y") == {}


def test_the_interval_covers_k_in_95_percent() -> None:
    random, experiments, covered = np.random.default_rng(3), 800, 0
    for _ in range(experiments):
        seed = 30 + random.normal(size=6) * 0.05
        columns = {"none": 0.0, "none_10x": 0.3, "hkd": 0.15}
        values = {
            name: (seed + gain + random.normal(size=6) * 0.03).tolist() for name, gain in columns.items()
        }
        one = of_hkd(**values)
        covered += one.low <= math.sqrt(10) <= one.high
    assert 0.93 <= covered / experiments <= 0.97
