import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.evaluation.grids.advice import advise, ratio_interval, read_summary, summarise, to_json
from tests.support.grids import cell, simulated

ALONE = [30.0, 30.2, 29.9]
QUESTION = {"student": 50_000.0, "train.steps": 10_000.0, "data.images": 399.0}


def test_the_expected_gain_and_k_of_simulated_scores() -> None:
    """At 10,000 steps the gain is 0.08 − 0.01 = 0.07 dB; the student alone gains 0.25 dB per doubling."""
    summary = summarise(simulated({"hkd": lambda x, y, z: 0.08 + 0.01 * x}, noise=0.005), "psnr_y")
    found = advise(summary, QUESTION)
    (one,) = found.expected
    assert one.gain == pytest.approx(0.07, abs=0.005)
    assert one.low < 0.07 < one.high
    assert one.k == pytest.approx(2 ** (0.07 / 0.25), rel=0.02)
    assert one.k_low is not None
    assert one.k_high is not None
    assert one.k_low < 2 ** (0.07 / 0.25) < one.k_high
    assert one.inside
    assert {own.times for own in found.ranges} == {1.0}


def test_how_far_outside_each_factor_is() -> None:
    summary = summarise(simulated({"hkd": lambda x, y, z: 0.1}), "psnr_y")
    found = advise(summary, {"student": 387_171 * 4.0, "train.steps": 1_250.0, "data.images": 400.0})
    assert {one.factor: one.times for one in found.ranges} == pytest.approx(
        {"student": 4.0, "train.steps": 0.5, "data.images": 1.0}
    )
    assert not found.expected[0].inside
    near, far = (advise(summary, QUESTION | {"train.steps": n}).expected[0] for n in (20_000.0, 2e7))
    assert far.high - far.low > 2 * (near.high - near.low)


def test_a_combination_that_no_mixture_of_cells_has_is_outside() -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1})
    cells = [
        one for one in cells if one.axes["student"] != "EDSR 32×16" or int(one.axes["train.steps"]) < 100_000
    ]
    summary = summarise(cells, "psnr_y")
    corner = {"student": 387_171.0, "train.steps": 160_000.0, "data.images": 100.0}
    found = advise(summary, corner)
    assert {one.times for one in found.ranges} == {1.0}
    assert not found.expected[0].inside
    assert advise(summary, corner | {"train.steps": 40_000.0}).expected[0].inside
    assert advise(summary, corner | {"train.steps": 40_300.0}).expected[0].inside  # within 1 %
    assert not advise(summary, corner | {"train.steps": 42_000.0}).expected[0].inside


def test_a_method_is_outside_where_only_others_were_measured() -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1, "rvkd": lambda x, y, z: 0.1}, steps=[2_500, 10_000])
    cells = [
        one
        if one.axes["student"] != "EDSR 32×16"
        else cell(
            {
                **one.axes,
                "train.steps": one.factors["train.steps"],
                "data.images": one.factors["data.images"],
            },
            {"none": ALONE, "hkd": ALONE},
        )
        for one in cells
    ]
    summary = summarise(cells, "psnr_y")
    for parameters, expected in (
        (40_000.0, {"hkd": True, "rvkd": True}),
        (300_000.0, {"hkd": True, "rvkd": False}),
    ):
        found = advise(summary, QUESTION | {"student": parameters})
        assert {one.method: one.inside for one in found.expected} == expected
        assert {one.times for one in found.ranges} == {1.0}


def test_axes_that_are_not_asked_about_have_their_most_frequent_value() -> None:
    cells = [
        cell({"teacher": teacher, "train.steps": steps}, {"none": [0, 0.01], "hkd": [gain, gain + 0.02]})
        for teacher, steps, gain in (
            ("own", 100, 0.1), ("own", 200, 0.1), ("own", 400, 0.1), ("official", 200, 0.5),
        )
    ]  # fmt: skip
    summary = summarise(cells, "psnr_y")
    found = advise(summary, {"train.steps": 200.0, "seeds": 3.0})
    assert found.assumed == {"teacher": "own"}
    assert found.expected[0].gain == pytest.approx(0.105)
    assert [one.factor for one in found.ranges] == ["train.steps"]


def test_learning_rates_that_follow_from_the_steps_are_not_assumed() -> None:
    gains = {100: 0.1, 200: 0.2, 400: 0.3}
    axes = {n: {"train.steps": n, "train.learning_rate": 0.1 / n} for n in gains}
    cells = [cell(axes[n], {"none": [0, 0.01], "hkd": [gain, gain + 0.02]}) for n, gain in gains.items()]
    assert advise(summarise(cells, "psnr_y"), {"train.steps": 300.0}).assumed == {}


def test_a_number_is_not_taken_for_a_label() -> None:
    """All images of a data set that is not in the store have no number: its axis has labels."""
    cells = [
        cell({"data.images": images, "train.steps": n}, {"none": [0, 0.01], "hkd": [gain, gain + 0.02]})
        for images, gain, lengths in ((50, 0.1, (100, 200, 400)), ("null", 0.3, (100, 200)))
        for n in lengths
    ]
    found = advise(summarise(cells, "psnr_y"), {"train.steps": 100.0, "data.images": 400.0})
    assert found.assumed == {"data.images": "50"}
    assert found.expected[0].gain == pytest.approx(0.105)


