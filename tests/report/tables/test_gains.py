"""The table of gains: published values, and everything that cannot be tested."""

import io
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.report.formats.score_file import read_scores
from srkd_bench.report.formats.terminal import print_table
from srkd_bench.report.tables.gains import gains, relative_cost
from srkd_bench.report.tables.table import Table

ROOT = Path(__file__).parents[3]
METHODS = ["hkd", "ckd", "rkd", "rvkd", "rkd+hkd"]
SETS = ["set5", "set14", "bsd100", "urban100"]
NOISE = (0.01, -0.02, 0.03, -0.01, 0.0, -0.01)  # of six seeds; each method begins at another one


@cache
def bsds() -> Results:
    """The published scores; `none@equal-cost` before the methods, which it has to follow."""
    scores = read_scores(ROOT / "results" / "bsds" / "scores.csv.gz")
    columns = ["bicubic", "teacher", "none", "none@equal-cost", *METHODS]
    return Results("bsds", columns, SETS, ["psnr_y"], scores, seeds=list(range(6)))


def measured(gained: dict[str, float], datasets: list[str] | None = None, seeds: int = 6) -> Results:
    """Return methods with these mean gains over six seeds on two images of each data set."""
    names = datasets or ["set5", "set14"]
    scores = [
        Score(
            model, dataset, image, "psnr_y", "y@1", 30 + gain + NOISE[(seed + i) % 6], method=model, seed=seed
        )
        for i, (model, gain) in enumerate(({"none": 0.0} | gained).items())
        for dataset in names
        for image in "ab"
        for seed in range(seeds)
    ]
    return Results("demo", ["none", *gained], names, ["psnr_y"], scores, seeds=list(range(seeds)))


def without(results: Results, **where: object) -> Results:
    """Return the results without the scores that have all of these values."""
    kept = [one for one in results.scores if any(getattr(one, key) != value for key, value in where.items())]
    return replace(results, scores=kept)


def table(results: Results) -> Table:
    found = gains(results, "psnr_y")
    assert found is not None
    return found


def rows(results: Results) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table(results).rows]


def test_the_published_gains_with_intervals_p_and_verdicts() -> None:
    found = table(bsds())
    assert found.title == "bsds: PSNR-Y in dB, gain over w/o KD"
    assert found.header == ["", "Gain on All", "95 % interval", "Holm p", "Verdict"]
    assert rows(bsds()) == [
        ["HKD", "+0.090", "[+0.069, +0.112]", "<0.001", "better"],
        ["CKD", "−0.209", "[−0.345, −0.073]", "0.022", "worse"],
        ["RKD", "−0.020", "[−0.060, +0.021]", "0.265", "not significant"],
        ["RVKD", "+0.099", "[+0.064, +0.134]", "0.003", "better"],
        ["RKD+HKD", "+0.070", "[+0.040, +0.099]", "0.006", "better"],
        ["w/o KD at equal cost", "+0.288", "[+0.223, +0.353]", "<0.001", "better"],
    ]


def test_the_footnotes_state_what_intervals_cover_and_verdicts_rest_on() -> None:
    notes = table(bsds()).footnotes
    assert notes[:4] == [
        "Trainings far below the median of their method, which may have failed; they are included: CKD seed 3"
        " (−0.268 dB)",
        "Intervals cover the variation between seeds, for this teacher and these images",
        "Verdicts: paired t test over 6 seeds, p adjusted for 6 comparisons (Holm); better or worse if p < 0.05",
        "With 6 seeds, differences below about 0.038 dB cannot be detected; one of 0.079 dB is detected with a"
        " probability of 80 %",
    ]
    assert notes[4].startswith("95 % intervals for new images as well as new seeds: HKD [+0.058, +0.122], ")
    assert "RVKD [+0.047, +0.151], RKD+HKD [+0.036, +0.103]" in notes[4]
    assert notes[5].startswith("Better on every data set (Holm p): HKD (p = 0.003), RVKD (p = 0.017), ")
    assert notes[6] == "Worse on every data set (Holm p): CKD (p = 0.034)"


