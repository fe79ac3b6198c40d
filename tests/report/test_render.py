"""Reports. `python -m tests.report.test_render` writes the golden files: check the difference."""

import csv
import html
import io
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.results import Network, Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.report import study
from srkd_bench.report.document import Document
from srkd_bench.report.render import FORMATS, format_of, print_document, render
from srkd_bench.report.study import study_claims
from srkd_bench.report.tables.claims import check
from srkd_bench.report.tables.comparison import comparison
from srkd_bench.report.tables.costs import costs
from srkd_bench.report.tables.differences import paired
from srkd_bench.report.tables.table import Table

TEXTS = [format for format in FORMATS if format != "html"]  # a page has no golden file; see test_page.py
GOLDEN = Path(__file__).parent / "golden"
NASTY = "<script>|\\%_$#&{}~^[x]*`\"'\n\r\x1b[31m../é"
SHOWN = re.sub(r"[\n\r\x1b]", " ", NASTY)  # on one line, and harmless to a terminal


def score(model: str, image: str, value: float, seed: int | None = None, **others: Any) -> Score:
    method = None if seed is None else model
    return replace(Score(model, "set5", image, "psnr_y", "y@1", value, seed=seed, method=method), **others)


def results(scores: list[Score], *columns: str, seeds: list[int] | None = None) -> Results:
    return Results("demo", list(columns), ["set5"], ["psnr_y"], scores, seeds=seeds or [])


def the_study() -> Results:
    """The study's Table 2 as if it had been measured, one image a data set."""
    return Results(
        suite="paper",
        columns=list(study.COLUMNS),
        datasets=list(study.PSNR_Y_X2),
        metrics=["psnr_y"],
        scores=[
            score(model, "all", value, None if model == "teacher" else 0, dataset=dataset)
            for dataset, values in study.PSNR_Y_X2.items()
            for model, value in zip(study.COLUMNS, values, strict=True)
        ],
        networks=[
            Network("teacher", "EDSR 256x32", 40_729_603, 9_384_748_646_400),
            Network("student", "EDSR 64x16", 1_369_859, 316_248_883_200),
        ],
        seeds=[0],
        budget="100 epochs of batches of 8",
        notes=["self-ensemble"],
    )


def six_seeds(seeds: int = 6) -> Results:
    """The study's table with noise that differs by seed and method, two images a data set."""
    noise = {model: [((7 * seed + 3 * i) % 5 - 2) / 100 for seed in range(seeds)]
             for i, model in enumerate(study.COLUMNS)}  # fmt: skip
    return replace(
        the_study(),
        seeds=list(range(seeds)),
        scores=[
            score(model, image, value + shift + spread, seed, dataset=dataset)
            for dataset, values in study.PSNR_Y_X2.items()
            for model, value in zip(study.COLUMNS, values, strict=True)
            for seed, shift in ([(None, 0.0)] if model == "teacher" else enumerate(noise[model]))
            for image, spread in (("a", -0.5), ("b", 0.5))
        ],
    )


def render_seeds(format: str) -> str:
    measured = six_seeds()
    verdicts = check(measured, study_claims())
    return render(measured, format, highlight="significant", verdicts=verdicts)


def texts(table: Table, row: int = 0) -> list[str]:
    return [cell.text for cell in table.rows[row][1:]]


def highlights(table: Table, row: int = 0) -> tuple[set[str], set[str]]:
    """Return the labels of the best and of the second."""
    cells = list(zip(table.header, table.rows[row], strict=True))
    best, second = ({label for label, cell in cells if cell.rank == rank} for rank in (1, 2))
    return best, second


@pytest.mark.parametrize("format", TEXTS)
def test_the_studys_table_is_written_as_in_the_golden_file(format: str) -> None:
    golden = GOLDEN / f"report{FORMATS[format].suffix}"
    assert render(the_study(), format) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("format", TEXTS)
def test_six_seeds_with_differences_and_claims_are_written_as_in_the_golden_file(format: str) -> None:
    golden = GOLDEN / f"seeds{FORMATS[format].suffix}"
    assert render_seeds(format) == golden.read_text(encoding="utf-8")


