import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from srkd_bench.core.errors import MissingError
from srkd_bench.evaluation.grids.cells import CellResults
from srkd_bench.evaluation.results import Training
from srkd_bench.evaluation.statistics import differences
from srkd_bench.report.formats.data import report_of
from srkd_bench.report.formats.grid_file import read_grid, to_csv
from srkd_bench.report.formats.terminal import print_table
from srkd_bench.report.grids.document import GridDocument
from srkd_bench.report.render import FORMATS, written
from srkd_bench.report.tables.table import Table
from tests.support.grids import cell, simulated

ALONE = [30.0, 30.2, 29.9]


def gained(gain: float) -> list[float]:
    return [one + gain + noise for one, noise in zip(ALONE, (0.0, 0.004, -0.004), strict=True)]


def table(cells: list[CellResults], words: str) -> Table:
    return next(one for one in GridDocument("map", cells).tables() if words in one.title)


def rows(found: Table) -> dict[str, list[str]]:
    return {row[0].text: [one.text for one in row[1:]] for row in found.rows}


def four(**more: CellResults) -> list[CellResults]:
    """Return a grid of two steps and two students."""
    return [
        more.get(f"{student[5]}{steps}")
        or cell(
            {"student": student, "train.steps": steps},
            {"none": ALONE, "hkd": gained(gain), "rkd": gained(-gain)},
            costs={"none": 1e12, "hkd": 1e12, "rkd": 2e12},
        )
        for student, steps, gain in (
            ("EDSR 8×4", 2500, 0.1), ("EDSR 8×4", 10000, 0.2),
            ("EDSR 16×8", 2500, 0.3), ("EDSR 16×8", 10000, 0.002),
        )
    ]  # fmt: skip


def test_the_table_of_gains_has_a_row_for_each_cell_and_method() -> None:
    found = table(four(), "in each cell")
    assert found.title == "map: PSNR-Y in dB, gain over w/o KD in each cell"
    assert found.header == ["", "Gain on Set5", "95 % interval", "Holm p", "Verdict", "k"]
    texts = rows(found)
    assert texts["student EDSR 8×4, 2,500 steps: HKD"] == [
        "+0.100",
        "[+0.090, +0.110]",
        "0.002",
        "better",
        ">4",
    ]
    assert texts["student EDSR 16×8, 10,000 steps: RKD"][3:] == ["not significant", "<0.25 [<0.25, >1]"]
    assert texts["student EDSR 16×8, 2,500 steps: RKD"][3:] == ["worse", "<1"]
    assert "p adjusted for 8 comparisons (Holm)" in " ".join(found.footnotes)


def test_k_needs_scores_of_the_student_alone_that_differ() -> None:
    """The student alone gains nothing from longer training here, so k is beyond what was measured."""
    assert rows(table(four(), "in each cell"))["student EDSR 8×4, 2,500 steps: HKD"][-1] == ">4"


def test_the_number_of_seeds_is_shown_where_it_differs() -> None:
    other = cell({"student": "EDSR 8×4", "train.steps": 2500}, {"none": ALONE[:2], "hkd": gained(0.1)[:2]})
    found = table(four(**{"82500": other}), "in each cell")
    assert found.header[5] == "Seeds"
    assert rows(found)["student EDSR 8×4, 2,500 steps: HKD"][4] == "2"
    assert rows(found)["student EDSR 16×8, 2,500 steps: HKD"][4] == "3"


