"""`--fail-if`: a tiny language, and nothing else."""

import math

import pytest

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.report.conditions import met, parse

RESULTS = Results(
    "demo",
    ["bicubic", "none", "rkd+hkd"],
    ["set5", "photos-test"],
    ["psnr_y", "ssim_y"],
    [
        Score("bicubic", "photos-test", "a", "psnr_y", "y@1", 28.0),
        *(
            Score(model, "photos-test", image, metric, "y@1", value + seed + spread, method=model, seed=seed)
            for model, metric, value in (
                ("none", "psnr_y", 30.0),
                ("rkd+hkd", "psnr_y", 30.1),
                ("none", "ssim_y", 0.9),
            )
            for seed in (0, 1)
            for image, spread in (("a", -0.5), ("b", 0.5))
        ),
        Score("none", "set5", "a", "psnr_y", "y@1", math.inf, method="none", seed=0),
        Score("rkd+hkd", "set5", "a", "psnr_y", "y@1", 30.0, method="rkd+hkd", seed=0),
        Score("rkd+hkd", "set5", "a", "psnr_y", "y@1", 30.0, method="rkd+hkd", seed=1),
    ],
    seeds=[0, 1],
)


@pytest.mark.parametrize(
    ("condition", "so"),
    [
        ("rkd+hkd.photos-test < none.photos-test", False),
        ("rkd+hkd.photos-test > none.photos-test + 0.05", True),
        ("rkd+hkd.photos-test > none.photos-test + 0.15", False),
        ("rkd+hkd.photos-test - 0.2 < none.photos-test - 0.05 + 0", True),
        ("none.photos-test >= 30.5", True),
        ("none.photos-test <= 30.49", False),
        ("bicubic.photos-test.psnr_y < 28.5", True),
        ("none.photos-test.ssim_y > 1.39", True),
        ("-1 < 0", True),
    ],
)
def test_sums_of_means_and_numbers_are_compared(condition: str, so: bool) -> None:
    assert bool(met(parse(condition), RESULTS)) is so


def test_a_condition_that_is_met_says_its_numbers() -> None:
    said = met(parse("bicubic.photos-test  <  none.photos-test - 0.5"), RESULTS)
    assert said == "bicubic.photos-test < none.photos-test - 0.5: 28.0000 < 30.0000"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<",
        "1",
        "1 <",
        "1 < 2 < 3",
        "1 < 2 3",
        "1 < 2 +",
        "1 < + 2",
        "1 < 2 * 3",
        "1 == 1",
        "1 - - 1 < 3",
        "1 \x1b[31m< 2",
    ],
)
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SrkdError, match="--fail-if") as error:
        parse(text)
    assert error.value.hint.startswith("for example --fail-if")


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("rkd+hdk.set5", "no model in 'rkd+hdk.set5' named 'rkd+hdk'", "did you mean 'rkd+hkd'?"),
        ("none.set15", "no data set in 'none.set15' named 'set15'", "did you mean 'set5'?"),
        ("none.set5.psnr", "no metric in 'none.set5.psnr' named 'psnr'", "did you mean 'psnr_y'?"),
        ("none", "'none' is not a number, model.dataset or", ""),
        ("__import__('os')", "is not a number, model.dataset or", ""),
        ("none.photos-test-0.05", "no data set", ""),
        ("1e5", "'1e5' is not a number, model.dataset or", ""),
    ],
)
def test_a_wrong_name_is_an_error_with_the_nearest_known(name: str, message: str, hint: str) -> None:
    with pytest.raises(SrkdError) as error:
        met(parse(f"{name} < 99"), RESULTS)
    assert message in error.value.message
    assert hint in error.value.hint


@pytest.mark.parametrize("name", ["bicubic.set5", "none.set5", "rkd+hkd.photos-test.ssim_y"])
def test_missing_scores_are_an_error_and_no_pass(name: str) -> None:
    with pytest.raises(MissingError, match="has no scores"):
        met(parse(f"{name} < 0"), RESULTS)


def test_what_cannot_be_told_is_an_error_and_no_pass() -> None:
    one_seed = Results("demo", ["none"], ["set5"], ["psnr_y"], RESULTS.scores, seeds=[0])
    with pytest.raises(SrkdError, match="is undefined"):
        met(parse("none.set5 - none.set5 < 0"), one_seed)