def test_the_studys_highlights_come_out_of_its_numbers() -> None:
    table = comparison(the_study(), "psnr_y")
    assert [row[0].text for row in table.rows] == ["All", "Set5", "Set14", "BSD100", "Urban100"]
    assert highlights(table, 0) == ({"RKD+HKD"}, {"CKD"})
    assert highlights(table, 1) == ({"CKD"}, {"RKD"})
    assert highlights(table, 2) == ({"RKD+HKD"}, {"CKD"})
    assert highlights(table, 3) == ({"RKD+HKD"}, {"HKD"})
    assert highlights(table, 4) == ({"HKD", "RKD+HKD"}, {"CKD"})


def test_all_data_sets_together_have_the_same_weight_and_the_seeds_that_each_was_measured_with() -> None:
    measured = [("set5", 0, 30), ("set5", 1, 32), ("set5", 2, 90), ("set14", 0, 28), ("set14", 1, 32)]
    scores = [score("hkd", "a", value, seed, dataset=dataset) for dataset, seed, value in measured]
    scores += [score("hkd", "b", value, seed, dataset="set5") for dataset, seed, value in measured[:3]]
    scores += [score("ckd", "a", 40, 0, dataset="set5")]
    ours = replace(results(scores, "hkd", "ckd", seeds=[0, 1]), datasets=["set5", "set14"])
    table = comparison(ours, "psnr_y")
    assert texts(table) == ["30.500 ± 2.121*", "–"]  # of 29 and 32
    assert "* HKD: 2 of 3 seeds" in table.footnotes


def test_equal_prints_tie_however_the_values_differ() -> None:
    values = {"none": 30.0004, "hkd": 30.00049, "ckd": 30.0011, "rkd": 30.0014}
    table = comparison(results([score(m, "a", v, 0) for m, v in values.items()], *values), "psnr_y")
    assert texts(table) == ["30.000", "30.000", "30.001", "30.001"]
    assert highlights(table) == ({"CKD", "RKD"}, {"w/o KD", "HKD"})


@pytest.mark.parametrize("seeds", [2, 6])
def test_by_difference_the_best_shares_its_place_with_all_that_are_not_significantly_worse(
    seeds: int,
) -> None:
    means = {"none": 30.0, "hkd": 30.1, "ckd": 30.11, "rkd": 29.0}
    noise = {"none": 0.001, "hkd": -0.001, "ckd": 0.02 if seeds == 2 else 0.2, "rkd": 0.003}
    scores = [score(m, "a", means[m] + noise[m] * (-1) ** seed, seed) for m in means for seed in range(seeds)]
    table = comparison(results(scores, *means), "psnr_y", highlight="significant")
    assert highlights(table) == ({"CKD", "HKD", "w/o KD"}, {"RKD"})
    assert table.legend[0] == "best of a row, and all that are not significantly worse"


def test_all_pairs_of_a_row_are_one_family() -> None:
    noise = [1, -1, 2, -2, 3, -3]
    gains = {
        "ckd": [0.0] * 6,
        "hkd": [
            -(2.9 + one) / 100 for one in noise
        ],  # below CKD with p = 0.03, adjusted for three pairs 0.09
        "rkd": [one / 10 for one in noise],
    }
    scores = [score(m, "a", 30 + gain, seed) for m, own in gains.items() for seed, gain in enumerate(own)]
    two = comparison(results(scores, "ckd", "hkd"), "psnr_y", highlight="significant")
    three = comparison(results(scores, *gains), "psnr_y", highlight="significant")
    assert highlights(two) == ({"CKD"}, {"HKD"})
    assert highlights(three) == ({"CKD", "HKD", "RKD"}, set())


def test_by_difference_one_seed_highlights_nothing_and_says_so() -> None:
    table = comparison(the_study(), "psnr_y", highlight="significant")
    assert not table.highlighted
    assert table.footnotes[1] == "Set5: nothing is highlighted, as no difference can be tested"
    assert comparison(the_study(), "psnr_y").highlighted


