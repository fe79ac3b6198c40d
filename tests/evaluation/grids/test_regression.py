import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtrit

from srkd_bench.evaluation.grids.gains import cell_gains
from srkd_bench.evaluation.grids.regression import Fit, Point, fit, position
from srkd_bench.report.formats.grid_file import read_grid
from tests.support.grids import cell

ROOT = Path(__file__).parents[3]


def fitted(points: list[Point]) -> Fit:
    found = fit(points)
    assert found is not None
    return found


def effects(found: Fit) -> dict[tuple[str, ...], float]:
    return dict(zip(found.layout.terms, found.coefficients, strict=True))


def test_a_line_through_three_cells_worked_by_hand() -> None:
    """Cells at 1, 2 and 4 with means 0.1, 0.2 and 0.6 and two seeds each, 0.02 apart.

    Slope (0.6 − 0.1) / 2 = 0.25, mean 0.3, residuals 0.05, −0.1 and 0.05. Within a cell the variance over seeds is
    0.02² / 2 = 0.0002, of a cell's mean 0.0001. Residual sum of squares 0.015 = (variance of a mean + between) · 1,
    so between = 0.015 − 0.0001 and the slope has the variance 0.015 / 2 with one degree of freedom.
    """
    points = [Point({"n": n}, [mean - 0.01, mean + 0.01]) for n, mean in ((1, 0.1), (2, 0.2), (4, 0.6))]
    found = fitted(points)
    assert effects(found) == pytest.approx({(): 0.3, ("n",): 0.25})
    assert (found.within, found.between) == pytest.approx((0.0002, 0.0149))
    assert (found.freedom, found.cells, found.seeds) == (1, 3, 6)
    half = stdtrit(1, 0.975) * math.sqrt(0.015 / 2)
    assert found.interval(("n",)) == pytest.approx((0.25 - half, 0.25 + half))
    assert found.predict({"n": 8}) == pytest.approx((0.8, 0.015 / 3 + 4 * 0.015 / 2 + 0.0149))


def test_a_design_without_spare_cells_has_intervals_from_its_seeds() -> None:
    found = fitted([Point({"n": 1}, [0.0, 0.2]), Point({"n": 2}, [0.4, 0.6])])
    assert effects(found) == pytest.approx({(): 0.3, ("n",): 0.4})
    half = stdtrit(2, 0.975) * math.sqrt(0.02 / 2 * 2)
    assert found.interval(("n",)) == pytest.approx((0.4 - half, 0.4 + half))
    assert found.between == 0


def test_more_seeds_weigh_more() -> None:
    points = [Point({"n": n}, [0.1 * n] * 3 + [0.1 * n + 0.02] * 3) for n in (1, 2)]
    few = [*points, Point({"n": 2}, [0.5, 0.52])]
    many = [*points, Point({"n": 2}, [0.5, 0.52] * 3)]
    assert fitted(few).predict({"n": 2})[0] < fitted(many).predict({"n": 2})[0]


def test_one_seed_in_every_cell_leaves_the_residuals() -> None:
    found = fitted([Point({"n": n}, [value]) for n, value in ((1, 0.1), (2, 0.2), (4, 0.6))])
    equal = fitted([Point({"n": n}, [value] * 2) for n, value in ((1, 0.1), (2, 0.2), (4, 0.6))])
    assert equal.interval(("n",)) == pytest.approx(found.interval(("n",)))
    assert equal.predict({"n": 8}) == pytest.approx(found.predict({"n": 8}))
    assert math.isnan(found.within)
    half = stdtrit(1, 0.975) * math.sqrt(0.015 / 2)
    assert found.interval(("n",)) == pytest.approx((0.25 - half, 0.25 + half))
    lone = fitted([Point({"n": 1}, [0.1]), Point({"n": 2}, [0.2])])
    assert (lone.freedom, all(map(math.isnan, lone.interval(("n",))))) == (0, True)
    assert all(map(math.isnan, lone.prediction_interval({"n": 3})))


@pytest.mark.parametrize("seeds", [1, 3])
def test_effects_without_noise_are_found_exactly(seeds: int) -> None:
    points = [
        Point({"a": a, "b": b}, [0.1 + 0.02 * math.log2(a) - 0.03 * math.log2(b) * math.log2(a / 2)] * seeds)
        for a in (1, 2, 4)
        for b in (1, 4)
    ]
    found = fitted(points)
    assert found.layout.centre == {"a": 1, "b": 1}
    assert effects(found) == pytest.approx(
        {(): 0.12, ("a",): -0.01, ("b",): 0.0, ("a", "b"): -0.03}, abs=1e-12
    )
    assert found.predict({"a": 16, "b": 16})[0] == pytest.approx(0.18 - 0.36)


