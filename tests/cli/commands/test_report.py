"""`srkd report` on the command line, mostly with made-up scores."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from srkd_bench.config.suite_file import load_suite
from srkd_bench.report.document import Document
from srkd_bench.report.formats.grid_file import read_grid, to_csv
from srkd_bench.report.render import written
from tests.conftest import Srkd
from tests.support.grids import simulated

SUITE = ["tiny.yaml", "--set", "seeds=[0,1,2,3,4,5]"]

Keep = Callable[..., list[str]]


def test_a_report_shows_differences_claims_and_groups(srkd: Srkd, kept: list[str]) -> None:
    code, text, _ = srkd("report", *SUITE, "--claims", "--highlight", "significant", "-f", "markdown")
    assert code == 0
    assert "| HKD | +0.200" in text
    assert "| (4) RKD+HKD is the best of all | fails |" in text
    assert "not significantly worse" in text


def test_methods_can_be_chosen_on_the_command_line(srkd: Srkd, kept: list[str]) -> None:
    chosen = [*SUITE, "-m", "none", "-m", "hkd"]
    _, text, _ = srkd("report", *chosen, "--json")
    assert {row["model"] for row in json.loads(text)["scores"]} == {"none", "hkd"}
    code, _, messages = srkd("compare", *chosen, "rkd+hkd", "none")
    assert (code, messages.splitlines()[0]) == (1, "error: no method in suite tiny named 'rkd+hkd'")


def test_a_report_lists_the_parameters_set_by_the_suite(srkd: Srkd, kept: list[str]) -> None:
    given = [*SUITE, "--set", "params={hkd: {weight: 2.0}, ckd: {warmup: 0.02}}"]
    notes = json.loads(srkd("report", *given, "--json")[1])["notes"]
    assert "Parameters set by the suite: hkd.weight=2.0" in notes  # there is no ckd
    assert "Parameters set" not in srkd("report", *SUITE)[1]
    own = [*SUITE, "--set", "params={hkd+rkd: {hkd: {weight: 2.0}}, ckd+hkd: {hkd: {weight: 1.0}}}"]
    assert (
        "Parameters set by the suite: hkd+rkd.hkd.weight=2.0"
        in json.loads(srkd("report", *own, "--json")[1])["notes"]
    )


def test_cards_and_validation_curves_are_written_on_request(
    srkd: Srkd, kept: list[str], tmp_path: Path
) -> None:
    assert srkd("report", *SUITE, "-m", "hkd", "--cards", "cards.json")[0] == 0
    trainings = json.loads((tmp_path / "cards.json").read_text(encoding="utf-8"))["trainings"]
    assert trainings[0] == {"model": "hkd", "seed": 0, "card": {}, "validation": {"9": 31.5}}
    assert len(trainings) == 6


@pytest.mark.parametrize("file", ["scores.csv", "scores.csv.gz"])
def test_a_report_from_a_score_file_equals_that_from_the_store(
    srkd: Srkd, kept: list[str], tmp_path: Path, file: str
) -> None:
    _, text, _ = srkd("report", *SUITE, "-f", "markdown", "-o", file)
    assert (tmp_path / file).read_bytes().startswith(b"\x1f\x8b") == file.endswith(".gz")
    elsewhere = [*SUITE, "--from", file, "--home", str(tmp_path / "empty"), "-f", "markdown"]
    found = srkd("report", *elsewhere)[1]
    of_the_store = ("yet", "not trained yet", "also the training images")
    lines = [line for line in text.splitlines() if line and not line.endswith(of_the_store)]
    assert lines == [line for line in found.splitlines() if line]
    _, some, _ = srkd("report", *elsewhere, "--set", "seeds=[0]", "-m", "hkd")
    assert "30.200" in some
    assert "| w/o KD |" not in some


def test_a_score_file_needs_neither_teacher_weights_nor_tuning_trials(
    srkd: Srkd, kept: list[str], tmp_path: Path
) -> None:
    assert srkd("report", *SUITE, "-o", "scores.csv")[0] == 0
    here = load_suite(str(tmp_path / "tiny.yaml")).identity
    there = load_suite(str(tmp_path / "tiny.yaml"), ["teacher.weights=x/gone.pt", "params=tuned"]).identity
    scores = tmp_path / "scores.csv"
    scores.write_text(scores.read_text(encoding="utf-8").replace(here, there), encoding="utf-8")
    elsewhere = [*SUITE, "--teacher", "gone.pt", "--set", "params=tuned", "-f", "markdown"]
    code, _, said = srkd("report", *elsewhere)
    assert code != 0
    assert "no weights file 'gone.pt'" in said
    code, text, _ = srkd("report", *elsewhere, "--from", "scores.csv")
    assert code == 0
    table = srkd("report", *SUITE, "-f", "markdown")[1]
    assert "| Verdict | c |" in table
    assert "| Verdict |\n" in text  # the cost of a step needs the teacher
    known, found = (
        [
            line
            for part in one.split("### ")
            if ", gain over" not in part
            for line in re.findall(r"(?m)^\|.*", part)
        ]
        for one in (table, text)
    )
    assert known[:-2] == found[:-1]
    assert known[-2].startswith("| Teacher: EDSR")
    assert found[-1] == "| Student: EDSR 4×4 | 2,147 | 0.6 G | – |"  # nothing is known of its teacher


def test_a_report_of_a_file_shows_all_of_its_seeds(srkd: Srkd, kept: list[str], tmp_path: Path) -> None:
    assert srkd("report", *SUITE, "-o", "scores.csv")[0] == 0
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    some = [line for line in lines if line.split(",")[8] in ("seed", "0", "3", "4")]
    (tmp_path / "seeds.csv").write_text("\n".join(some), encoding="utf-8")
    code, text, _ = srkd("report", "tiny.yaml", "--from", "seeds.csv", "-f", "markdown")
    assert code == 0
    assert "over seeds 0, 3, 4" in text
    assert "Seed 0 only" not in text
    chosen = ["--set", "seeds=[3]", "-f", "markdown"]
    text = srkd("report", "tiny.yaml", "--from", "seeds.csv", *chosen)[1]
    assert "Seed 3 only" in text
    assert "in the file, but not in the suite, so not shown: seeds 0, 4" in text


def test_scores_name_their_suite_and_are_rejected_for_another(
    srkd: Srkd, kept: list[str], tmp_path: Path
) -> None:
    assert srkd("report", *SUITE, "-o", "scores.csv")[0] == 0
    for words, problem, hint in (
        ([], "scores.csv is of suite tiny, which does not come with srkd", "srkd report tiny.yaml --from"),
        (["demo"], "scores.csv is of suite tiny, not demo", "srkd report tiny.yaml --from scores.csv"),
        (["tiny.yaml", "--set", "train.steps=11"], "measured under other settings", "--set and --teacher"),
        (["tiny.yaml", "--set", "params.hkd.weight=2.0"], "measured under other settings", ""),
        (["tiny.yaml", "--teacher", "other.pt"], "measured under other settings", ""),
        (["tiny.yaml", "--set", "evaluate.self_ensemble=true"], "measured under other settings", ""),
    ):
        code, text, said = srkd("report", *words, "--from", "scores.csv")
        assert (code, text) == (1, ""), words
        assert problem in said
        assert hint in said


def test_a_file_of_a_built_in_suite_is_reported_with_that_suites_settings(srkd: Srkd, tmp_path: Path) -> None:
    row = f"none,photos-test,coffee,psnr_y,y@1,30.0,,none,0,{load_suite('smoke').identity}"
    head = "model,dataset,image,metric,protocol,value,run,method,seed,suite"
    (tmp_path / "s.csv").write_text(f"{head}\n{row}\n", encoding="utf-8")
    code, text, _ = srkd("report", "--from", "s.csv")
    assert code == 0
    assert text.startswith("smoke: PSNR-Y")
    train = load_suite("smoke").train
    budget = f"every student is trained for {train} of photos, at a learning rate of {train.learning_rate:g}"
    assert f"Budget: {budget}" in " ".join(text.split())
    assert srkd("report", "smoke", "--from", "s.csv")[1] == text
    assert srkd("report", "demo", "--from", "s.csv")[0] == 1


def test_a_file_of_other_runs_of_the_same_suite_is_rejected(
    srkd: Srkd, kept: list[str], tmp_path: Path
) -> None:
    """As after the default of a method's parameter has changed."""
    assert srkd("report", *SUITE, "-o", "scores.csv")[0] == 0
    scores = tmp_path / "scores.csv"
    rows = list(csv.DictReader(scores.open(encoding="utf-8")))
    (run,) = {row["run"] for row in rows if (row["method"], row["seed"]) == ("hkd", "0")}
    scores.write_text(scores.read_text(encoding="utf-8").replace(run, "0" * len(run)), encoding="utf-8")
    code, _, said = srkd("report", "tiny.yaml", "--from", "scores.csv")
    assert (code, "scores.csv was measured under other settings" in said) == (1, True)