def test_differences_on_each_data_set_have_intervals_and_no_verdicts() -> None:
    assert paired(the_study(), "psnr_y") is None
    assert paired(replace(six_seeds(), datasets=["set5"]), "psnr_y") is None  # gains say it all
    table = paired(six_seeds(2), "psnr_y")
    assert table is not None
    assert len(table.rows) == 5 * 4
    assert table.header == ["", "Difference", "95 % interval", "Seeds", "Images"]
    assert texts(table)[-2:] == ["2", "2"]


def test_another_baseline_is_named_wherever_it_counts() -> None:
    text = render(replace(six_seeds(), baseline="hkd"), "markdown")
    assert "gain over HKD" in text
    assert "difference from HKD" in text
    assert "Set14: w/o KD" in text


def test_teacher_and_bicubic_are_not_ranked() -> None:
    scores = [score("bicubic", "a", 40), score("teacher", "a", 39), score("none", "a", 30, 0)]
    table = comparison(results(scores, "bicubic", "teacher", "none"), "psnr_y")
    assert highlights(table) == ({"w/o KD"}, set())


def test_mean_and_deviation_are_over_seeds_of_means_over_images() -> None:
    scores = [score("hkd", image, value, seed) for seed, image, value in
              [(0, "a", 30), (0, "b", 32), (1, "a", 31), (1, "b", 35)]]  # means 31 and 33  # fmt: skip
    table = comparison(results(scores, "hkd", seeds=[0, 1]), "psnr_y")
    assert texts(table) == ["32.000 ± 1.414"]
    assert "Mean ± sample standard deviation over seeds 0, 1" in table.footnotes


def test_one_seed_has_no_deviation_and_the_table_says_what_that_means() -> None:
    table = comparison(results([score("hkd", "a", 30, 7)], "hkd"), "psnr_y")
    assert texts(table) == ["30.000"]
    assert "Seed 7 only: there is no standard deviation and no test with one seed" in table.footnotes


def test_a_mean_over_other_images_does_not_compete() -> None:
    scores = [score(model, image, 30, 0) for model in ("none", "hkd") for image in "abc"]
    scores += [score("ckd", image, 40, 0) for image in "ab"]
    table = comparison(results(scores, "none", "hkd", "ckd"), "psnr_y")
    assert texts(table) == ["30.000", "30.000", "40.000*"]
    assert highlights(table) == ({"w/o KD", "HKD"}, set())
    assert table.footnotes[0] == "* CKD on Set5: 2 of 3 images, not ranked"


def test_an_image_that_one_seed_lacks_is_not_hidden_by_the_other_seed() -> None:
    scores = [score("none", image, 30, seed) for image in "ab" for seed in (0, 1)]
    scores += [score("hkd", "a", 40, 0), score("hkd", "b", 40, 0), score("hkd", "a", 40, 1)]
    table = comparison(results(scores, "none", "hkd"), "psnr_y")
    assert highlights(table) == ({"w/o KD"}, set())
    assert table.footnotes[0] == "* HKD on Set5: 1 of 2 images, not ranked"


def test_fewer_seeds_are_marked() -> None:
    scores = [score("none", "a", 30, 0), score("none", "a", 31, 1), score("hkd", "a", 32, 0)]
    table = comparison(results([score("teacher", "a", 33), *scores], "teacher", "none", "hkd"), "psnr_y")
    assert texts(table) == ["33.000", "30.500 ± 0.707", "32.000*"]
    assert table.footnotes[0] == "* HKD: 1 of 2 seeds"


def test_infinite_values_are_printed_and_rank() -> None:
    scores = [
        score("none", "a", 30, 0),
        *(score("hkd", image, math.inf, seed) for image in "a" for seed in (0, 1)),
    ]
    table = comparison(results(scores, "none", "hkd"), "psnr_y")
    assert texts(table)[1] == "inf"
    assert highlights(table) == ({"HKD"}, {"w/o KD"})


def test_protocols_never_share_a_table() -> None:
    scores = [score("none", "a", 30, 0), score("hkd", "a", 31, 0, protocol="y@0")]
    with pytest.raises(SrkdError, match="psnr_y was measured by y@0 and by y@1"):
        comparison(results(scores, "none", "hkd"), "psnr_y")
    assert (
        "Protocol y@0: rules of another version" in comparison(results(scores[1:], "hkd"), "psnr_y").footnotes
    )