def test_unfinished_and_failed_cells_are_named_and_the_others_reported() -> None:
    place: dict[str, str | float] = {"student": "EDSR 8×4", "train.steps": 2500}
    without = cell(place, {"hkd": gained(0.1)})
    found = table(four(**{"82500": without}), "in each cell")
    assert rows(found)["student EDSR 8×4, 2,500 steps: HKD"][:4] == ["–"] * 4
    assert "student EDSR 8×4, 2,500 steps: no gains, w/o KD was not measured" in found.footnotes
    empty = cell(place, {})
    empty = replace(
        empty, results=replace(empty.results, columns=["none", "hkd"], notes=["hkd: not trained yet"])
    )
    found = table(four(**{"82500": empty}), "in each cell")
    assert "student EDSR 8×4, 2,500 steps: no scores" in found.footnotes
    assert rows(found)["student EDSR 8×4, 2,500 steps: HKD"][:4] == ["–"] * 4
    partly = cell(place, {"none": ALONE, "hkd": gained(0.1)[:1]})
    notes = ["hkd: failed (the loss is nan) (seeds 1, 2)", "self-ensemble"]
    partly = replace(partly, results=replace(partly.results, notes=notes))
    found = table(four(**{"82500": partly}), "in each cell")
    assert "student EDSR 8×4, 2,500 steps: hkd: failed (the loss is nan) (seeds 1, 2)" in found.footnotes
    assert not any("self-ensemble" in note for note in found.footnotes)
    assert "No test, one seed; a test needs two: student EDSR 8×4, 2,500 steps HKD" in found.footnotes


def test_failed_trainings_are_named_with_their_cell() -> None:
    place: dict[str, str | float] = {"student": "EDSR 8×4", "train.steps": 2500}
    failed = cell(place, {"none": [30.0, 30.01, 20.0], "hkd": [30.1, 30.12, 30.13]})
    notes = table(four(**{"82500": failed}), "in each cell").footnotes
    assert [note for note in notes if "far below" in note] == [
        "student EDSR 8×4, 2,500 steps: Trainings far below the median of their method, which may have failed;"
        " they are included: w/o KD seed 2 (−10.000 dB)"
    ]


def test_what_holds_for_every_comparison_is_noted_once() -> None:
    cells = [
        cell({"train.steps": n}, {"none": ALONE[:2], "hkd": gained(0.1)[:1]}, costs={}) for n in (100, 200)
    ]
    notes = table(cells, "in each cell").footnotes
    assert "No test, one seed; a test needs two" in notes
    assert "Left out, as missing or infinite on one side, seed 1" in notes


def test_a_union_of_products_that_vary_different_keys_is_reported(tmp_path: Path) -> None:
    """Three students of two lengths; then another teacher in one of these cells, with one method and one seed."""
    cells = [
        replace(one, axes={**one.axes, "teacher": "64x16"}, factors={**one.factors, "teacher": 1.4e6})
        for one in simulated(
            {"hkd": lambda x, y, z: 0.1, "rkd": lambda x, y, z: 0.0}, steps=[100, 200], images=[50]
        )
    ]
    few = replace(
        cells[0].results, columns=["none", "hkd"],
        scores=[one for one in cells[0].results.scores if one.seed == 0 and one.model != "rkd"],
    )  # fmt: skip
    axes, factors = {**cells[0].axes, "teacher": "256x32"}, {**cells[0].factors, "teacher": 4e7}
    cells.append(replace(cells[0], name="other", axes=axes, factors=factors, results=few))
    (tmp_path / "grid.csv").write_text(to_csv(cells), encoding="utf-8")
    assert [(one.axes, one.factors) for one in read_grid(tmp_path / "grid.csv")] == [
        (one.axes, one.factors) for one in cells
    ]
    gains = table(cells, "in each cell")
    last = "student EDSR 8×4, 100 steps, teacher 256x32: HKD"
    assert list(rows(gains))[-1] == last
    assert rows(gains)[last][1:5] == ["–", "–", "–", "1"]
    assert rows(gains)[last][-1] == "–"  # no other length with this teacher
    assert f"No test, one seed; a test needs two: {last.replace(': ', ' ')}" in gains.footnotes
    effects = rows(table(cells, "effects of the factors"))
    assert effects["HKD: teacher parameters"][0] != "not estimable"
    assert effects["HKD: parameters × teacher parameters"] == ["not estimable", "–"]
    assert effects["RKD: teacher parameters"] == ["not estimable", "–"]
    found = rows(table(cells, "gain of HKD"))
    assert list(found) == ["teacher 64x16: 100", "teacher 64x16: 200", "teacher 256x32: 100"]
    assert found["teacher 256x32: 100"][1:] == ["–", "–"]
    assert written(GridDocument("map", cells), "html").count("<table") == 5