def test_a_file_without_a_suite_is_matched_by_its_runs(srkd: Srkd, kept: list[str], tmp_path: Path) -> None:
    assert srkd("report", *SUITE, "-o", "scores.csv")[0] == 0
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "old.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines), encoding="utf-8")
    assert srkd("report", "tiny.yaml", "--from", "old.csv")[0] == 0
    code, _, said = srkd("report", "--from", "old.csv")
    assert (code, "old.csv does not name the suite of its scores" in said) == (1, True)
    code, _, said = srkd("report", "tiny.yaml", "--set", "train.steps=11", "--from", "old.csv")
    assert (code, "old.csv was measured under other settings" in said) == (1, True)
    assert srkd("report", "demo", "--from", "old.csv")[0] == 1


def test_report_and_compare_reject_damaged_scores(srkd: Srkd, tmp_path: Path) -> None:
    head = "model,dataset,image,metric,protocol,value,run,method,seed"
    line = "none,photos-test,coffee,psnr_y,y@1,30.0,,none,0"
    (tmp_path / "twice.csv").write_text(f"{head}\n{line}\n{line}\n", encoding="utf-8")
    (tmp_path / "nan.csv").write_text(f"{head}\n{line.replace('30.0', 'nan')}\n", encoding="utf-8")
    for name, problem in (
        ("twice", "line 3 of twice.csv repeats line 2"),
        ("nan", "line 2 of nan.csv is no"),
    ):
        for words in (["report", "smoke", "--from", f"{name}.csv"], ["compare", *[f"{name}.csv"] * 2]):
            code, text, said = srkd(*words)
            assert (code, text) == (1, "")
            assert problem in said