def test_the_footnotes_name_methods_whose_intervals_do_not_cover_other_teachers() -> None:
    """HKD has a teacher per seed, or four teachers crossed with two seeds; DML has none."""
    ours = measured({"hkd": 0.1, "dml": 0.1})
    paired = [replace(one, teacher_seed=one.seed) if one.model == "hkd" else one for one in ours.scores]
    notes = table(replace(ours, scores=paired)).footnotes
    assert notes[0] == (
        "Intervals cover the variation between seeds and teachers, for these images; for DML, which use no teacher,"
        " the variation between seeds"
    )
    assert notes[1].startswith("Verdicts: paired t test over 6 seeds, p adjusted for 2 comparisons")
    crossed = [
        replace(one, teacher_seed=teacher, value=one.value + 0.01 * teacher)
        for one in ours.scores
        for teacher in range(4 if one.model == "hkd" else 1)
    ]
    crossed = [one if one.model == "hkd" else replace(one, teacher_seed=None) for one in crossed]
    notes = table(replace(ours, scores=crossed)).footnotes
    assert notes[0].startswith(
        "Intervals cover the variation between teachers, for these student seeds and images; for"
    )
    assert notes[1].startswith("Verdicts: paired t test over 6 seeds and 4 teachers, p adjusted")
    assert any(note.startswith("95 % intervals for new images as well as new ") for note in notes)


def test_a_row_has_the_training_multiplier_and_the_cost_of_a_step() -> None:
    """Of the published scores, with the lengths and costs of their suite."""
    trained = dict.fromkeys(["none", *METHODS], 10_000) | {"none@equal-cost": 100_522}
    costs = dict.fromkeys(METHODS, 10.05) | {"none": 1.0, "none@equal-cost": 1.0}
    ours = replace(bsds(), steps=trained, step_costs=costs)
    assert table(ours).header[-2:] == ["k", "c"]
    assert [row[-2:] for row in rows(ours)] == [
        ["2.06 [1.71, 2.64]", "10.1"],
        ["<1", "10.1"],
        ["<1 [<1, 1.17]", "10.1"],
        ["2.21 [1.80, 2.67]", "10.1"],
        ["1.75 [1.35, 2.46]", "10.1"],
        ["–", "1.00"],
    ]
    (note,) = (note for note in table(ours).footnotes if note.startswith("k: "))
    assert note.endswith("measured up to 10.1")
    assert table(replace(ours, steps={})).header[-1] == "c"
    other = table(replace(ours, baseline="hkd"))  # c is relative to the student alone in any case
    assert (other.header[-1], other.footnotes[-2]) == (
        "c",
        "c: multiply-adds of a training step, relative to w/o KD",
    )


def test_on_a_narrow_terminal_methods_stay_rows_and_no_interval_is_wrapped() -> None:
    ours = replace(bsds(), steps=dict.fromkeys(["none", *METHODS], 10_000) | {"none@equal-cost": 100_522})
    console = Console(file=io.StringIO(), width=80, color_system=None)
    with console.capture() as captured:
        print_table(table(ours), console)
    lines = captured.get().splitlines()
    assert all(line.count("[") == line.count("]") and len(line) <= 80 for line in lines)
    assert lines[1].split() == ["Gain", "on", "All", "95", "%", "interval", "Holm", "p", "Verdict"]
    assert [line.split()[0] for line in lines if line.startswith("HKD ")] == [
        "HKD"
    ] * 2  # k is a second block


def test_a_method_beyond_the_longest_training_of_the_student_alone_is_worth_more_than_that() -> None:
    ours = measured({"hkd": 0.9, "none@10x": 0.1})
    ours = replace(ours, steps={"none": 1000, "hkd": 1000, "none@10x": 10_000})
    assert [row[0] for row in rows(ours)] == ["HKD", "w/o KD, 10× steps"]
    assert rows(ours)[0][-1] == ">10"


def test_one_data_set_is_named_and_has_no_every_set() -> None:
    found = table(measured({"hkd": 0.5}, ["set5"]))
    assert found.header[1] == "Gain on Set5"
    assert not any("every data set" in note or note.startswith("All") for note in found.footnotes)
    assert "Verdicts: paired t test over 6 seeds; better or worse if p < 0.05" in found.footnotes


def test_two_seeds_are_tested_and_the_note_states_their_limits() -> None:
    found = table(measured({"hkd": 0.9, "ckd": 0.05}, seeds=2))
    assert found.rows[0][4].text in ("better", "not significant")
    (note,) = (note for note in found.footnotes if note.startswith("With 2 seeds"))
    assert "cannot be detected" in note