def test_long_names_of_cells_leave_the_numbers_whole_on_a_narrow_terminal() -> None:
    cells = [
        replace(one, axes={**one.axes, "teacher": "x" * 50 + str(n % 2)}) for n, one in enumerate(four())
    ]
    console = Console(file=io.StringIO(), width=80, color_system=None)
    with console.capture() as captured:
        print_table(table(cells, "in each cell"), console)
    lines = captured.get().splitlines()
    assert not any("…" in line or len(line) > 80 for line in lines)
    row = next(line for line in lines if "+0.100" in line)
    assert row.split()[:2] == ["HKD", "+0.100"]
    assert "[+0.090, +0.110]" in row
    assert "better" in row


def test_the_table_of_two_axes_marks_what_is_not_significant() -> None:
    found = table(four(), "gain of HKD over w/o KD")
    assert found.header == ["", "2,500 steps", "10,000 steps"]
    assert rows(found) == {"EDSR 8×4": ["+0.100", "+0.200"], "EDSR 16×8": ["+0.300", "(+0.002)"]}
    cells = simulated({"hkd": lambda x, y, z: 0.1}, steps=[100, 200, 300], noise=0.001)
    found = table(cells[:-1], "gain of HKD")
    assert found.header[1:] == ["100 steps", "200 steps", "300 steps"]
    assert list(rows(found))[:2] == ["50 images: EDSR 8×4", "50 images: EDSR 16×8"]
    assert rows(found)["399 images: EDSR 32×16"][-1] == "–"


def test_all_training_images_are_called_so() -> None:
    cells = [
        cell({"data.images": count, "train.steps": 5}, {"none": ALONE, "hkd": gained(0.1)})
        for count in (50, 399)
    ]
    cells[1] = replace(cells[1], axes={**cells[1].axes, "data.images": "null"})
    assert list(rows(table(cells, "in each cell"))) == ["50 images: HKD", "all images: HKD"]


def test_a_learning_rate_for_each_length_is_no_axis_of_tables_figures_and_effects() -> None:
    rates = {"2500": "0.003", "10000": "0.0015"}
    cells = [
        replace(one, axes={**one.axes, "train.learning_rate": rates[one.axes["train.steps"]]})
        for one in four()
    ]
    plain = table(four(), "gain of HKD")
    assert (table(cells, "gain of HKD").header, rows(table(cells, "gain of HKD"))) == (
        plain.header,
        rows(plain),
    )
    effects = table(cells, "effects of the factors")
    assert rows(effects) == rows(table(four(), "effects of the factors"))
    assert any("includes that of train.learning_rate" in note for note in effects.footnotes)
    assert len(GridDocument("map", cells).figures()["curves-psnr_y"].axes) == 2


def test_a_grid_of_one_axis_has_no_table_of_two() -> None:
    cells = four()[:2]
    assert not any("gain of" in one.title for one in GridDocument("map", cells).tables())
    assert "heat-psnr_y" not in GridDocument("map", cells).figures()


def test_effects_have_intervals_and_those_that_the_design_lacks_are_named() -> None:
    found = table(four(), "effects of the factors")
    texts = rows(found)
    assert list(texts)[:4] == [
        "HKD: mean at the centre",
        "HKD: parameters",
        "HKD: steps",
        "HKD: parameters × steps",
    ]
    assert texts["HKD: mean at the centre"][0] == "+0.1505"
    assert texts["HKD: steps"][0] == "−0.0495"
    assert all(text[1].startswith("[") for text in texts.values())
    zipped = table(four()[1:3], "effects of the factors")
    assert rows(zipped)["HKD: steps"] == ["not estimable", "–"]
    assert any(note.startswith("Not estimable by this design") for note in zipped.footnotes)
    assert any(note.startswith("Weighted least squares") for note in zipped.footnotes)
    assert "Centre: parameters 17,999, steps 5,000" in found.footnotes
    labelled = [replace(one, factors={"train.steps": one.factors["train.steps"]}) for one in four()]
    found = table(labelled, "effects of the factors")
    assert "HKD: student: EDSR 16×8" in rows(found)
    assert "The effects of student are differences from EDSR 8×4" in found.footnotes


