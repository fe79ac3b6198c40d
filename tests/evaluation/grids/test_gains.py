import math
from dataclasses import astuple, replace

import pytest

from srkd_bench.evaluation.grids.cells import CellResults, axes_of, by_steps, free, grouped, measured, tied
from srkd_bench.evaluation.grids.effects import fitted_gains, fitted_slope
from srkd_bench.evaluation.grids.gains import cell_gains, cell_multipliers, methods_of
from srkd_bench.evaluation.grids.regression import position
from srkd_bench.evaluation.statistics import differences, holm
from tests.support.grids import cell, simulated
from tests.support.published_scores import EQUAL_COST_STEPS, STEPS, published

ALONE = [30.0, 30.2, 29.9]


def shifted(values: list[float], by: list[float]) -> list[float]:
    return [one + other for one, other in zip(values, by, strict=True)]


def test_holm_is_over_all_cells_and_methods() -> None:
    cells = [
        cell(
            {"train.steps": n}, {"none": ALONE, "hkd": shifted(ALONE, own), "rkd": shifted(ALONE, own[::-1])}
        )
        for n, own in ((1, [0.1, 0.12, 0.11]), (2, [0.1, 0.3, 0.2]))
    ]
    found = cell_gains(cells, "psnr_y")
    assert [(one.cell.axes["train.steps"], one.model) for one in found] == [
        ("1", "hkd"), ("1", "rkd"), ("2", "hkd"), ("2", "rkd"),
    ]  # fmt: skip
    known = [one.difference for one in found if one.difference]
    assert [one.mean for one in known] == pytest.approx([0.11, 0.11, 0.2, 0.2])
    p = [one.p or 0 for one in known]
    assert [one.p_holm for one in known] == pytest.approx(holm(p))
    alone = [one for own in cells for one in differences(own.results, "psnr_y") if one.dataset is None]
    assert [one.p for one in alone] == p
    assert [one.verdict for one in alone] == ["better", "better", "not significant", "not significant"]
    assert [one.verdict for one in known] == ["better", "better", "not significant", "not significant"]
    assert known[0].p_holm == pytest.approx(4 * p[0])


def test_only_students_with_scores_of_a_metric_are_measured() -> None:
    one = cell({"train.steps": 1}, {"none": ALONE, "hkd": ALONE, "teacher": ALONE[:1]})
    scores = [replace(own, seed=None) if own.model == "teacher" else own for own in one.results.scores]
    one = replace(one, results=replace(one.results, scores=scores))
    assert (measured(one, "psnr_y"), measured(one, "ssim_y")) == ({"none", "hkd"}, set())


def test_a_cell_without_baseline_has_methods_and_no_gain() -> None:
    cells = [
        cell({"train.steps": 1}, {"hkd": ALONE}),
        cell({"train.steps": 2}, {"none": ALONE, "hkd": ALONE}),
    ]
    first, second = cell_gains(cells, "psnr_y")
    assert (first.model, first.difference) == ("hkd", None)
    assert second.difference is not None
    assert second.difference.verdict is None  # no variance


def test_controls_come_last() -> None:
    assert methods_of(cell({}, {"none@2x": [1.0], "none": [1.0], "hkd": [1.0]})) == ["hkd", "none@2x"]


def test_cells_are_grouped_by_what_they_share() -> None:
    cells = simulated({}, seeds=1)
    assert [len(group) for group in by_steps(cells)] == [4] * 6
    assert [one.axes["train.steps"] for one in by_steps(cells[::-1])[0]] == [
        "2500",
        "10000",
        "40000",
        "160000",
    ]
    assert [len(group) for group in grouped(cells, "student", "train.steps")] == [12, 12]
    assert list(axes_of(cells[::-1])["data.images"]) == ["50", "399"]


def test_a_learning_rate_that_goes_with_the_steps_is_not_an_axis_of_its_own() -> None:
    rates = {100: 0.1, 200: 0.05, 400: 0.025}
    zipped = [
        cell({"train.steps": n, "train.learning_rate": rate}, {"none": ALONE}) for n, rate in rates.items()
    ]
    assert [len(group) for group in by_steps(zipped)] == [3]
    assert (tied(zipped), free(zipped)) == (["train.learning_rate"], ["train.steps"])
    assert position(zipped[1], zipped) == {"train.steps": 200}
    other = cell({"train.steps": 100, "train.learning_rate": 0.2}, {"none": ALONE})
    assert [len(group) for group in by_steps([*zipped, other])] == [1, 1, 1, 1]
    assert tied([*zipped, other]) == []


