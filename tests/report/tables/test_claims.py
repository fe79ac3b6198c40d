"""Claims: what decides them, worked by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtrit

from srkd_bench.config.claims import Claim
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.report.formats.score_file import read_scores
from srkd_bench.report.render import render
from srkd_bench.report.study import study_claims
from srkd_bench.report.tables.claims import because, check, refuse_unknown_names

BASE = Path(__file__).parent.parent.parent.parent / "suites" / "smoke.yaml"


NOISE = (0.001, -0.001, 0.002, -0.002, 0.003, -0.003)  # of six seeds; each method begins at another one


def results(seeds: int = 6, **gains: dict[str, float]) -> Results:
    """Return methods with these mean gains on each data set over six seeds; nan: 1 and -1 in turn."""
    sets = next(iter(gains.values()))
    of_seeds = {
        method: {dataset: [_gain(gain, seed, i) for seed in range(seeds)] for dataset, gain in own.items()}
        for i, (method, own) in enumerate(({"none": dict.fromkeys(sets, 0.0)} | gains).items())
    }
    return seeded(of_seeds, list(sets))


def seeded(gains: dict[str, dict[str, list[float]]], datasets: list[str]) -> Results:
    """Return methods with these gains in each seed."""
    scores = [
        Score(method, dataset, "a", "psnr_y", "y@1", 30 + gain, method=method, seed=seed)
        for method, own in gains.items()
        for dataset, values in own.items()
        for seed, gain in enumerate(values)
    ]
    return Results("demo", ["teacher", *gains], datasets, ["psnr_y"], scores)


def _gain(gain: float, seed: int, shift: int) -> float:
    return (-1.0) ** seed if math.isnan(gain) else gain + NOISE[(seed + shift) % len(NOISE)]


def gains_of(p: float) -> list[float]:
    """Return gains of six seeds whose two-sided paired t test has this p."""
    noise = np.array(NOISE)
    return list(noise + stdtrit(5, 1 - p / 2) * noise.std(ddof=1) / math.sqrt(6))


def answer(measured: Results, **claim: object) -> str:
    (verdict,) = check(measured, [Claim.model_validate({"claim": "it is so"} | claim)])
    return verdict.verdict


OPEN = math.nan
NAMES = {"none": "w/o KD", "ckd": "CKD"}


@pytest.mark.parametrize(
    ("ckd", "hkd", "best", "second"),
    [
        (0.2, 0.1, "holds", "fails"),
        (0.1, 0.2, "fails", "holds"),
        (OPEN, 0.1, "not significant", "not significant"),
    ],
)
def test_the_best_is_above_all_others_and_the_second_below_one(
    ckd: float, hkd: float, best: str, second: str
) -> None:
    measured = results(ckd={"a": ckd}, hkd={"a": hkd}, rkd={"a": 0.0})
    among = ["ckd", "hkd", "rkd"]
    assert answer(measured, best="ckd", among=among) == best
    assert answer(measured, second="ckd", among=among) == second


def test_the_best_is_of_all_data_sets_together_or_of_each_that_is_named() -> None:
    measured = results(ckd={"a": 1.0, "b": -0.1}, hkd={"a": 0.0, "b": 0.0})
    assert answer(measured, best="ckd", among=["hkd"]) == "holds"
    assert answer(measured, best="ckd", among=["hkd"], on=["a"]) == "holds"
    assert answer(measured, best="ckd", among=["hkd"], on=["a", "b"]) == "fails"


@pytest.mark.parametrize(
    ("gain", "gains", "no_gain", "no_gain_of_much"),
    [
        (0.03, "holds", "fails", "fails"),
        (0.022, "holds", "fails", "not significant"),
        (0.005, "holds", "fails", "holds"),  # better than the baseline, and by less than the margin
        (-0.01, "fails", "holds", "holds"),
        (0.0, "not significant", "not significant", "holds"),
        (OPEN, "not significant", "not significant", "not significant"),
    ],
)
def test_a_claim_of_no_gain_is_tested_against_its_margin(
    gain: float, gains: str, no_gain: str, no_gain_of_much: str
) -> None:
    measured = results(ckd={"a": gain})
    assert answer(measured, gain=["ckd"]) == gains
    assert answer(measured, no_gain=["ckd"]) == no_gain
    assert answer(measured, no_gain=["ckd"], margin=0.02) == no_gain_of_much


def test_data_sets_can_be_left_out() -> None:
    measured = results(ckd={"a": 1.0, "b": -1.0})
    assert answer(measured, no_gain=["ckd"]) == "fails"
    assert answer(measured, no_gain=["ckd"], not_on=["a"]) == "holds"
    assert answer(measured, gain=["ckd"], on=["a"]) == "holds"


def test_only_means_that_the_others_lack_a_gain_somewhere() -> None:
    def only(hkd: dict[str, float]) -> str:
        return answer(results(ckd={"a": 1.0, "b": 1.0}, hkd=hkd), only=["ckd"], among=["ckd", "hkd"])

    assert only({"a": 1.0, "b": -1.0}) == "holds"
    assert only({"a": 1.0, "b": 1.0}) == "fails"
    assert only({"a": 1.0, "b": OPEN}) == "not significant"


def test_a_claim_that_needs_every_part_holds_without_adjustment() -> None:
    methods = {name: {"a": gains_of(0.04)} for name in ("ckd", "hkd", "rkd", "rvkd")}
    measured = seeded({"none": {"a": [0.0] * 6}} | methods, ["a"])
    assert answer(measured, gain=list(methods)) == "holds"


@pytest.mark.parametrize(("p", "verdict"), [(0.013, "not significant"), (0.012, "fails")])
def test_a_claim_that_any_part_can_refute_is_adjusted_for_its_comparisons(p: float, verdict: str) -> None:
    others = {name: {"a": gains_of(0.9)} for name in ("hkd", "rkd", "rvkd")}
    measured = seeded({"none": {"a": [0.0] * 6}, "ckd": {"a": gains_of(p)}} | others, ["a"])
    assert answer(measured, no_gain=["ckd", *others]) == verdict  # four comparisons: 0.05 / 4 = 0.0125
    assert answer(measured, no_gain=["ckd"]) == "fails"


def test_what_any_of_several_parts_can_show_is_adjusted_too() -> None:
    """`only` holds for another method if it lacks a gain on any data set."""

    def only(p: float) -> str:
        losses = [-gain for gain in gains_of(p)]
        measured = {
            "none": {name: [0.0] * 6 for name in "abc"},
            "ckd": {name: gains_of(0.001) for name in "abc"},
            "hkd": {"a": losses, "b": gains_of(0.9), "c": gains_of(0.9)},
        }
        return answer(seeded(measured, ["a", "b", "c"]), only=["ckd"], among=["ckd", "hkd"])

    assert only(0.03) == "not significant"  # the least of three that are left after those of 0.001
    assert only(0.01) == "holds"


def test_the_studys_claims_on_the_published_scores() -> None:
    scores = read_scores(BASE.parent.parent / "results" / "bsds" / "scores.csv.gz")
    columns, datasets = (
        list(dict.fromkeys(getattr(one, name) for one in scores)) for name in ("model", "dataset")
    )
    verdicts = check(Results("bsds", columns, datasets, ["psnr_y"], scores), study_claims())
    assert [one.verdict for one in verdicts] == [
        "fails",
        "not significant",
        "fails",
        "not significant",
        "fails",
    ]


@pytest.mark.parametrize(
    ("claimed", "verdict"),
    [({"a": 30.3, "b": 30.1}, "holds"), ({"a": 30.31}, "holds"), ({"a": 30.32, "b": 30.1}, "fails")],
)
def test_what_a_network_reads_is_compared_with_what_is_claimed(
    claimed: dict[str, float], verdict: str
) -> None:
    measured = results(ckd={"a": 0.3, "b": 0.1})
    assert answer(measured, reads=claimed, of="ckd", margin=0.0101) == verdict


def test_a_reading_that_was_not_made_is_named_and_one_that_was_is_shown() -> None:
    measured = results(ckd={"a": 0.3})
    claim = Claim(claim="it reads so", reads={"a": 30.3, "c": 30.1}, of="ckd", margin=0.01)
    (verdict,) = check(measured, [claim])
    assert verdict.verdict == "not measured"
    assert because(verdict, {}) == "CKD on a 30.300, claimed 30.3; not measured: CKD on c"


def test_a_reading_of_an_unknown_network_or_data_set_is_refused() -> None:
    measured = results(ckd={"a": 0.3})
    for wrong in ({"of": "cdk", "reads": {"a": 30.0}}, {"of": "ckd", "reads": {"aa": 30.0}}):
        with pytest.raises(SrkdError, match="of the claim 'it reads so'"):
            refuse_unknown_names(
                measured, [Claim.model_validate({"claim": "it reads so", "margin": 0.1} | wrong)]
            )


def test_two_seeds_can_decide_a_claim_and_one_cannot() -> None:
    assert answer(results(2, ckd={"a": 1.0}), gain=["ckd"]) == "holds"
    (verdict,) = check(results(1, ckd={"a": -1.0}), [Claim(claim="x", no_gain=["ckd"])])
    assert verdict.verdict == "not significant"
    assert because(verdict, NAMES).endswith("; no test: one seed; a test needs two")


def test_without_variance_there_is_no_test() -> None:
    measured = seeded({"none": {"a": [0.0] * 6}, "ckd": {"a": [1.0] * 6}}, ["a"])
    (verdict,) = check(measured, [Claim(claim="x", gain=["ckd"])])
    assert verdict.verdict == "not significant"
    assert because(verdict, NAMES).endswith(
        "; no test: all seeds differ by the same amount, so their variance is 0"
    )


def test_an_answer_that_is_not_significant_states_what_can_be_detected() -> None:
    (verdict,) = check(results(ckd={"a": 0.001}), [Claim(claim="x", gain=["ckd"])])
    assert because(verdict, NAMES).endswith("; with 6 seeds, differences below 0.005 dB cannot be detected")


def test_what_was_not_measured_leaves_a_claim_open_and_is_named() -> None:
    claim = Claim(claim="x", best="ckd", among=["ckd", "rkd"])
    (verdict,) = check(results(ckd={"a": 1.0}), [claim])
    assert (verdict.verdict, verdict.evidence, verdict.missing) == (
        "not measured",
        [],
        ["CKD and rkd on All"],
    )


def test_the_studys_claims_can_be_checked_on_any_report() -> None:
    assert [one.verdict for one in check(results(ckd={"a": 1.0}), study_claims())] == ["not measured"] * 5
    assert len(check(Results("demo", [], [], ["psnr_y"]), study_claims())) == 5


def test_names_that_a_suites_own_claims_misspell_are_refused() -> None:
    measured = results(ckd={"set5": 1.0})
    for claim, hint in (
        (Claim(claim="x", gain=["ckdd"]), "did you mean 'ckd'?"),
        (Claim(claim="x", gain=["ckd"], on=["set55"]), "did you mean 'set5'?"),
    ):
        with pytest.raises(SrkdError, match="of the claim 'x' named") as error:
            refuse_unknown_names(measured, [claim])
        assert error.value.hint == hint


@pytest.mark.parametrize(
    ("claim", "problem"),
    [
        ("{claim: x}", "give one of best, second, gain, no_gain, only, reads, not none"),
        ("{claim: x, best: ckd, gain: [hkd]}", "not best and gain"),
        ("{claim: x, best: ckd, among: [ckd]}", "best needs methods to compare with"),
        ("{claim: x, gain: [ckd], margin: -1}", "claims.0.margin"),
        ("{claim: x, reads: {set5: 37.8}}", "reads needs a margin"),
        ("{claim: x, bset: ckd}", "no key in .* named 'bset'"),
        ("{gain: [ckd]}", "claims.0.claim"),
    ],
)
def test_a_claim_that_says_nothing_clear_is_refused(claim: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(BASE.read_text(encoding="utf-8") + f"claims: [{claim}]\n", encoding="utf-8")
    with pytest.raises(SrkdError, match=problem):
        load_suite(str(path))


def test_claims_change_no_runs(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        BASE.read_text(encoding="utf-8") + "claims: [{claim: x, gain: [ckd]}]\n", encoding="utf-8"
    )
    mine, smoke = load_suite(str(path)), load_suite("smoke")
    assert mine.claims
    assert (mine.train, mine.teacher, mine.student) == (smoke.train, smoke.teacher, smoke.student)


@pytest.mark.parametrize("format", ["terminal", "markdown", "latex"])
def test_reports_show_the_verdicts_and_the_numbers_behind_them(format: str) -> None:
    measured = results(ckd={"a": 0.25})
    text = render(measured, format, verdicts=check(measured, [Claim(claim="CKD helps", gain=["ckd"])]))
    assert "CKD helps" in text
    assert "holds" in text
    assert "CKD against w/o KD on a +0.250" in text


def test_json_has_the_verdicts_with_their_differences() -> None:
    measured = results(ckd={"a": 0.25})
    verdicts = check(measured, [Claim(claim="CKD helps", gain=["ckd"])])
    (claim,) = json.loads(render(measured, "json", verdicts=verdicts))["claims"]
    assert (claim["claim"], claim["verdict"]) == ("CKD helps", "holds")
    assert claim["evidence"][0]["mean"] == pytest.approx(0.25)
    assert claim["evidence"][0]["deviation"] > 0


def test_the_claims_of_the_docs_can_be_read(tmp_path: Path) -> None:
    page = (BASE.parent.parent / "docs" / "statistics.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(
        BASE.read_text(encoding="utf-8") + page.split("```yaml\n")[1].split("```")[0], encoding="utf-8"
    )
    assert [one.claim for one in load_suite(str(path)).claims][1] == "HKD is second"


READS = {"set5": 33.673, "bsd100": 29.560, "bsd100@edsr": 29.553}


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"set5": 33.673, "bsd100": 29.560}, "holds"),  # a copy that the report has not is not asked for
        ({"set5": 33.673, "bsd100@edsr": 29.553}, "holds"),
        ({"set5": 33.673, "bsd100@edsr": 29.560}, "fails"),  # each copy has its own number
        ({"set5": 33.673, "bsd100": 29.560, "bsd100@edsr": 29.560}, "fails"),
        ({"set5": 33.673, "bsd100@3f2a1b": 29.560}, "not measured"),  # an unknown copy is none of them
    ],
)
def test_a_reading_is_of_the_copies_that_the_report_has(values: dict[str, float], verdict: str) -> None:
    scores = [Score("bicubic", name, "a", "psnr_y", "y@1", value) for name, value in values.items()]
    measured = Results("demo", ["bicubic"], list(values), ["psnr_y"], scores)
    claim = Claim(claim="it reads so", reads=READS, of="bicubic", margin=0.001)
    refuse_unknown_names(measured, [claim])
    assert check(measured, [claim])[0].verdict == verdict
    with pytest.raises(SrkdError, match="no data set of the claim"):
        refuse_unknown_names(measured, [claim.model_copy(update={"reads": {"urban100": 1.0}})])


def test_tables_name_the_copy(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["bsd100", "bsd100@edsr", "bsd100@3f2a1b"]
    scores = [Score("bicubic", name, "a", "psnr_y", "y@1", 29.5 + i) for i, name in enumerate(names)]
    measured = Results("demo", ["bicubic"], names, ["psnr_y"], scores)
    for format in ("terminal", "markdown", "latex", "html"):
        text = render(measured, format)
        assert all(one in text for one in ("BSD100@edsr", "BSD100@3f2a1b")), format
    for format in ("csv", "json"):
        assert all(one in render(measured, format) for one in names)