def test_a_failed_claim_exits_with_5_after_the_report_and_an_open_one_with_0(
    srkd: Srkd, kept: list[str]
) -> None:
    true = "{claim: it reads so, of: hkd, margin: 0.1, reads: {photos-test: 30.225}}"
    false, unknown = true.replace("30.225", "31"), true.replace("hkd", "teacher")
    for claims, code in (([true], 0), ([true, unknown], 0), ([unknown], 3), ([true, false], 5)):
        got, text, said = srkd("report", *SUITE, "--check", "--set", f"claims=[{', '.join(claims)}]")
        assert got == code, said
        assert "tiny: claims" in text
    assert "--check: 1 of 2 claims fail: (2) it reads so" in said
    assert srkd("report", *SUITE, "--claims", "--set", f"claims=[{false}]")[0] == 0


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 3, "no file 'scores.csv'"),
        ("a,b\n1,2\n", 1, "scores.csv is not a table of scores"),
        ("{head}\nnone,photos-test,a,psnr_y,y@1,high,,none,0\n", 1, "line 2 of scores.csv is not a score"),
        ("{head}\nnone,photos-test,a,psnr_x,y@1,30,,none,0\n", 1, "line 2 of scores.csv is not a score"),
        ("{head}\nnone,photos-test,a,psnr_y\n", 1, "line 2 of scores.csv is not a score"),
        ("{head}\nnone,set5,a,psnr_y,y@1,30,,none,0\n", 1, "scores.csv has no scores of suite tiny"),
        (b"\xff\xfe", 1, "cannot read scores.csv"),
    ],
)
def test_a_file_without_scores_of_the_suite_is_one_error(
    srkd: Srkd, tmp_path: Path, content: str | bytes | None, code: int, message: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / "scores.csv").write_bytes(content)
    elif content is not None:
        head = "model,dataset,image,metric,protocol,value,run,method,seed"
        (tmp_path / "scores.csv").write_text(content.format(head=head), encoding="utf-8")
    got, _, said = srkd("report", *SUITE, "--from", "scores.csv")
    assert (got, message in said) == (code, True), said


