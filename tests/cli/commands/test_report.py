"""`srkd report` and `srkd compare` as one types them, on scores that are written down, not trained."""

import csv
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from srkd_bench.config.artifacts import Run
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import pixels_of
from srkd_bench.evaluation import stored_scores
from srkd_bench.evaluation.scores import Score
from srkd_bench.experiments.planning import planner
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, EVENTS, SCORES
from tests.cli.test_commands import TINY
from tests.conftest import Srkd

SUITE = ["--suite", "tiny.yaml", "--set", "seeds=[0,1,2,3,4,5]"]
GAINS = {"none": 0.0, "hkd": 0.2, "rkd+hkd": -0.1}

Keep = Callable[..., list[str]]


@pytest.fixture
def kept(srkd: Srkd, tmp_path: Path, display: Display) -> list[str]:
    """Keep runs of six seeds whose scores are made up; return the ids of the first seed's runs."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    store = ArtifactStore(tmp_path / "home")
    suite = load_suite(str(tmp_path / "tiny.yaml"), ["seeds=[0,1,2,3,4,5]"])
    plan = planner.plan(suite, store, display)
    for run in plan.students:
        keep(store, run, GAINS[run.method])
    return [run.digest[:12] for run in plan.students[:3]]


def keep(store: ArtifactStore, run: Run, gain: float, pixels: str = "") -> None:
    if not store.has(run):
        with store.writing(run) as folder:
            (folder / CARD).write_text("{}")
            (folder / EVENTS).write_text('{"step": 9, "terms": {"rec": 0.5}, "validation": 31.5}\n')
    pixels = pixels or pixels_of(store, "photos-test") or "missing"
    wanted = stored_scores.measurement(run, pixels, 2, self_ensemble=False)
    values = {
        image: dict.fromkeys(METRICS, 30 + gain * share + 0.01 * run.seed)
        for image, share in (("camera", 0.5), ("chelsea", 1.5), ("coffee", 1.0))
    }
    with store.writing(wanted) as folder:
        (folder / SCORES).write_text(json.dumps({"dataset": "photos-test", "images": values}))


def test_a_report_shows_differences_claims_and_groups(srkd: Srkd, kept: list[str]) -> None:
    code, text, _ = srkd("report", *SUITE, "--claims", "--highlight", "significant", "-f", "markdown")
    assert code == 0
    assert "| HKD | +0.200" in text
    assert "| (4) RKD+HKD is the best of all | fails |" in text
    assert "not shown to be worse" in text


def test_methods_can_be_chosen_instead_of_the_suites(srkd: Srkd, kept: list[str]) -> None:
    chosen = [*SUITE, "-m", "none", "-m", "hkd"]
    _, text, _ = srkd("report", *chosen, "--json")
    assert {row["model"] for row in json.loads(text)["scores"]} == {"none", "hkd"}
    code, _, messages = srkd("compare", "rkd+hkd", "none", *chosen)
    assert (code, messages.splitlines()[0]) == (1, "error: no method in suite tiny named 'rkd+hkd'")


def test_a_report_says_which_parameters_the_suite_gives(srkd: Srkd, kept: list[str]) -> None:
    given = [*SUITE, "--set", "params={hkd: {weight: 2.0}, ckd: {warmup: 0.02}}"]
    notes = json.loads(srkd("report", *given, "--json")[1])["notes"]
    assert "parameters that the suite gives: hkd.weight=2.0" in notes  # there is no ckd
    assert "gives" not in srkd("report", *SUITE)[1]


def test_cards_and_validation_curves_are_written_when_asked_for(
    srkd: Srkd, kept: list[str], tmp_path: Path
) -> None:
    assert srkd("report", *SUITE, "-m", "hkd", "--cards", "cards.json")[0] == 0
    trainings = json.loads((tmp_path / "cards.json").read_text())["trainings"]
    assert trainings[0] == {"model": "hkd", "seed": 0, "card": {}, "validation": {"9": 31.5}}
    assert len(trainings) == 6


def test_a_report_of_written_scores_is_the_report_of_the_store(
    srkd: Srkd, kept: list[str], tmp_path: Path
) -> None:
    _, text, _ = srkd("report", *SUITE, "-f", "markdown", "-o", "scores.csv")
    elsewhere = [*SUITE, "--from", "scores.csv", "--home", str(tmp_path / "empty"), "-f", "markdown"]
    found = srkd("report", *elsewhere)[1]
    unmeasured = [line for line in text.splitlines() if line.endswith(("yet", "not trained yet"))]
    assert [line for line in text.splitlines() if line not in unmeasured] == found.splitlines()
    _, some, _ = srkd("report", *elsewhere, "--set", "seeds=[0]", "-m", "hkd")
    assert "30.200" in some
    assert "| w/o KD |" not in some


def test_written_scores_need_neither_the_teachers_weights_nor_trials_of_weights(
    srkd: Srkd, kept: list[str]
) -> None:
    assert srkd("report", *SUITE, "-o", "scores.csv")[0] == 0
    elsewhere = [*SUITE, "--teacher", "gone.pt", "--set", "params=tuned", "-f", "markdown"]
    code, _, said = srkd("report", *elsewhere)
    assert code != 0
    assert "no weights file 'gone.pt'" in said
    code, text, _ = srkd("report", *elsewhere, "--from", "scores.csv")
    assert code == 0
    table = srkd("report", *SUITE, "-f", "markdown")[1]
    known, found = ([line for line in one.splitlines() if line.startswith("|")] for one in (table, text))
    assert known[:-2] == found[:-1]
    assert known[-2].startswith("| Teacher: EDSR")
    assert found[-1] == "| Student: EDSR 4×4 | 2,147 | 0.6 G | – |"  # nothing is known of its teacher


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 3, "no file 'scores.csv'"),
        ("a,b\n1,2\n", 1, "scores.csv is no table of scores"),
        ("{head}\nnone,photos-test,a,psnr_y,y@1,high,,none,0\n", 1, "line 2 of scores.csv is no score"),
        ("{head}\nnone,photos-test,a,psnr_x,y@1,30,,none,0\n", 1, "line 2 of scores.csv is no score"),
        ("{head}\nnone,photos-test,a,psnr_y\n", 1, "line 2 of scores.csv is no score"),
        ("{head}\nnone,set5,a,psnr_y,y@1,30,,none,0\n", 1, "scores.csv has no scores of suite tiny"),
        (b"\xff\xfe", 1, "cannot read scores.csv"),
    ],
)
def test_what_is_no_table_of_the_suites_scores_is_one_error(
    srkd: Srkd, tmp_path: Path, content: str | bytes | None, code: int, message: str
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    if isinstance(content, bytes):
        (tmp_path / "scores.csv").write_bytes(content)
    elif content is not None:
        head = "model,dataset,image,metric,protocol,value,run,method,seed"
        (tmp_path / "scores.csv").write_text(content.format(head=head))
    got, _, said = srkd("report", *SUITE, "--from", "scores.csv")
    assert (got, message in said) == (code, True), said


def test_the_baseline_can_be_chosen_and_must_be_known(srkd: Srkd, kept: list[str]) -> None:
    code, text, _ = srkd("report", *SUITE, "--baseline", "hkd", "-f", "markdown")
    assert code == 0
    assert "| RKD+HKD | −0.300" in text
    code, _, message = srkd("report", *SUITE, "--baseline", "hdk")
    assert (code, "did you mean 'hkd'?" in message) == (1, True)


def test_a_condition_that_is_met_ends_with_5_after_the_report(srkd: Srkd, kept: list[str]) -> None:
    fine = ["--fail-if", "hkd.photos-test < none.photos-test"]
    assert srkd("report", *SUITE, *fine)[0] == 0
    code, text, message = srkd(
        "report", *SUITE, *fine, "--fail-if", "rkd+hkd.photos-test < none.photos-test - 0.05"
    )
    assert code == 5
    assert "RKD+HKD" in text
    assert "rkd+hkd.photos-test < none.photos-test - 0.05: 29.9250 < 29.9750" in message
    assert srkd("report", *SUITE, "--fail-if", "teacher.photos-test < 1")[0] == 3
    assert srkd("report", *SUITE, "--fail-if", "nonsense")[0] == 1


def test_githubs_summary_gets_the_markdown_report(
    srkd: Srkd, kept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    _, text, _ = srkd("report", *SUITE, "-f", "markdown")
    assert summary.read_text() == "before\n" + text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
    code, _, message = srkd("report", *SUITE)
    assert (code, "GITHUB_STEP_SUMMARY names this file" in message) == (1, True)


def test_two_methods_of_a_suite_are_compared(srkd: Srkd, kept: list[str]) -> None:
    code, text, _ = srkd("compare", "hkd", "none", *SUITE)
    assert code == 0
    assert "+0.200 [+" in text
    assert "photos-test, highest: chelsea +0.300" in text
    assert "photos-test, lowest: camera +0.100" in text
    assert "params.hkd" in text
    compared = json.loads(srkd("compare", "hkd", "none", *SUITE, "--json")[1])
    assert [one["verdict"] for one in compared["differences"]] == ["better", "better"]
    assert list(compared["images"]["photos-test"]) == ["chelsea", "coffee", "camera"]
    assert compared["settings"]["method"] == ["hkd", "none"]
    assert "seed" not in compared["settings"]


def test_two_runs_are_compared_by_the_first_digits_of_their_ids(srkd: Srkd, kept: list[str]) -> None:
    code, text, _ = srkd("compare", kept[1][:8], kept[0])
    assert code == 0
    assert f"hkd seed 0 ({kept[1]}) against none seed 0 ({kept[0]})" in text
    assert "underpowered" in text
    assert "+0.200" in text


def test_each_method_of_two_files_of_scores_is_compared_with_itself(
    srkd: Srkd, kept: list[str], tmp_path: Path
) -> None:
    assert srkd("report", *SUITE, "-o", "old.csv")[0] == 0
    rows = list(csv.reader((tmp_path / "old.csv").read_text().splitlines()))
    column = {name: index for index, name in enumerate(rows[0])}
    for row in rows[1:]:
        if row[column["metric"]] == "ssim_y":
            row[column["protocol"]] = "y@0"
        elif row[column["model"]] == "hkd":
            row[column["value"]] = str(float(row[column["value"]]) + 0.25)
    text = "\n".join(",".join(row) for row in rows if row[0] != "rkd+hkd")
    (tmp_path / "new.csv").write_text(text)
    code, text, _ = srkd("compare", "new.csv", "old.csv")
    assert code == 0
    assert text.startswith("new.csv against old.csv, each method against itself")
    assert "photos-test" in text
    found = json.loads(srkd("compare", "new.csv", "old.csv", "--json")[1])["differences"]
    shown = [(one["model"], one["metric"], round(one["mean"], 6), one["verdict"]) for one in found]
    assert shown == [("none", "psnr_y", 0, "undecided"), ("hkd", "psnr_y", 0.25, "better")]
    chosen = json.loads(srkd("compare", "new.csv", "old.csv", "-m", "hkd", "--json")[1])["differences"]
    assert chosen == [one | {"p_holm": one["p"]} for one in found[1:]]


def test_only_scores_by_the_same_rules_are_compared(
    srkd: Srkd, kept: list[str], tmp_path: Path, display: Display
) -> None:
    store = ArtifactStore(tmp_path / "home")
    suite = load_suite(str(tmp_path / "tiny.yaml"))
    keep(store, planner.plan(suite, store, display).students[1], 9.0, pixels="of another copy")
    compared = json.loads(srkd("compare", kept[1], kept[0], "--json")[1])
    assert list(compared["images"]) == ["photos-test"]
    assert [one["mean"] for one in compared["differences"]] == pytest.approx([0.2] * len(METRICS))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["hkd", "nnoe"], 1, "did you mean 'none'?"),
        (["hkd", "hkd"], 1, "compared with itself"),
        (["abcdef", "123456"], 3, "no finished run 'abcdef'"),
        (["hkd", "gone.csv"], 3, "no file 'hkd'"),
        (["empty.csv", "empty.csv"], 1, "no method has an image and a seed in both"),
    ],
)
def test_what_cannot_be_compared_is_one_error(
    srkd: Srkd, kept: list[str], tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty.csv").write_text(",".join(column.name for column in fields(Score)) + "\n")
    got, _, said = srkd("compare", *words, *SUITE)
    assert (got, message in said) == (code, True)
