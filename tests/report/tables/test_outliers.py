"""Trainings far below the other seeds of their method, with values by hand."""

import pytest

from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.report.tables.gains import gains
from srkd_bench.report.tables.outliers import outlier_note, outliers


def scored(means: dict[str, list[float]], metric: str = "psnr_y") -> Results:
    """Return results on two data sets of one image, whose mean for each seed is given."""
    scores = [
        Score(model, dataset, "a", metric, "y@1", mean + shift, "run", model, seed)
        for model, own in means.items()
        for seed, mean in enumerate(own)
        for dataset, shift in (("set5", -1.0), ("set14", 1.0))
    ]
    return Results("mine", list(means), ["set5", "set14"], [metric], scores, seeds=[0, 1, 2, 3])


STEADY = [30.00, 30.01, 30.03, 30.06]  # median 30.02: 0.02, 0.01, 0.01 and 0.04 from it


def test_a_training_ten_usual_deviations_below_its_median_is_named() -> None:
    """Deviations .01 .01 .02 .04 and .01 .01 .02 d: median .015, so the limit is 10 * 1.4826 * .015 = .2224."""
    for drop, far in ((0.222, False), (0.223, True)):
        failed = [30.01, 30.03, 30.04, 30.02 - drop]  # median 30.02
        results = scored({"none": failed, "hkd": STEADY})
        assert outliers(results, "psnr_y") == ({("none", 3): pytest.approx(-drop)} if far else {})


def test_of_an_odd_number_of_seeds_the_median_itself_is_no_deviation() -> None:
    """Without it .01 .03 .02 .04 0 d: median .025, so the limit is 10 * 1.4826 * .025 = .371; with it .148."""
    steady = {"none": [30.0, 30.01, 30.04], "hkd": [30.0, 30.02, 30.06]}
    assert outliers(scored({**steady, "ckd": [30.0, 30.0, 29.7]}), "psnr_y") == {}
    found = outliers(scored({**steady, "ckd": [30.0, 30.0, 29.5]}), "psnr_y")
    assert found == {("ckd", 2): pytest.approx(-0.5)}


def test_high_scores_few_seeds_and_equal_seeds_are_not_named() -> None:
    assert outliers(scored({"none": STEADY, "hkd": [30.0, 30.01, 30.03, 99.0]}), "psnr_y") == {}
    assert outliers(scored({"none": STEADY, "hkd": [30.0, 20.0]}), "psnr_y") == {}
    assert outliers(scored({"none": [30.0] * 4, "hkd": [30.0, 30.0, 30.0, 29.0]}), "psnr_y") == {}
    assert outliers(scored({}), "psnr_y") == {}


def test_the_table_of_gains_has_the_note() -> None:
    results = scored({"none": [*STEADY[:3], 29.0], "hkd": STEADY})
    note = (
        "Trainings far below the median of their method, which may have failed; they are included: w/o KD seed 3"
        " (−1.005 dB)"
    )
    assert outlier_note(results, "psnr_y") == note
    table = gains(results, "psnr_y")
    assert table is not None
    assert note in table.footnotes
    ssim = scored({"none": [0.90, 0.91, 0.91, 0.5], "hkd": [0.90, 0.91, 0.92, 0.91]}, "ssim_y")
    assert "w/o KD seed 3 (−0.4050)" in outlier_note(ssim, "ssim_y")