def test_an_unknown_metric_is_an_error_with_a_hint() -> None:
    with pytest.raises(SrkdError) as error:
        comparison(results([], "none"), "psnry")
    assert error.value.hint == "did you mean 'psnr_y'?"


def test_the_studys_row_stands_below_ours_with_highlights_of_its_own() -> None:
    ours = replace(the_study(), columns=["none", "dml", "ckd", "rkd"], datasets=["set5", "photos-test"])
    table = comparison(ours, "psnr_y", reference=True)
    assert [row[0].text for row in table.rows] == ["All", "Set5", "Set5 (study)", "photos-test"]
    assert texts(table, 2) == ["37.832", "–", "37.879", "37.868"]
    assert highlights(table, 2) == ({"CKD"}, {"RKD"})
    assert texts(table, 3) == ["–"] * 4
    assert len(comparison(ours, "ssim_y", reference=True).rows) == 3


def test_methods_are_upper_cased_and_names_of_strangers_are_not() -> None:
    scores = [score("none", "a", 30, 0), score("my_net.pt", "a", 30)]
    table = comparison(results(scores, "teacher", "none", "rkd+hkd", "my_net.pt"), "psnr_y")
    assert table.header == ["", "Teacher", "w/o KD", "RKD+HKD", "my_net.pt"]


def test_costs_are_true_counts_and_their_ratio() -> None:
    table = costs(the_study())
    assert texts(table, 0) == ["40,729,603", "9,384.7 G", "–"]
    assert texts(table, 1) == ["1,369,859", "316.2 G", "29.7x"]
    assert texts(costs(replace(the_study(), networks=the_study().networks[1:]))) == [
        "1,369,859",
        "316.2 G",
        "–",
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_a_report_of_nothing_trained_yet_renders(format: str) -> None:
    nothing = Results("demo", ["teacher", "none"], ["set5"], ["psnr_y"], notes=["none: not trained yet"])
    assert render(nothing, format)
    assert render(Results("demo", [], [], ["psnr_y"]), format)


def nasty() -> Results:
    return Results(
        NASTY, [NASTY], [NASTY], ["psnr_y"], [score(NASTY, NASTY, 30, dataset=NASTY)], notes=[NASTY]
    )


def test_markdown_shows_names_and_never_obeys_them() -> None:
    page = MarkdownIt("commonmark").enable("table").render(render(nasty(), "markdown"))
    name = html.escape(SHOWN).replace("&#x27;", "'")
    assert f"<h3>{name}: PSNR-Y in dB</h3>" in page
    assert f">{name}</th>" in page
    assert f">{name}</td>" in page
    assert f"<li>{name}</li>" in page
    assert "<strong>30.000</strong>" in page


def test_latex_shows_names_and_never_obeys_them() -> None:
    text = render(nasty(), "latex")
    name = (
        r"\textless{}script\textgreater{}\textbar{}\textbackslash{}\%\_\$\#\&\{\}\textasciitilde{}\textasciicircum{}"
        r"{[}x{]}$^{*}$\textasciigrave{}\char34{}'   {[}31m../é"
    )
    assert f"\\caption{{{name}: PSNR-Y in dB}}" in text
    assert f"\n & {name} \\\\\n\\midrule\n{name} & \\textbf{{30.000}} \\\\\n" in text
    assert f"\n{name}\\par\n" in text


def test_the_terminal_is_not_steered_by_names() -> None:
    text = render(nasty(), "terminal")
    assert "\x1b" not in text
    assert "\r" not in text
    assert SHOWN in text


def test_json_keeps_names_as_they_are_and_csv_on_one_line() -> None:
    (row,) = csv.DictReader(io.StringIO(render(nasty(), "csv"), newline=""))
    assert (row["model"], row["image"]) == (SHOWN, SHOWN)
    assert json.loads(render(nasty(), "json"))["scores"][0]["images"] == {NASTY: 30}
    assert render(nasty(), "json").isascii()


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r\n=1", "\u202e=1", "＝1", "－1"]
)
def test_no_name_in_csv_is_a_formula(name: str) -> None:
    measured = score(name, name, -1.5, seed=0, dataset=name)
    (row,) = csv.DictReader(io.StringIO(render(results([measured], name), "csv"), newline=""))
    for column in ("model", "dataset", "image", "method"):
        assert row[column][0] == "'"
        assert row[column][1:].isprintable()
    assert row["value"] == "-1.5"
    assert render(results([measured], name), "csv").count("\n") == 2