def test_k_worked_by_hand() -> None:
    """The student alone gains 0.4 dB from 100 to 200 steps and 0.2 from 200 to 400.

    At 100 steps a method gains 0.5: 0.1 above the student alone at 200, halfway to 400 on a logarithmic axis,
    so k = 2 · √2. At 200 steps another loses 0.1: a quarter of the way down to 100, k = 2^(−1/4).
    """
    levels = {100: 30.0, 200: 30.4, 400: 30.6}
    noise = [0.0, 0.001, -0.001]
    gains = {100: 0.5, 200: -0.1, 400: 0.1}
    cells = [
        cell(
            {"train.steps": n},
            {"none": [level] * 3, "hkd": [level + gains[n] + one for one in noise]},
            costs={"none": 1.0, "hkd": 3.0},
        )
        for n, level in levels.items()
    ]
    found = {cells_name: one for (cells_name, _), one in cell_multipliers(cells, "psnr_y").items()}
    short, middle, long = found.values()
    assert short.k == pytest.approx(2 * math.sqrt(2))
    assert (short.smallest, short.largest) == (1, 4)
    assert short.low < short.k < short.high
    half = (
        4.303 * 0.001 / math.sqrt(3)
    )  # of the gain; an interval on the straight line between 200 and 400 steps
    assert (short.low, short.high) == pytest.approx(
        (2 ** (1.5 - half / 0.2), 2 ** (1.5 + half / 0.2)), rel=1e-4
    )
    assert middle.k == pytest.approx(2**-0.25)
    assert (middle.smallest, middle.largest) == (0.5, 2)
    assert (long.k, long.low, long.high) == (1, 1, 1)  # more than any that was measured


def test_k_uses_the_controls_of_its_own_cell() -> None:
    """Twice the steps gain more than half of what four times the steps gain."""
    levels = {100: {"none": 0.0, "hkd": 0.2, "none@2x": 0.3}, 400: {"none": 0.4, "hkd": 0.6}}
    cells = [
        cell({"train.steps": n}, {model: shifted(ALONE, [gain] * 3) for model, gain in own.items()})
        for n, own in levels.items()
    ]
    without = cell_multipliers(cells, "psnr_y")
    cells[0] = replace(cells[0], results=replace(cells[0].results, steps={"none": 100, "none@2x": 200}))
    found = cell_multipliers(cells, "psnr_y")
    assert {place[1] for place in found} == {"hkd"}
    assert without[cells[0].name, "hkd"].k == pytest.approx(2)  # half of two doublings
    assert found[cells[0].name, "hkd"].k == pytest.approx(2 ** (2 / 3))
    assert found[cells[1].name, "hkd"] == without[cells[1].name, "hkd"]
    assert cell_multipliers(cells[:1], "psnr_y")[cells[0].name, "hkd"].largest == 2
    steps = {"none": 100, "none@2x": 400}  # a length that another cell has: its own setting is used
    cells[0] = replace(cells[0], results=replace(cells[0].results, steps=steps))
    assert cell_multipliers(cells, "psnr_y") == without


def test_k_of_a_cell_without_the_student_alone_uses_the_other_lengths() -> None:
    cells = [
        cell({"train.steps": n}, {model: shifted(ALONE, [n / 1000] * 3) for model in models})
        for n, models in ((100, ["hkd"]), (200, ["none"]), (400, ["none"]))
    ]
    cells[0] = replace(cells[0], results=replace(cells[0].results, steps={"hkd": 100}))
    (one,) = cell_multipliers(cells, "psnr_y").values()
    assert (one.smallest, one.largest) == (2, 4)


def test_k_needs_the_student_alone_as_the_baseline_at_two_lengths() -> None:
    cells = [cell({"train.steps": n}, {"none": ALONE, "hkd": ALONE, "rkd": ALONE}) for n in (100, 200)]
    assert len(cell_multipliers(cells, "psnr_y")) == 4
    assert cell_multipliers(cells[:1], "psnr_y") == {}
    other = [replace(one, results=replace(one.results, baseline="rkd")) for one in cells]
    assert cell_multipliers(other, "psnr_y") == {}
    unknown = [replace(one, factors={}) for one in cells]
    assert cell_multipliers(unknown, "psnr_y") == {}