def test_the_baseline_can_be_chosen_and_must_be_known(srkd: Srkd, kept: list[str]) -> None:
    code, text, _ = srkd("report", *SUITE, "--baseline", "hkd", "-f", "markdown")
    assert code == 0
    assert "| RKD+HKD | −0.300" in text
    code, _, message = srkd("report", *SUITE, "--baseline", "hdk")
    assert (code, "did you mean 'hkd'?" in message) == (1, True)


def test_a_met_condition_exits_with_5_after_the_report(srkd: Srkd, kept: list[str]) -> None:
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
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    _, text, _ = srkd("report", *SUITE, "-f", "markdown")
    assert summary.read_text(encoding="utf-8") == "before\n" + text
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
    code, _, message = srkd("report", *SUITE)
    assert (code, "GITHUB_STEP_SUMMARY names this file" in message) == (1, True)


def test_an_unfinished_suite_can_be_reported_in_every_format(srkd: Srkd, tmp_path: Path) -> None:
    srkd("distill", "tiny.yaml", "--method", "none")
    files = ["a.md", "a.tex", "a.csv", "a.json", "a.txt", "a.html"]
    code, text, _ = srkd("report", "tiny.yaml", *[word for file in files for word in ("-o", file)])
    assert (code, text) == (0, "")
    assert "hkd: not trained yet (seed 0)" in (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert all((tmp_path / file).stat().st_size > 100 for file in files)
    code, text, _ = srkd("report", "tiny.yaml", "--format", "markdown", "--reference")
    assert code == 0
    assert "| photos-test |" in text


def test_published_numbers_are_printed_without_any_run(srkd: Srkd) -> None:
    code, text, messages = srkd("report", "rcan-x2", "--reference", "--format", "markdown")
    assert code == 0
    assert "| Set5 | 38.27 | 38.13 | 38.17 | 38.17 | 38.21 | 38.25 |" in text
    assert "No run of suite rcan-x2 is finished yet" in messages


def test_a_page_is_written_to_a_file_or_stdout_with_or_without_crops(srkd: Srkd, tmp_path: Path) -> None:
    srkd("distill", "tiny.yaml", "--method", "hkd")
    code, text, messages = srkd("report", "tiny.yaml", "--format", "html", "-o", "a.html")
    assert (code, text) == (0, "")
    assert "Choosing the regions" in messages
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.count('class="panel"') == 2
    assert "All 2 trainings" in page
    code, text, messages = srkd("report", "tiny.yaml", "--format", "html", "--no-crops")
    assert code == 0
    assert text.startswith("<!DOCTYPE html>")
    assert 'class="panel"' not in text
    assert "looking" not in messages
    code, text, _ = srkd("report", "tiny.yaml", "-f", "html", "--crop", "coffee:96,64,64,48")
    assert code == 0
    assert text.count('class="panel"') == 1
    code, _, messages = srkd("report", "tiny.yaml", "-f", "html", "--crop", "coffee:96,64,64,4800")
    assert code == 1
    assert "coffee" in messages


def test_an_empty_store_suggests_how_to_train_the_suite(srkd: Srkd) -> None:
    code, _, messages = srkd("report", "demo")
    assert code == 0
    assert messages.endswith("No run of suite demo is finished yet. To train it: srkd run demo\n")


def test_a_wrong_name_in_a_condition_is_refused_before_any_output(srkd: Srkd, kept: list[str]) -> None:
    code, text, messages = srkd("report", *SUITE, "--fail-if", "hdk.photos-test < 1", "-o", "scores.csv")
    assert (code, text) == (1, "")
    assert "hint: did you mean 'hkd'?" in messages
    assert not Path("scores.csv").exists()


def test_the_score_file_of_a_grid_is_reported_without_its_suite(srkd: Srkd, tmp_path: Path) -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1, "rkd": lambda x, y, z: 0.0}, steps=[100, 200])
    (tmp_path / "grid.csv").write_text(to_csv(cells), encoding="utf-8")
    code, text, _ = srkd("report", "--from", "grid.csv", "--format", "markdown")
    assert (code, text.count("### map: PSNR-Y in dB")) == (0, 5)
    assert srkd("report", "map", "--from", "grid.csv", "--format", "markdown")[1] == text
    words = ["-o", "copy.csv.gz", "-o", "page.html", "--figures", "figures", "-m", "hkd"]
    assert srkd("report", "--from", "grid.csv", *words)[:2] == (0, "")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{name}-psnr_y.{kind}" for name in ("curves", "heat") for kind in ("pdf", "png", "svg")
    }
    chosen = srkd("report", "--from", "copy.csv.gz", "-f", "markdown")[1]
    assert ("RKD" in text, "RKD" in chosen) == (True, False)
    rkd = json.loads(srkd("report", "--from", "grid.csv", "--baseline", "rkd", "--json")[1])["gains"]
    assert {one["baseline"] for one in rkd} == {"rkd"}