def test_changes_between_neighbouring_values_have_intervals() -> None:
    found = table(four(), "change of the gain between neighbouring values")
    assert found.header == ["", "Change", "95 % interval", "Pairs of cells"]
    texts = rows(found)
    assert list(texts)[:2] == ["HKD: student EDSR 8×4 to EDSR 16×8", "HKD: 2,500 to 10,000 steps"]
    assert texts["HKD: 2,500 to 10,000 steps"] == ["−0.099", "[−0.099, −0.099]", "2"]
    same = [
        one
        for one in json.loads(written(GridDocument("map", four()), "json"))["changes"]
        if one["model"] == "hkd"
    ]
    assert [(one["axis"], one["before"], one["after"], one["pairs"]) for one in same] == [
        ("student", "EDSR 8×4", "EDSR 16×8", 2), ("train.steps", "2500", "10000", 2),
    ]  # fmt: skip
    assert not any("change of" in one.title for one in GridDocument("map", four()[:1]).tables())


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_writes_a_grid(format: str) -> None:
    text = written(GridDocument("map", four()), format)
    assert "8×4" in text or r"8$\times$4" in text or r"8\u00d74" in text
    assert text == written(GridDocument("map", four()), format)


def test_the_json_report() -> None:
    cells = four()
    found = json.loads(written(GridDocument("map", cells), "json"))
    assert (found["schema"], found["grid"]) == (3, "map")
    assert found["axes"] == {"student": ["EDSR 8×4", "EDSR 16×8"], "train.steps": ["2500", "10000"]}
    first = found["cells"][0]
    assert first["factors"] == {"student": 6531.0, "train.steps": 2500.0}
    assert first["multiply_adds"] == {"none": 1e12, "hkd": 1e12, "rkd": 2e12}
    assert first["report"] == json.loads(json.dumps(report_of(cells[0].results)))
    assert len(found["gains"]) == 8
    assert not {"units", "unit_means"} & found["gains"][0].keys()
    (own,) = (
        one for one in differences(cells[0].results, "psnr_y") if one.model == "hkd" and not one.dataset
    )
    assert found["gains"][0]["mean"] == pytest.approx(own.mean)
    assert found["gains"][0]["p_holm"] > own.p_holm
    assert {one["cell"] for one in found["multipliers"]} == {one.name for one in cells}
    effects = found["effects"][0]
    assert [one["term"] for one in effects["terms"]] == [
        [],
        ["student"],
        ["train.steps"],
        ["student", "train.steps"],
    ]
    assert effects["not_estimable"] == []
    assert effects["centre"]["train.steps"] == pytest.approx(5000)
    assert (effects["cells"], effects["seeds"], effects["degrees_of_freedom"]) == (4, 12, 8)


def test_what_could_not_be_compared_is_a_gain_without_numbers_in_json() -> None:
    cells = [*four(), cell({"student": "EDSR 32×16", "train.steps": 2500}, {"hkd": ALONE})]
    found = json.loads(written(GridDocument("map", cells), "json"))
    assert found["gains"][-1] == {"cell": cells[-1].name, "model": "hkd"}


def test_figures_are_drawn_for_what_is_known() -> None:
    cells = four()
    assert set(GridDocument("map", cells).figures()) == {"curves-psnr_y", "heat-psnr_y"}
    trained = [
        replace(
            one,
            results=replace(
                one.results,
                trainings=[
                    Training(model, seed, [], {"seconds": 10.0 + n})
                    for n, model in enumerate(one.results.columns)
                    for seed in range(3)
                ],
            ),
        )
        for one in cells
    ]
    found = GridDocument("map", trained).figures()
    assert found["time-psnr_y"].axes[0].get_xlabel() == "training time (s)"
    axes = found["curves-psnr_y"].axes
    assert [one.get_title(loc="left") for one in axes] == ["student EDSR 8×4", "student EDSR 16×8"]
    assert axes[0].get_xlabel() == "training cost (multiply-adds)"
    (line,) = (one for one in axes[0].get_lines()[:3] if np.asarray(one.get_xdata()).tolist() == [2e12, 2e12])
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx(
        [sum(gained(-0.1)) / 3, sum(gained(-0.2)) / 3]
    )


