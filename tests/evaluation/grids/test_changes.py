import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from srkd_bench.evaluation.grids.cells import CellResults
from srkd_bench.evaluation.grids.changes import Change, changes
from srkd_bench.evaluation.grids.gains import cell_gains
from tests.support.grids import cell, simulated

ALONE = [30.0, 30.2, 29.9, 30.1, 30.3, 30.05]


def grid(gains: dict[tuple[str, int], list[float]]) -> list[CellResults]:
    """Return a cell for each student and number of steps, with the gain of HKD for each seed."""
    return [
        cell(
            {"student": student, "train.steps": steps},
            {
                "none": ALONE[: len(own)],
                "hkd": [a + b for a, b in zip(ALONE, own, strict=False)],
                "none@2x": ALONE[: len(own)],
            },
        )
        for (student, steps), own in gains.items()
    ]


def found(cells: list[CellResults]) -> dict[tuple[str, str, str], Change]:
    return {(one.axis, one.before, one.after): one for one in changes(cells, cell_gains(cells, "psnr_y"))}


def test_a_change_is_the_paired_t_test_if_all_pairs_have_the_same_seeds() -> None:
    gains = {
        ("EDSR 8×4", 100): [0.1, 0.12, 0.09],
        ("EDSR 8×4", 400): [0.2, 0.21, 0.23],
        ("EDSR 16×8", 100): [0.3, 0.31, 0.33],
        ("EDSR 16×8", 400): [0.5, 0.45, 0.46],
    }
    small, large = (
        [np.array(gains[name, steps]) for steps in (100, 400)] for name in ("EDSR 8×4", "EDSR 16×8")
    )
    of_seeds = (small[1] - small[0] + large[1] - large[0]) / 2
    known = found(grid(gains))
    assert list(known) == [("student", "EDSR 8×4", "EDSR 16×8"), ("train.steps", "100", "400")]
    steps = known["train.steps", "100", "400"]
    expected = ttest_1samp(of_seeds, 0).confidence_interval(0.95)
    assert (steps.model, steps.pairs) == ("hkd", 2)
    assert (steps.mean, steps.low, steps.high) == pytest.approx((of_seeds.mean(), *expected))


def test_pairs_have_equal_weights_whatever_their_seeds() -> None:
    """Changes of 0.1 to 0.3 for three seeds and of 0.4 and 0.6 for two of them, worked by hand."""
    gains = {
        ("EDSR 8×4", 100): [0.0, 0.0, 0.0],
        ("EDSR 8×4", 400): [0.1, 0.2, 0.3],
        ("EDSR 16×8", 100): [0.0, 0.0],
        ("EDSR 16×8", 400): [0.4, 0.6],
    }
    one = found(grid(gains))["train.steps", "100", "400"]
    assert one.mean == pytest.approx((0.2 + 0.5) / 2)
    of_seeds = [
        (-0.1 / math.sqrt(6) - 0.1 / math.sqrt(2)) / 2,
        0.1 / math.sqrt(2) / 2,
        0.1 / math.sqrt(6) / 2,
    ]
    weights = [1 / 9 + 1 / 4, 1 / 9 + 1 / 4, 1 / 9]
    freedom = sum(weights) ** 2 / sum(own**2 for own in weights) - 1
    half = t.ppf(0.975, freedom) * math.sqrt(sum(own**2 for own in of_seeds))
    assert (one.low, one.high) == pytest.approx((one.mean - half, one.mean + half))


def test_axes_without_numbers_have_no_changes_and_learning_rates_follow_the_steps() -> None:
    cells = [
        cell(
            {"teacher": teacher, "train.steps": steps, "train.learning_rate": 1 / steps},
            {"none": ALONE, "hkd": [own + steps / 1000 for own in ALONE]},
        )
        for teacher in ("own", "official")
        for steps in (100, 200)
    ]
    known = found(cells)
    assert list(known) == [("train.steps", "100", "200")]
    assert known["train.steps", "100", "200"].pairs == 2


def test_a_pair_with_one_common_seed_has_no_interval() -> None:
    gains = {("EDSR 8×4", 100): [0.1, 0.12], ("EDSR 8×4", 400): [0.2]}
    one = found(grid(gains))["train.steps", "100", "400"]
    assert one.mean == pytest.approx(0.1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_cells_without_the_method_are_left_out() -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1}, steps=[100, 200, 400], seeds=2)
    del cells[0].results.columns[1]
    known = found(cells)
    assert (known["train.steps", "100", "200"].pairs, known["train.steps", "200", "400"].pairs) == (5, 6)
    assert found([cell({"train.steps": n}, {"none": [30.0]}) for n in (1, 2)]) == {}


@pytest.mark.parametrize("shared", [0.0, 2.0])
def test_intervals_cover_the_true_change(shared: float) -> None:
    """Two of four pairs have three seeds and two have six; the seeds of all cells have a common deviation."""
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        of_seed = shared * random.normal(size=6)
        gains = {}
        for student, count in (("EDSR 8×4", 6), ("EDSR 16×8", 6), ("EDSR 32×16", 3), ("EDSR 8×2", 3)):
            gains[student, 100] = [0.0] * count
            gains[student, 400] = (1 + of_seed + random.normal(size=6))[:count].tolist()
        one = found(grid(gains))["train.steps", "100", "400"]
        inside += one.low <= 1 <= one.high
    assert 0.91 <= inside / 200 <= 0.99
