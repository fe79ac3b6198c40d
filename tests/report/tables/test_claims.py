"""Claims: what decides them, worked by hand."""

import json
import math
from pathlib import Path

import pytest

from srkd_bench.config.claims import Claim
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.report.render import render
from srkd_bench.report.study import study_claims
from srkd_bench.report.tables.claims import because, check, refuse_unknown_names

BASE = Path(__file__).parent.parent.parent.parent / "suites" / "smoke.yaml"


def results(seeds: int = 6, **gains: dict[str, float]) -> Results:
    """Return methods that gain, on each data set, the same in all seeds; nan: anything between -1 and 1."""
    scores = [
        Score(method, dataset, "a", "psnr_y", "y@1", 30 + _seeds_gain(gain, seed), method=method, seed=seed)
        for method, sets in ({"none": dict.fromkeys(next(iter(gains.values())), 0.0)} | gains).items()
        for dataset, gain in sets.items()
        for seed in range(seeds)
    ]
    datasets = list(next(iter(gains.values())))
    return Results("demo", ["teacher", "none", *gains], datasets, ["psnr_y"], scores)


def _seeds_gain(gain: float, seed: int) -> float:
    return (-1.0) ** seed if math.isnan(gain) else gain


def answer(measured: Results, **claim: object) -> str:
    (verdict,) = check(measured, [Claim.model_validate({"claim": "it is so"} | claim)])
    return verdict.verdict


OPEN = math.nan


@pytest.mark.parametrize(
    ("ckd", "hkd", "best", "second"),
    [
        (0.2, 0.1, "holds", "fails"),
        (0.1, 0.2, "fails", "holds"),
        (OPEN, 0.1, "undecided", "undecided"),
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
        (0.01, "holds", "fails", "fails"),
        (-0.01, "fails", "holds", "holds"),
        (0.0, "undecided", "undecided", "holds"),
        (OPEN, "undecided", "undecided", "undecided"),
    ],
)
def test_no_gain_needs_evidence_too(gain: float, gains: str, no_gain: str, no_gain_of_much: str) -> None:
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
    assert only({"a": 1.0, "b": OPEN}) == "undecided"


@pytest.mark.parametrize(
    ("claimed", "verdict"),
    [({"a": 30.3, "b": 30.1}, "holds"), ({"a": 30.31}, "holds"), ({"a": 30.32, "b": 30.1}, "fails")],
)
def test_what_a_network_reads_is_compared_with_what_is_claimed(
    claimed: dict[str, float], verdict: str
) -> None:
    measured = results(seeds=1, ckd={"a": 0.3, "b": 0.1})
    assert answer(measured, reads=claimed, of="ckd", margin=0.0101) == verdict


def test_a_reading_that_was_not_made_is_named_and_one_that_was_is_shown() -> None:
    measured = results(seeds=1, ckd={"a": 0.3})
    claim = Claim(claim="it reads so", reads={"a": 30.3, "c": 30.1}, of="ckd", margin=0.01)
    (verdict,) = check(measured, [claim])
    assert verdict.verdict == "undecided"
    assert because(verdict, {}) == "CKD on a 30.300, claimed 30.3; not measured: CKD on c"


def test_a_reading_of_an_unknown_network_or_data_set_is_refused() -> None:
    measured = results(seeds=1, ckd={"a": 0.3})
    for wrong in ({"of": "cdk", "reads": {"a": 30.0}}, {"of": "ckd", "reads": {"aa": 30.0}}):
        with pytest.raises(SrkdError, match="of the claim 'it reads so'"):
            refuse_unknown_names(
                measured, [Claim.model_validate({"claim": "it reads so", "margin": 0.1} | wrong)]
            )


def test_too_few_seeds_are_called_so() -> None:
    assert answer(results(5, ckd={"a": 1.0}), gain=["ckd"]) == "underpowered"
    assert answer(results(1, ckd={"a": -1.0}), no_gain=["ckd"]) == "underpowered"


def test_what_was_not_measured_leaves_a_claim_open_and_is_named() -> None:
    claim = Claim(claim="x", best="ckd", among=["ckd", "rkd"])
    (verdict,) = check(results(ckd={"a": 1.0}), [claim])
    assert (verdict.verdict, verdict.evidence, verdict.missing) == ("undecided", [], ["CKD and rkd on All"])


def test_the_studys_claims_can_be_checked_on_any_report() -> None:
    assert [one.verdict for one in check(results(ckd={"a": 1.0}), study_claims())] == ["undecided"] * 5
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
    assert claim["evidence"][0]["mean"] == 0.25


def test_the_claims_of_the_docs_can_be_read(tmp_path: Path) -> None:
    page = (BASE.parent.parent / "docs" / "statistics.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(
        BASE.read_text(encoding="utf-8") + page.split("```yaml\n")[1].split("```")[0], encoding="utf-8"
    )
    assert [one.claim for one in load_suite(str(path)).claims][1] == "HKD is the second"


READS = {"set5": 33.673, "bsd100": 29.560, "bsd100@edsr": 29.553}


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"set5": 33.673, "bsd100": 29.560}, "holds"),  # a copy that the report has not is not asked for
        ({"set5": 33.673, "bsd100@edsr": 29.553}, "holds"),
        ({"set5": 33.673, "bsd100@edsr": 29.560}, "fails"),  # each copy has its own number
        ({"set5": 33.673, "bsd100": 29.560, "bsd100@edsr": 29.560}, "fails"),
        ({"set5": 33.673, "bsd100@3f2a1b": 29.560}, "undecided"),  # an unknown copy is none of them
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
