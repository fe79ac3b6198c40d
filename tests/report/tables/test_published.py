"""Published numbers beside a suite's own: chosen by suite, complete without any run."""

from dataclasses import replace

import pytest

from srkd_bench.config.suite_file import load_suite
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.report.document import Document
from srkd_bench.report.tables.claims import check
from srkd_bench.report.tables.comparison import comparison
from srkd_bench.report.tables.published import BY_SUITE, STUDY, notes, published, published_table

SETS = ["set5", "set14@edsr", "bsd100@edsr", "urban100@edsr"]


def report(suite: str, scale: int | None, *columns: str) -> Results:
    return Results(suite, [*columns], [*SETS, "photos-test"], ["psnr_y", "ssim_y"], [], scale=scale)


def test_a_suite_has_its_own_table_and_others_at_x2_the_studys() -> None:
    assert published(report("rcan-x4", 4)) is BY_SUITE["rcan-x4"]
    assert published(report("mine", 2)) is STUDY
    assert published(report("mine", None)) is STUDY
    assert published(report("mine", 4)) is None


def test_published_rows_stand_in_the_comparison_without_any_run() -> None:
    found = report("rcan-x2", 2, "bicubic", "teacher", "none", "hkd", "at")
    table = comparison(found, "psnr_y", reference=True)
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert rows["Set5 (published)"] == ["–", "38.27", "38.13", "38.17", "–"]
    assert rows["Urban100@edsr (published)"] == ["–", "33.34", "32.63", "32.67", "–"]
    assert "photos-test (published)" not in rows
    assert "DCKD), Table 2, RCAN, x2" in " ".join(table.footnotes)
    assert "torch.tensor" in " ".join(table.footnotes)
    assert not any("published" in row[0].text for row in comparison(found, "ssim_y", reference=True).rows)


def test_models_that_the_report_lacks_are_in_a_table_of_their_own() -> None:
    found = report("rcan-x4", 4, "teacher", "none", "hkd", "fakd")
    table = published_table(found)
    assert table is not None
    assert table.header == ["", "Teacher", "w/o KD", "HKD", "FAKD", "MiPKD", "DCKD"]
    assert [cell.text for cell in table.rows[0]] == [
        "Set5",
        "32.63",
        "32.38",
        "32.45",
        "32.46",
        "32.46",
        "32.56",
    ]
    assert len(table.rows) == 4
    titles = [one.title for one in Document(found, reference=True).tables()]
    assert titles.count("rcan-x4: published PSNR-Y in dB") == 1
    assert "rcan-x4: published PSNR-Y in dB" not in [one.title for one in Document(found).tables()]
    everything = replace(found, columns=["teacher", "none", "hkd", "fakd", "mipkd", "dckd"])
    assert published_table(everything) is None
    assert published_table(report("mine", 2, "none")) is None


def test_a_suite_without_published_numbers_says_so() -> None:
    table = comparison(report("mine", 4, "none"), "psnr_y", reference=True)
    assert "no published numbers are known for suite mine at x4" in table.footnotes
    assert notes(report("mine", 3)) == ["no published numbers are known for suite mine at x3"]


@pytest.mark.parametrize("name", sorted(BY_SUITE))
def test_the_suites_follow_the_recipe_and_claim_their_published_numbers(name: str) -> None:
    suite = load_suite(name)
    train = suite.train
    assert suite.data.scale == int(name[-1])
    assert (train.loss, train.batch, train.patch, train.steps) == ("l1", 16, 48, 250_000)
    assert (train.betas, train.milestones, train.ema) == ((0.9, 0.99), (100_000, 200_000), 0.999)
    assert (train.learning_rate, train.decay_factor) == (1e-4, 0.1)
    known = BY_SUITE[name]
    of = "none" if "none" in known.columns else "teacher"
    (claim,) = suite.claims
    assert claim.reads == {one: known.of(one)[of] for one in SETS}
    assert (claim.of, claim.margin) == (of, 0.05)


@pytest.mark.parametrize(("off", "verdict"), [(0.04, "holds"), (0.06, "fails")])
def test_a_run_is_checked_against_its_published_numbers(off: float, verdict: str) -> None:
    claims = load_suite("rcan-x3").claims
    scores = [
        Score("none", dataset, "0", "psnr_y", "y@1", value - off, method="none", seed=0)
        for dataset, value in claims[0].reads.items()
    ]
    measured = replace(report("rcan-x3", 3, "none"), datasets=SETS, scores=scores)
    assert [one.verdict for one in check(measured, claims)] == [verdict]