@pytest.mark.parametrize("format", sorted({*FORMATS} - {"json"}))
@pytest.mark.parametrize(
    "name",
    ["\x1b]0;x\x07", "\x9b31m", "\u202egnp.exe", "a\u2028b", "\x00", "\ud800", "\ufeff", "a\x7f", "\x85"],
)
def test_what_steers_or_cannot_be_written_reaches_no_report(name: str, format: str) -> None:
    everywhere = Results(
        name,
        [name],
        [name],
        ["psnr_y"],
        [score(name, name, 30, 0, dataset=name)],
        [Network("student", name, 1, 1)],
        budget=name,
        notes=[name],
    )
    text = render(everywhere, format)
    text.encode()
    assert text.replace("\n", "").isprintable()
    assert text.count("\n") == render(replace_names(everywhere, "x"), format).count("\n")


def replace_names(results: Results, name: str) -> Results:
    network = replace(results.networks[0], description=name)
    named = [score(name, name, 30, 0, dataset=name)]
    return Results(name, [name], [name], ["psnr_y"], named, [network], budget=name, notes=[name])


@pytest.mark.parametrize(
    "note",
    ["- x", "+ x", "1. x", "23) x", "---", "===", "-", "     x", "> x", "# x", "![x](y)", "<!-- x", "&lt;"],
)
def test_no_note_begins_a_list_a_line_or_anything_else_in_markdown(note: str) -> None:
    page = (
        MarkdownIt("commonmark")
        .enable("table")
        .render(render(Results("demo", ["none"], ["set5"], ["psnr_y"], notes=[note]), "markdown"))
    )
    assert f"<li>{html.escape(note.strip(), quote=False)}</li>" in page
    assert page.count("<ul>") == 1


def test_pandas_reads_csv_and_json_in_one_line() -> None:
    table = pd.read_csv(io.StringIO(render(the_study(), "csv")))
    assert table.groupby("model").value.mean()["none"] == pytest.approx(33.714)
    table = pd.json_normalize(json.loads(render(the_study(), "json"))["scores"])
    assert table.groupby("model")["mean"].mean()["none"] == pytest.approx(33.714)
    table = pd.DataFrame(json.loads(render(six_seeds(), "json"))["differences"])
    assert list(table[table.dataset.isna()].model) == ["hkd", "ckd", "rkd", "rvkd", "rkd+hkd"]
    assert list(table[table.dataset.isna()].verdict.dropna()) == ["not significant"] * 4  # of RKD+HKD, s = 0
    assert table[table.dataset.notna()].verdict.isna().all()


def test_json_is_strict_and_infinity_is_null() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    scores = [score("none", "a", math.inf, 0), score("none", "b", 30, 0)]
    document = json.loads(render(results(scores, "none"), "json"), parse_constant=refuse)
    (row,) = document["scores"]
    assert (row["mean"], row["n"], row["images"]) == (None, 2, {"a": None, "b": 30})


def test_json_has_tests_multipliers_and_the_detectable_difference() -> None:
    measured = six_seeds()
    steps = dict.fromkeys(measured.columns, 100)
    longer = [replace(one, model="none@2x", value=one.value + 0.1 + 0.01 * (-1) ** (one.seed or 0))
              for one in measured.scores if one.model == "none"]  # fmt: skip
    ours = replace(
        measured,
        columns=[*measured.columns, "none@2x"],
        scores=[*measured.scores, *longer],
        steps=steps | {"none@2x": 200},
        step_costs={"hkd": 3.0},
    )
    document = json.loads(render(ours, "json"))
    whole = next(one for one in document["differences"] if (one["model"], one["dataset"]) == ("hkd", None))
    tests = ("p", "p_holm", "p_every_set", "p_sign_flip")
    assert all(0 < whole[key] <= 1 for key in tests)
    assert whole["simultaneous"][0] < whole["low"] < whole["mean"] < whole["high"] < whole["simultaneous"][1]
    assert whole["verdict"] == "not significant"
    worth = {one["model"]: one for one in document["multipliers"]}
    assert (worth["hkd"]["metric"], worth["hkd"]["cost"], worth["hkd"]["seeds"]) == ("psnr_y", 3.0, 6)
    assert worth["hkd"]["low"] <= worth["hkd"]["k"] <= worth["hkd"]["high"] <= worth["hkd"]["largest"] == 2.0
    assert document["detectable"]["psnr_y"] == pytest.approx(0.05, abs=0.02)
    one_seed = json.loads(render(the_study(), "json"))
    assert (one_seed["detectable"], one_seed["multipliers"]) == ({"psnr_y": None}, [])