def test_without_another_length_there_is_no_k() -> None:
    summary = summarise(simulated({"hkd": lambda x, y, z: 0.1}, steps=[100]), "psnr_y")
    (one,) = advise(summary, {"student": 50_000.0, "data.images": 100.0}).expected
    assert (one.k, one.k_low, one.k_high) == (None, None, None)


def test_a_student_that_longer_training_does_not_improve_has_no_k() -> None:
    cells = [cell({"train.steps": n}, {"none": [0.1 / n], "hkd": [1.0]}) for n in (1, 2, 4)]
    falling = summarise(cells, "psnr_y")
    assert falling.slope is None
    (one,) = advise(falling, {"train.steps": 2.0}).expected
    assert (one.k, one.k_low, one.k_high) == (None, None, None)


def test_k_grows_where_the_student_alone_gains_less_from_longer_training() -> None:
    """It gains 0.8, 0.4 and 0.2 dB from the doublings; the method gains 0.2 dB everywhere."""
    alone = {100: 30.0, 200: 30.8, 400: 31.2, 800: 31.4}
    cells = [
        cell({"train.steps": n}, {"none": [own, own], "hkd": [own + 0.19, own + 0.21]})
        for n, own in alone.items()
    ]
    summary = summarise(cells, "psnr_y")
    for steps, slope in ((100, 0.8 * 2**0.5), (800, 0.1 * 2**0.5), (3200, 0.1 * 2**0.5 / 4)):
        (one,) = advise(summary, {"train.steps": float(steps)}).expected
        assert one.k == pytest.approx(2 ** (0.2 / slope))


def test_the_interval_of_k_has_the_variation_of_the_slope_relative_to_it() -> None:
    """The student gains 0.19, 0.2 and 0.21 dB from one doubling, a method 0.2 dB with almost no variation."""
    cells = [
        cell({"train.steps": n}, {"none": own, "hkd": [one + 0.2 + i * 1e-6 for i, one in enumerate(own)]})
        for n, own in ((100, [30.0, 30.0, 30.0]), (200, [30.19, 30.2, 30.21]))
    ]
    (one,) = advise(summarise(cells, "psnr_y"), {"train.steps": 100 * 2**0.5}).expected
    half = t.ppf(0.975, 2) * 0.05 / math.sqrt(3)
    limits = [2 ** (1 / (1 + half)), 2 ** (1 / (1 - half))]
    assert [one.k, one.k_low, one.k_high] == pytest.approx([2, *limits], rel=1e-4)


@pytest.mark.parametrize("steps", [1e-300, 1e300])
def test_a_training_far_outside_the_grid_has_no_overflow(steps: float) -> None:
    alone = {100: 30.0, 200: 31.0, 400: 31.1}
    cells = [cell({"train.steps": n}, {"none": [own], "hkd": [own + 0.2]}) for n, own in alone.items()]
    (one,) = advise(summarise(cells, "psnr_y"), {"train.steps": steps}).expected
    assert one.k == (pytest.approx(1) if steps < 1 else None)


def test_fiellers_interval_covers_a_ratio() -> None:
    random, covered = np.random.default_rng(1), []
    for _ in range(2_000):
        low, high = ratio_interval(
            (0.1 + 0.05 * random.normal(), 0.0025), (0.25 + 0.05 * random.normal(), 0.0025), 10**6
        )
        covered.append(math.isnan(low) or low <= 0.4 <= high)
    assert 0.94 <= np.mean(covered) <= 0.96


def test_a_ratio_worked_by_hand() -> None:
    """Without variance of the denominator: (1 ± 1.96 · 0.5) / 2."""
    assert ratio_interval((1.0, 0.25), (2.0, 0.0), 10**9) == pytest.approx((0.010009, 0.989991), abs=1e-5)
    assert ratio_interval((0.1, 0.0), (0.3, 0.0), 5) == pytest.approx((1 / 3, 1 / 3))
    assert all(map(math.isnan, ratio_interval((1.0, 0.25), (0.1, 1.0), 10)))
    assert all(map(math.isnan, ratio_interval((1.0, 0.25), (2.0, 0.0), 0)))


def test_a_summary_is_read_unchanged(tmp_path: Path) -> None:
    summary = summarise(simulated({"hkd": lambda x, y, z: 0.1, "rkd+hkd": lambda x, y, z: 0.0}), "psnr_y")
    path = tmp_path / "map.json"
    path.write_text(to_json(summary), encoding="utf-8")
    read = read_summary(path)
    assert to_json(read) == path.read_text(encoding="utf-8")
    for own, other in zip(advise(read, QUESTION).expected, advise(summary, QUESTION).expected, strict=True):
        assert own.method == other.method
        assert own.k == pytest.approx(other.k)
        assert (own.gain, own.low) == pytest.approx((other.gain, other.low))


def test_a_grid_without_two_comparable_cells_is_refused() -> None:
    cells = [cell({"train.steps": n}, {"none": [1.0]}) for n in (1, 2)]
    with pytest.raises(
        SrkdError, match="map has no method whose gain in psnr_y is known in two different cells"
    ):
        summarise(cells, "psnr_y")
    with pytest.raises(SrkdError, match="no method"):
        summarise([cell({"train.steps": 1}, {"none": [1.0], "hkd": [1.0]})], "psnr_y")


def test_without_a_published_map_the_score_file_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="comes without the scores of a map") as error:
        read_summary(tmp_path / "map.json")
    assert "--from grid.csv.gz" in (error.value.hint or "")