def test_controls_are_points_of_the_student_alone() -> None:
    longer = cell(
        {"student": "EDSR 8×4", "train.steps": 2500},
        {"none": ALONE, "hkd": gained(0.1), "none@2x": gained(0.3)},
        costs={"none": 1e12, "hkd": 1e12, "none@2x": 2e12},
    )
    cells = [longer, replace(four()[1], costs={"none": 4e12, "hkd": 4e12, "rkd": 8e12})]
    for own, lengths in (
        (cells, [1e12, 2e12, 4e12]),
        (
            [replace(one, costs={}, results=replace(one.results, steps={"none@2x": 5000})) for one in cells],
            [2500, 5000, 10000],
        ),
    ):
        axes = GridDocument("map", own).figures()["curves-psnr_y"].axes[0]
        first = axes.get_lines()[0]
        assert np.asarray(first.get_xdata()).tolist() == lengths
        assert np.asarray(first.get_ydata())[1] == pytest.approx(sum(gained(0.3)) / 3)


def test_without_costs_the_curves_are_over_steps_and_one_length_has_none() -> None:
    cells = [replace(one, costs={}) for one in four()]
    axes = GridDocument("map", cells).figures()["curves-psnr_y"].axes[0]
    assert axes.get_xlabel() == "training steps"
    assert [np.asarray(one.get_xdata()).tolist() for one in axes.get_lines()[:3]] == [[2500, 10000]] * 3
    assert "curves-psnr_y" not in GridDocument("map", [cells[0], cells[2]]).figures()


def test_the_heat_map_shows_the_gains_of_the_table() -> None:
    figure = GridDocument("map", four()).figures()["heat-psnr_y"]
    assert [one.get_title(loc="left") for one in figure.axes] == ["HKD", "RKD"]
    assert [one.get_text() for one in figure.axes[0].texts] == ["+0.100", "+0.200", "+0.300", "(+0.002)"]


def test_controls_are_in_the_table_of_gains_only() -> None:
    control = cell(
        {"student": "EDSR 8×4", "train.steps": 2500},
        {"none": ALONE, "hkd": gained(0.1), "none@2x": gained(0.9)},
    )
    document = GridDocument("map", four(**{"82500": control}))
    titles = [one.title for one in document.tables() if "2× steps" in str(one)]
    assert titles == ["map: PSNR-Y in dB, gain over w/o KD in each cell"]
    assert [one.get_title(loc="left") for one in document.figures()["heat-psnr_y"].axes] == ["HKD", "RKD"]


def test_the_page_is_whole_escaped_and_loads_nothing() -> None:
    cells = [
        replace(one, axes={**one.axes, "teacher": text})
        for one, text in zip(four(), ["<script>x</script>", "a", "b", "c"], strict=True)
    ]
    page = written(GridDocument("map", cells), "html")
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    assert "8 comparisons in 4 cells: 3 better, 3 worse, 2 not significant." in page
    assert "<svg" in page

    assert all(one.startswith("#") for one in re.findall(r"\b(?:src|href)=[\"']?([^\"'\s>]+)", page))
    assert page.count("<table") == page.count("</table>") == 4


def test_the_page_states_the_settings_of_each_cell() -> None:
    said = "every student is trained for 10 steps, at a learning rate of 0.006"
    cells = [replace(one, results=replace(one.results, budget=said)) for one in four()]
    page = written(GridDocument("map", cells), "html")
    assert re.findall("<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", page)[:2] == [
        ("Student", "EDSR 8×4, EDSR 16×8"),
        ("Steps", "2,500, 10,000"),
    ]
    assert f"<li>student EDSR 8×4, 2,500 steps: {said}</li>" in page


def test_a_grid_without_cells_is_refused() -> None:
    with pytest.raises(MissingError, match="grid map has no cells"):
        GridDocument("map", [])