def test_cells_of_a_grids_score_file_are_selected_by_their_labels(srkd: Srkd, tmp_path: Path) -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1, "rkd": lambda x, y, z: 0.0}, steps=[100, 200])
    cells = [replace(cell, name=cell.name.replace("EDSR ", "").replace(";", "")) for cell in cells]
    (tmp_path / "grid.csv").write_text(to_csv(cells), encoding="utf-8")
    few = json.loads(srkd("report", "--from", "grid.csv", "--cell", "train.steps=200", "--json")[1])
    assert [one["cell"] for one in few["cells"]] == [cell.name for cell in cells[6:]]
    words = ["--cell", " ".join(reversed(cells[0].name.split())), "--baseline", "hkd"]
    shown = srkd("report", "--from", "grid.csv", *words, "-f", "markdown")[1]
    one = replace(read_grid(tmp_path / "grid.csv")[0].results, baseline="hkd")
    assert shown == written(Document(one), "markdown")
    assert "gain over HKD" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cell", "train.steps=7"], "grid.csv has no cell 'train.steps=7'"),
        (["--cell", " "], "grid.csv has no cell ' '"),
        (["--crop", "coffee", "-o", "page.html"], "--crop cannot be combined with the scores of a grid"),
        (["other"], "grid.csv is of suite map, not other"),
        (["-m", "hdk"], "no method in grid map named 'hdk'"),
        (["--set", "seeds=[0]"], "--set cannot be combined with the scores of a grid"),
        (["--claims"], "--claims cannot be combined with the scores of a grid"),
    ],
)
def test_a_grids_score_file_with_what_it_has_not_is_one_error(
    srkd: Srkd, tmp_path: Path, words: list[str], message: str
) -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1}, steps=[100, 200], seeds=1)
    (tmp_path / "grid.csv").write_text(to_csv(cells), encoding="utf-8")
    code, text, said = srkd("report", *words, "--from", "grid.csv")
    assert (code, text, message in said) == (1, "", True), said