@pytest.mark.parametrize(
    ("c", "text"),
    [(None, "–"), (1.0, "1.00"), (1.168, "1.17"), (9.994, "9.99"), (9.996, "10.0"), (22.61, "22.6")],
)
def test_the_cost_of_a_step_has_three_digits(c: float | None, text: str) -> None:
    """So that it can be compared with k, which has two decimals."""
    assert relative_cost(c) == text


@pytest.mark.parametrize(
    ("costs", "note"),
    [
        ({}, None),
        ({"hkd": 3.0, "ckd": 3.0}, "c: multiply-adds of a training step, relative to w/o KD"),
        (
            {"hkd": 3.0},
            "c: multiply-adds of a training step, relative to w/o KD; –: unknown, for example without the training"
            " images",
        ),
    ],
)
def test_a_missing_cost_is_explained(costs: dict[str, float], note: str | None) -> None:
    found = gains(replace(measured({"hkd": 0.5, "ckd": 0.1}), step_costs=costs), "psnr_y")
    assert found is not None
    assert [one for one in found.footnotes if one.startswith("c: ")] == ([note] if note else [])


@pytest.mark.parametrize(
    ("results", "note"),
    [
        (measured({"hkd": 0.5}, seeds=1), "No test of HKD: one seed; a test needs two"),
        (
            replace(measured({"hkd": 0.5}), columns=["none", "hkd", "ckd", "rkd"]),
            "No test of CKD, RKD: not measured",
        ),
        (
            without(measured({"hkd": 0.5, "ckd": 0.1}), model="none"),
            "No test of HKD, CKD: w/o KD was not measured",
        ),
        (
            without(measured({"hkd": 0.5}), model="hkd", seed=4),
            "* HKD: left out, as w/o KD or the method lacks it: seed 4",
        ),
        (
            without(measured({"hkd": 0.5, "ckd": 0.1}), model="none", dataset="set5", image="b"),
            "* HKD, CKD: left out, as w/o KD or the method lacks it: image b",
        ),
        (
            without(measured({"hkd": 0.5}), model="hkd", dataset="set5"),
            "* HKD: left out, as w/o KD or the method lacks it: data set Set5",
        ),
    ],
)
def test_what_cannot_be_compared_or_tested_is_named(results: Results, note: str) -> None:
    found = table(results)
    assert note in found.footnotes
    assert len(found.rows) == len(results.columns) - 1
    if note.startswith("*"):
        assert found.rows[0][0].text == "HKD*"


def test_without_variance_there_is_no_test() -> None:
    ours = measured({"hkd": 0.5, "ckd": 0.1})
    copied = [
        replace(one, model="rkd", method="rkd", value=one.value + 0.25)
        for one in ours.scores
        if one.model == "none"
    ]
    ours = replace(ours, columns=[*ours.columns, "rkd"], scores=[*ours.scores, *copied])
    assert rows(ours)[2] == ["RKD", "+0.250", "[+0.250, +0.250]", "–", "–"]
    assert (
        "No test of RKD: all seeds differ by the same amount, so their variance is 0" in table(ours).footnotes
    )
    assert any("adjusted for 2 comparisons" in note for note in table(ours).footnotes)


def test_images_with_infinite_psnr_are_left_out_and_named() -> None:
    ours = measured({"hkd": 0.5, "ckd": 0.1})
    scores = [
        replace(one, value=math.inf) if (one.model, one.image, one.seed) == ("hkd", "b", 3) else one
        for one in ours.scores
    ]
    found = table(replace(ours, scores=scores))
    assert found.footnotes[0] == "* HKD: left out, as the PSNR is infinite: image b"
    assert [row[0].text for row in found.rows] == ["HKD*", "CKD"]
    assert found.rows[0][1].text == "+0.500"


def test_without_methods_or_seeds_there_is_no_table() -> None:
    assert gains(replace(bsds(), columns=["bicubic", "teacher", "none"]), "psnr_y") is None
    assert gains(replace(bsds(), scores=[]), "psnr_y") is None
    bicubic = [one for one in bsds().scores if one.seed is None]
    assert gains(replace(bsds(), scores=bicubic), "psnr_y") is None
