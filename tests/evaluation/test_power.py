"""Statistical power: against SciPy, simulation and the values of the published study."""

import math

import numpy as np
import pytest
from scipy.stats import nct, t

from srkd_bench.evaluation.power import (
    USUAL_DEVIATION,
    detectable,
    pooled_deviation,
    power,
    seeds_needed,
)
from srkd_bench.evaluation.statistics import LEVEL, Difference, differences, t_test
from tests.support.published_scores import published


def difference(
    deviation: float, seeds: int = 6, model: str = "hkd", dataset: str | None = None
) -> Difference:
    return Difference(model, "none", "psnr_y", dataset, 0.1, 0.0, 0.2, deviation, seeds, 5, p=0.01)


@pytest.mark.parametrize(
    ("size", "of_seeds"),
    [(0.05, {3: 0.10, 4: 0.23, 6: 0.65, 10: 0.98}), (0.09, {3: 0.26, 4: 0.67, 6: 0.99, 10: 1.0})],
)
def test_power_among_six_methods_agrees_with_the_simulation_of_holms_procedure(
    size: float, of_seeds: dict[int, float]
) -> None:
    for seeds, simulated in of_seeds.items():
        assert power(size, 0.027, seeds, 6) == pytest.approx(simulated, abs=0.02)


def test_power_is_the_rate_at_which_the_test_rejects() -> None:
    values = np.random.default_rng(5).normal(0.04, 0.03, size=(5000, 6))
    found = [(t_test(own) or 1.0) < LEVEL / 3 and own.mean() > 0 for own in values]
    assert power(0.04, 0.03, 6, 3) == pytest.approx(np.mean(found), abs=0.02)


def test_power_is_scipys_noncentral_t() -> None:
    critical = t.ppf(1 - 0.025 / 6, 5)
    assert power(0.05, 0.027, 6, 6) == pytest.approx(nct.sf(critical, 5, 0.05 / 0.027 * math.sqrt(6)))
    assert power(0.0, 0.027, 6, 1) == pytest.approx(0.025)  # in one direction


def test_two_hundredths_of_a_db_need_18_seeds_and_28_among_six_methods() -> None:
    assert seeds_needed(0.02, USUAL_DEVIATION, 1) == 18
    assert seeds_needed(0.02, USUAL_DEVIATION, 6) == 28


@pytest.mark.parametrize(("seeds", "methods"), [(2, 1), (3, 6), (6, 6), (28, 6), (100, 40)])
def test_the_detectable_difference_has_a_power_of_80_percent(seeds: int, methods: int) -> None:
    assert power(detectable(0.03, seeds, methods), 0.03, seeds, methods) == pytest.approx(0.8, abs=1e-4)


def test_the_seeds_needed_are_the_fewest() -> None:
    for size in (0.01, 0.033, 0.1):
        seeds = seeds_needed(size, 0.03, 5)
        assert seeds is not None
        assert power(size, 0.03, seeds, 5) >= 0.8 > power(size, 0.03, seeds - 1, 5)


def test_more_than_ten_thousand_seeds_are_no_answer_and_two_are_the_least() -> None:
    assert seeds_needed(1e-5, 0.03, 1) is None
    assert seeds_needed(100.0, 0.03, 1) == 2


def test_the_deviation_is_the_median_over_methods_on_all_data_sets() -> None:
    correction = math.sqrt(5 / 4.3515)  # chi-squared with five degrees of freedom has this median
    found = [difference(0.01), difference(0.03), difference(0.5), difference(9.0, dataset="set5")]
    assert pooled_deviation(found) == pytest.approx(0.03 * correction, rel=1e-4)


def test_what_tells_no_deviation_is_left_out() -> None:
    useless = [difference(math.nan, 1), difference(0.0), difference(0.9, model="none@equal-cost")]
    assert pooled_deviation(useless) is None
    assert pooled_deviation([]) is None
    assert pooled_deviation([*useless, difference(0.02)]) == pooled_deviation([difference(0.02)])


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_the_deviation_is_right_on_average_also_with_few_seeds(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(0, 0.03, size=(2000, 5, seeds)).std(axis=2, ddof=1)
    pooled = [pooled_deviation([difference(one, seeds) for one in own]) or 0.0 for own in values.tolist()]
    assert np.median(pooled) == pytest.approx(0.03, rel=0.05)


def test_the_usual_deviation_is_that_of_the_published_methods_without_ckd() -> None:
    suites = [published(name) for name in ("bsds", "bsds-tuned", "bsds-pretrained", "bsds-more")]
    variances = [
        one.deviation**2
        for results in suites
        for one in differences(results, "psnr_y")
        if one.dataset is None and one.seeds == 6 and one.model not in ("ckd", "none@equal-cost")
    ]
    assert len(variances) == 14
    assert math.sqrt(np.mean(variances)) == pytest.approx(USUAL_DEVIATION, abs=5e-4)