def test_json_names_the_default_protocol_or_the_only_one() -> None:
    rgb = score("none", "a", 30, 0, metric="psnr_rgb", protocol="rgb@1")
    for scores, protocol in ([], "y@1"), ([rgb], "rgb@1"), ([rgb, score("none", "a", 30, 0)], "y@1"):
        assert json.loads(render(results(scores, "none"), "json"))["protocol"] == protocol


def test_the_best_is_bold_and_the_second_underlined_where_the_console_can() -> None:
    console = Console(file=io.StringIO(), width=80, color_system="standard", force_terminal=True)
    with console.capture() as captured:
        print_document(Document(the_study()), console)
    styles = dict(re.findall(r"\x1b\[([\d;]+)m *(3[78]\.\d{3})\x1b", captured.get())[::-1])
    assert styles == {"1": "37.879", "4": "37.868"}


@pytest.mark.parametrize("width", [80, 120])
def test_numbers_are_never_cut_by_a_narrow_terminal(width: int) -> None:
    many = [f"m{index}" for index in range(20)]
    scores = [score(model, "a", 30 + seed, seed) for model in many for seed in (0, 1)]
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        print_document(Document(results(scores, *many)), console)
    assert captured.get().count("30.500 ± 0.707") == 20


def test_no_interval_is_wrapped_and_no_name_split_at_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    with console.capture() as captured:
        print_document(Document(six_seeds()), console)
    text = captured.get()
    assert text.count("[") == text.count("]") > 10
    assert all(line.count("[") == line.count("]") and len(line) <= 80 for line in text.splitlines())
    for line in text.splitlines():
        assert not line.rstrip().endswith("±")


def test_a_footnote_of_several_tables_is_printed_below_the_first() -> None:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    with console.capture() as captured:
        print_document(Document(six_seeds()), console)
    first, *others = captured.get().split("paper: ")[1:]
    assert "All: mean of the data sets" in first
    assert not any("All: mean of the data sets" in other for other in others)


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.md", "markdown"), ("a.b.TEX", "latex"), ("a.txt", "terminal"), ("a.CSV.gz", "csv")],
)
def test_a_files_suffix_says_its_format(name: str, format: str) -> None:
    assert format_of(Path(name)) == format


def test_an_unknown_suffix_or_format_is_an_error_with_a_hint() -> None:
    for name in ("a.docx", "a.json.gz", "a.gz"):
        with pytest.raises(SrkdError, match=rf"no report format for '{re.escape(name)}'") as error:
            format_of(Path(name))
        suffixes = ", ".join(one.suffix for one in FORMATS.values())
        assert error.value.hint == f"end the name in {suffixes}, .csv.gz"
    with pytest.raises(SrkdError, match="no report format named 'yaml'"):
        render(the_study(), "yaml")


def test_report_is_imported_without_torch_and_pandas() -> None:
    code = "import sys, srkd_bench.report.render; sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_key_of_a_difference_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/files.md").read_text(encoding="utf-8")
    row = json.loads(render_seeds("json"))["differences"][0]
    assert [key for key in row if f"`{key}`" not in page and f"`{key}[]`" not in page] == []


if __name__ == "__main__":
    for format in TEXTS:
        suffix = FORMATS[format].suffix
        for name, text in (("report", render(the_study(), format)), ("seeds", render_seeds(format))):
            (GOLDEN / f"{name}{suffix}").write_text(text, encoding="utf-8", newline="\n")
