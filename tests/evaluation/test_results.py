"""Results: the operations that all tables and figures share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

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
    assert (pairs.units, pairs.images) == ([0, 1], ["a"])
    assert pairs.values.ravel().tolist() == pytest.approx([0.5, 0.1])
    assert pairs.left_out == ["seed 2", "seed 3", "image b"]
    assert MADE.image_gains("psnr_y", "hkd", "none", "set5") == {"a": pytest.approx(0.3)}
    assert MADE.image_gains("psnr_y", "teacher", "none", "set5") == {}


def test_pairs_can_be_of_two_results() -> None:
    others = replace(MADE, scores=[replace(one, value=one.value - 1) for one in MADE.scores])
    pairs = MADE.pairs("psnr_y", "none", "none", "set5", others)
    assert pairs.units == [0, 1, 3]
    assert set(pairs.values.ravel().tolist()) == {1.0}
    fewer = pairs.of_units({0, 3})
    assert (fewer.units, fewer.values.shape, fewer.left_out) == ([0, 3], (2, 2), ["seed 1"])


def scored(values: Mapping[Any, tuple[float, ...]], dataset: str = "set5") -> list[Score]:
    """Return the scores of images a, b, … by model, teacher's seed and student's seed."""
    return [
        Score(model, dataset, image, "psnr_y", "y@1", value, seed=seed, teacher_seed=teacher)
        for (model, teacher, seed), images in values.items()
        for image, value in zip("abc", images, strict=False)
    ]


def of(
    values: Mapping[Any, tuple[float, ...]], seeds: Sequence[int] = (), teachers: Sequence[int] = ()
) -> Results:
    columns = ["teacher", "none", "dml", "hkd", "ckd"]
    results = Results("demo", columns, ["set5"], ["psnr_y"], scored(values))
    return replace(results, seeds=list(seeds), teachers=list(teachers))


CROSSED = {
    ("teacher", 0, None): (33.0, 24.0),
    ("teacher", 7, None): (34.0, 25.0),
    ("none", None, 1): (30.0, 20.0),
    ("none", None, 2): (31.0, 22.0),
    ("dml", None, 1): (30.5, 20.0),
    ("dml", None, 2): (31.5, 21.0),
    ("hkd", 0, 1): (30.5, 21.0),  # +0.5, +1
    ("hkd", 0, 2): (31.1, 22.0),  # +0.1, 0
    ("hkd", 7, 1): (31.0, 20.0),  # +1, 0
    ("hkd", 7, 2): (31.0, 24.0),  # 0, +2
    ("ckd", 0, 1): (30.4, 21.0),
    ("ckd", 0, 2): (31.1, 21.5),
    ("ckd", 7, 1): (31.0, 20.0),
    ("ckd", 7, 2): (30.0, 24.0),
}


def test_of_crossed_teachers_a_unit_is_a_teachers_mean_over_the_seeds() -> None:
    results = of(CROSSED)
    assert results.crossed
    assert [results.unit(model) for model in results.columns] == [
        "seed",
        "seed",
        "seed",
        "teacher",
        "teacher",
    ]
    pairs = results.pairs("psnr_y", "hkd", "none", "set5")
    assert (pairs.unit, pairs.units, pairs.images, pairs.left_out) == ("teacher", [0, 7], ["a", "b"], [])
    assert pairs.covers_teachers
    assert pairs.values.tolist() == [pytest.approx([0.3, 0.5]), pytest.approx([0.5, 1.0])]
    assert results.image_gains("psnr_y", "hkd", "none", "set5") == {
        "a": pytest.approx(0.4),
        "b": pytest.approx(0.75),
    }
    both = results.pairs("psnr_y", "hkd", "ckd", "set5")  # each with its own teacher and seed
    assert both.values.tolist() == [pytest.approx([0.05, 0.25]), pytest.approx([0.5, 0.0])]
    back = results.pairs("psnr_y", "none", "hkd", "set5")
    assert back.values.tolist() == (-pairs.values).tolist()


def test_methods_without_teacher_are_compared_by_seed_beside_crossed_teachers() -> None:
    pairs = of(CROSSED).pairs("psnr_y", "dml", "none", "set5")
    assert (pairs.unit, pairs.units, pairs.covers_teachers) == ("seed", [1, 2], False)
    assert pairs.values.tolist() == [[0.5, 0.0], [0.5, -1.0]]


def test_means_are_over_teachers_where_there_are_several() -> None:
    results = of(CROSSED)
    assert results.runs("psnr_y", "hkd", "set5")[7] == {"a": 31.0, "b": 22.0}
    assert results.seed_means("psnr_y", "hkd", "set5") == {0: pytest.approx(26.15), 7: 26.5}
    assert results.seed_means("psnr_y", "none", "set5") == {1: 25.0, 2: 26.5}
    assert results.seed_means("psnr_y", "teacher", "set5") == {0: 28.5, 7: 29.5}
    assert results.means("psnr_y", "hkd") == {"set5": pytest.approx(26.325)}


def test_teachers_and_seeds_that_are_not_all_measured_are_left_out_by_name() -> None:
    whole: dict[tuple[str, int | None, int], tuple[float, ...]]
    whole = {("hkd", t, s): (1.0 * t + s,) for t in (0, 1, 2) for s in (0, 1, 2, 3)}
    whole |= {("none", None, s): (0.0,) for s in (0, 1, 2, 3)}

    def units(*lacking: tuple[int, int]) -> tuple[list[int], list[float], list[str]]:
        kept = {key: value for key, value in whole.items() if key[1:] not in lacking}
        pairs = of(kept, seeds=[0, 1, 2, 3], teachers=[0, 1, 2]).pairs("psnr_y", "hkd", "none", "set5")
        return pairs.units, pairs.values.ravel().tolist(), pairs.left_out

    assert units() == ([0, 1, 2], [1.5, 2.5, 3.5], [])
    assert units((2, 3)) == ([0, 1, 2], [1.0, 2.0, 3.0], ["seed 3"])  # one of three before one of four
    assert units((2, 1), (2, 2), (2, 3)) == ([0, 1], [1.5, 2.5], ["teacher 2"])
    assert units((0, 0), (1, 1), (1, 2), (1, 3)) == ([0, 2], [2.0, 4.0], ["teacher 1", "seed 0"])


def test_coverage_names_what_a_model_was_measured_with_and_what_the_report_has() -> None:
    fewer = {key: value for key, value in CROSSED.items() if key not in (("hkd", 7, 1), ("teacher", 7, None))}
    results = of(fewer, seeds=[1, 2, 3], teachers=[0, 7])
    assert results.coverage("psnr_y", "none", "set5") == {"seed": ([1, 2], [1, 2, 3])}
    assert results.coverage("psnr_y", "hkd", "set5") == {
        "seed": ([2], [1, 2, 3]),
        "teacher": ([0, 7], [0, 7]),
    }
    assert results.coverage("psnr_y", "teacher", "set5") == {"teacher": ([0], [0, 7])}
    assert results.coverage("psnr_y", "rkd", "set5") == {}
    assert MADE.coverage("psnr_y", "teacher", "set5") == {}
    assert MADE.coverage("psnr_y", "hkd", "set5") == {"seed": ([0, 1, 2], [0, 1, 2, 3])}


def test_paired_teachers_and_a_single_one_are_compared_by_seed() -> None:
    paired = {("none", None, s): (30.0 + s,) for s in (0, 1)} | {
        ("hkd", s, s): (31.0 + 2 * s,) for s in (0, 1)
    }
    found = of(paired).pairs("psnr_y", "hkd", "none", "set5")
    assert (found.unit, found.units, found.covers_teachers) == ("seed", [0, 1], True)
    assert found.values.tolist() == [[1.0], [2.0]]
    single = {(model, None if t is None else 5, s): value for (model, t, s), value in paired.items()}
    found = of(single).pairs("psnr_y", "hkd", "none", "set5")
    assert (found.unit, found.units, found.covers_teachers) == ("seed", [0, 1], False)
    assert found.values.tolist() == [[1.0], [2.0]]
    assert not MADE.pairs("psnr_y", "hkd", "none", "set5").covers_teachers


def test_results_with_one_teacher_can_be_compared_with_those_of_crossed_ones() -> None:
    single = of({("hkd", None, 1): (30.0, 20.0), ("hkd", None, 2): (31.0, 22.0)})
    pairs = of(CROSSED).pairs("psnr_y", "hkd", "hkd", "set5", single)
    assert (pairs.unit, pairs.units) == ("teacher", [0, 7])
    assert pairs.values.tolist() == [pytest.approx([0.3, 0.5]), pytest.approx([0.5, 1.0])]