def test_known_effects_are_found_in_simulated_scores() -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.08 + 0.01 * x - 0.02 * y + 0.004 * x * y}, seeds=6, state=1)
    found = fitted_gains(cells, cell_gains(cells, "psnr_y"))["hkd"]
    centre = found.layout.centre
    x, y = centre["train.steps"] - math.log2(20_000), centre["student"] - math.log2(50_000)
    true = {
        ("train.steps",): 0.01 + 0.004 * y,
        ("student",): -0.02 + 0.004 * x,
        ("data.images",): 0.0,
        ("student", "train.steps"): 0.004,
    }
    for term, effect in true.items():
        low, high = found.interval(term)
        assert low <= effect <= high
        assert high - low < 0.01
    assert (found.cells, found.seeds, found.freedom) == (24, 144, 17)


def test_the_slope_is_what_the_student_alone_gains_per_doubling() -> None:
    cells = simulated({}, noise=0.001)
    found = fitted_slope(cells, "psnr_y")
    assert found is not None
    assert found.cells == 18
    where = {"train.steps": 20_000.0, "student": 50_000.0, "data.images": 100.0}
    assert math.exp(found.predict(where)[0]) == pytest.approx(0.25, abs=0.001)
    assert fitted_slope(simulated({}, steps=[100]), "psnr_y") is None


def test_the_slope_has_the_longer_trainings_of_a_cell() -> None:
    """From 100 to 200 steps 0.4 dB, and from 200, which the second cell has as well, to 800 in all 0.2."""
    cells = [
        cell(
            {"train.steps": 100},
            {"none": ALONE, "none@2x": shifted(ALONE, [9.0] * 3), "none@8x": shifted(ALONE, [0.6] * 3)},
        ),
        cell({"train.steps": 200}, {"none": shifted(ALONE, [0.3, 0.4, 0.5])}),
    ]
    steps = {"none": 100, "none@2x": 200, "none@8x": 800, "hkd": 100}
    cells[0] = replace(cells[0], results=replace(cells[0].results, steps=steps))
    found = fitted_slope(cells, "psnr_y")
    assert found is not None
    for n, slope in ((100 * 2**0.5, 0.4), (400, 0.1)):
        assert math.exp(found.predict({"train.steps": n})[0]) == pytest.approx(slope)
    # over seeds, log(slope) varies as the slope does relative to its mean: 0.1 / 0.4, and (0.1 / 2) / 0.1
    assert found.within == pytest.approx((0.25**2 + 0.5**2) / 2)


def test_a_length_without_scores_is_no_gap_in_the_slope() -> None:
    cells = [cell({"train.steps": n}, {"none": shifted(ALONE, [n / 100] * 3)}) for n in (100, 200, 400)]
    cells[1] = replace(cells[1], results=replace(cells[1].results, scores=[]))
    found = fitted_slope(cells, "psnr_y")
    assert found is not None
    assert found.cells == 1
    assert math.exp(found.coefficients[0]) == pytest.approx(1.5)


def test_a_method_in_one_cell_and_controls_are_not_fitted() -> None:
    cells = [
        cell({"train.steps": 1}, {"none": ALONE, "hkd": ALONE, "none@2x": ALONE}),
        cell({"train.steps": 2}, {"none": ALONE, "none@2x": ALONE}),
    ]
    assert fitted_gains(cells, cell_gains(cells, "psnr_y")) == {}


def test_k_of_the_published_scores_as_a_grid_of_two_lengths() -> None:
    """The same numbers as `multipliers` reads from `none@equal-cost`, which is `none` of the second cell."""
    results = published("bsds")
    longer = [replace(one, model="none") for one in results.scores if one.model == "none@equal-cost"]
    place = {"train.steps": float(EQUAL_COST_STEPS)}
    cells = [
        CellResults("short", {"train.steps": "10000"}, {"train.steps": STEPS}, results),
        CellResults(
            "long", {"train.steps": "100522"}, place, replace(results, columns=["none"], scores=longer)
        ),
    ]
    found = cell_multipliers(cells, "psnr_y")
    assert [f"{value:.2f}" for value in astuple(found["short", "hkd"])[1:4]] == ["2.06", "1.71", "2.64"]
    assert [f"{value:.2f}" for value in astuple(found["short", "rvkd"])[1:4]] == ["2.21", "1.80", "2.67"]