def test_what_varies_together_is_not_estimable() -> None:
    zipped = [Point({"a": n, "b": 8 / n}, [0.1 * n]) for n in (1, 2, 4)]
    assert fitted(zipped).layout.terms == ((), ("a",), ("a", "b"))  # two factors, one curve
    assert fitted(zipped).layout.aliased == (("b",),)
    half = [Point({"a": a, "b": b, "c": a * b}, [0.0]) for a in (0.5, 2) for b in (0.5, 2)]
    layout = fitted(half).layout
    assert layout.terms == ((), ("a",), ("b",), ("a", "b"))
    assert layout.aliased == (("c",), ("a", "c"), ("b", "c"))


def test_the_interval_covers_the_effects_of_a_fraction_of_the_map() -> None:
    """The largest student only up to 40,000 steps; with and without variation that the factors do not explain."""
    random = np.random.default_rng(2026)
    lengths, sizes = (2_500, 10_000, 40_000, 160_000), (6_531, 49_603, 387_171)
    places = [(n, p, i) for n in lengths for p in sizes for i in (50, 399) if n * p < 160_000 * 387_171]
    for between in (0.0, 0.03):
        covered = []
        for _ in range(300):
            points = []
            for n, p, i in places:
                gain = 0.1 + 0.01 * math.log2(n) - 0.02 * math.log2(p) + 0.005 * math.log2(i)
                own = gain + between * random.normal() + 0.03 * random.normal(size=3)
                points.append(Point({"n": n, "p": p, "i": i}, own.tolist()))
            found = fitted(points)
            for term, true in ((("n",), 0.01), (("p",), -0.02), (("i",), 0.005), (("n", "p"), 0.0)):
                low, high = found.interval(term)
                covered.append(low <= true <= high)
        assert 0.935 <= np.mean(covered) <= 0.985


def correlation(cells: list[Mapping[int, float]]) -> float:
    """Return the correlation over seeds of two cells, pooled over all pairs of cells and the seeds they share."""
    products, sizes = 0.0, 0.0
    for one, other in combinations(cells, 2):
        shared = sorted(one.keys() & other.keys())
        first, second = (np.array([own[seed] for seed in shared]) for own in (one, other))
        first, second = first - first.mean(), second - second.mean()
        products += float(first @ second)
        sizes += float(np.linalg.norm(first) * np.linalg.norm(second))
    return products / sizes


def test_the_gains_of_a_seed_in_two_cells_of_the_map_hardly_correlate() -> None:
    """The regression takes cells as independent."""
    assert correlation([{0: 1.0, 1: 2.0, 2: 3.0}, {1: 0.2, 2: 0.4}, {0: 3.0, 1: 2.0}]) == pytest.approx(
        (0.1 - 0.5) / (0.1 + 0.5)
    )
    found: dict[str, list[Mapping[int, float]]] = {"hkd": [], "crosskd": []}
    for one in cell_gains(read_grid(ROOT / "results" / "map" / "scores.csv.gz"), "psnr_y"):
        if one.model in found and one.difference:
            of_seeds = dict(zip(one.difference.units, one.difference.unit_means, strict=True))
            found[one.model].append(of_seeds)
    known = {model: round(correlation(own), 2) for model, own in found.items()}
    assert known == {"hkd": -0.01, "crosskd": 0.06}


def test_an_axis_without_numbers_is_a_difference_from_its_first_label() -> None:
    cells = [
        cell({"teacher": teacher, "train.steps": steps}, {"none": [0]})
        for teacher in ("small", "large", "other")
        for steps in (100, 200)
    ]
    gains = {"small": 0.0, "large": 0.1, "other": 0.3}
    points = [Point(position(one, cells), [gains[one.axes["teacher"]]]) for one in cells]
    assert points[2].at == {"teacher=large": 1.0, "teacher=other": 0.0, "train.steps": 100.0}
    assert effects(fitted(points)) == pytest.approx(
        {(): 0.4 / 3, ("teacher=large",): 0.1, ("teacher=other",): 0.3, ("train.steps",): 0.0}, abs=1e-12
    )


def test_an_axis_with_a_number_that_has_no_logarithm_is_one_of_labels() -> None:
    cells = [cell({"warmup": value, "train.steps": 10}, {"none": [0]}) for value in (0, 0.5)]
    assert position(cells[1], cells) == {"warmup=0.5": 1.0}
    positive = [replace(one, factors={"warmup": n}) for n, one in zip((1.0, 2.0), cells, strict=True)]
    assert position(positive[1], positive) == {"warmup": 2.0}


def test_labels_with_the_same_number_have_effects_of_their_own() -> None:
    cells = [cell({"teacher": name, "train.steps": 10}, {"none": [0]}) for name in ("trained", "official")]
    cells = [replace(one, factors={**one.factors, "teacher": 1_370_000.0}) for one in cells]
    assert position(cells[0], cells) == {"teacher=official": 0.0}
    assert position(cells[1], cells) == {"teacher=official": 1.0}


def test_nothing_is_fitted_without_points() -> None:
    assert fit([]) is None
    assert fit([Point({"n": 1}, [])]) is None
