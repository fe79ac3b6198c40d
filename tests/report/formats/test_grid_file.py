import csv
import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.evaluation.grids.gains import cell_gains
from srkd_bench.report.formats.grid_file import is_grid, read_grid, to_csv
from srkd_bench.report.formats.score_file import compressed, read_scores
from tests.support.grids import cell, simulated

CELLS = [
    cell(
        {"student": student, "train.steps": steps, "teacher": 'x=1; "a", 2,5'},
        {"none": [30.0, 30.5], "hkd": [30.25, 31.0], "none@2x": [31.0]},
        costs={"none": 1e12, "hkd": 1.02e12, "none@2x": 2e12},
    )
    for student in ("EDSR 8×4", "EDSR 16×8")
    for steps in (100, 2_000_000)
]


def stored(tmp_path: Path, text: str, name: str = "grid.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(compressed(text) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["grid.csv", "grid.csv.gz"])
def test_a_grid_is_read_unchanged(tmp_path: Path, name: str) -> None:
    path = stored(tmp_path, to_csv(CELLS), name)
    assert is_grid(path)
    read = read_grid(path)
    for own, other in zip(read, CELLS, strict=True):
        assert (own.name, own.axes, own.factors, own.costs) == (
            other.name,
            other.axes,
            other.factors,
            other.costs,
        )
        assert own.results.scores == other.results.scores
        assert own.results.columns == ["none", "hkd", "none@2x"]
    assert to_csv(read) == to_csv(CELLS)
    results = read[0].results
    assert (results.suite, results.seeds, results.datasets) == ("map", [0, 1], ["set5"])
    assert results.steps == {"none": 100, "hkd": 100, "none@2x": 200}
    assert results.step_costs == {"none": 1.0, "hkd": 1.02, "none@2x": 1.0}


def test_the_columns_are_those_of_a_score_file_and_the_cells() -> None:
    head = next(csv.reader(io.StringIO(to_csv(CELLS))))
    assert head[-7:] == [
        "suite", "cell", "axis:student", "axis:train.steps", "axis:teacher", "factor:student", "multiply_adds",
    ]  # fmt: skip


def test_a_file_that_pandas_has_saved_is_read(tmp_path: Path) -> None:
    text = io.StringIO()
    pd.read_csv(io.StringIO(to_csv(CELLS))).to_csv(text, index=False)
    read = read_grid(stored(tmp_path, text.getvalue()))
    assert [one.factors for one in read] == [one.factors for one in CELLS]
    assert [one.results.scores for one in read] == [one.results.scores for one in CELLS]


def test_a_file_that_a_spreadsheet_has_saved_with_decimal_commas_is_read(tmp_path: Path) -> None:
    cells = [
        cell(
            {"params.Own.weight": weight, "teacher": "a,b"},
            {"none": [30.5], "hkd": [31.0]},
            costs={"none": 1.5e12},
        )
        for weight in (0.5, 0.25)
    ]
    table = list(csv.reader(io.StringIO(to_csv(cells))))
    text = io.StringIO()
    decimal = [[one.replace(".", ",") if one[:1].isdigit() else one for one in row] for row in table[1:]]
    csv.writer(text, delimiter=";").writerows([table[0], *decimal])
    read = read_grid(stored(tmp_path, text.getvalue()))
    assert [(one.axes, one.factors, one.costs) for one in read] == [
        (one.axes, one.factors, one.costs) for one in cells
    ]
    assert [one.results.scores for one in read] == [one.results.scores for one in cells]


def test_numbers_of_any_sign_are_factors_and_words_are_not(tmp_path: Path) -> None:
    cells = [cell({"a": value, "b": "x"}, {"none": [1.0]}) for value in (0, -1, 0.001)]
    assert [one.factors for one in read_grid(stored(tmp_path, to_csv(cells)))] == [
        {"a": 0},
        {"a": -1},
        {"a": 0.001},
    ]


def test_the_gains_are_those_of_the_grid(tmp_path: Path) -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1}, seeds=2, steps=[100, 200])
    read = read_grid(stored(tmp_path, to_csv(cells)))
    assert [one.difference for one in cell_gains(read, "psnr_y")] == [
        one.difference for one in cell_gains(cells, "psnr_y")
    ]


def test_the_scores_of_a_suite_are_no_grid(tmp_path: Path) -> None:
    rows = list(csv.reader(io.StringIO(to_csv(CELLS[:1]))))
    place = rows[0].index("cell")
    text = "\n".join(",".join(row[:place]) for row in rows)
    path = stored(tmp_path, text)
    assert not is_grid(path)
    with pytest.raises(SrkdError, match=r"grid\.csv has no cells"):
        read_grid(path)
    with pytest.raises(SrkdError, match=r"grid\.csv has no cells"):
        read_grid(stored(tmp_path, to_csv([replace(CELLS[0], name="")])))
    with pytest.raises(MissingError, match="no file"):
        is_grid(tmp_path / "gone.csv")


def test_a_grid_is_no_score_file_of_a_suite(tmp_path: Path) -> None:
    with pytest.raises(SrkdError, match="has the scores of a grid of suites"):
        read_scores(stored(tmp_path, to_csv(CELLS)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ",100,",
            ",101,",
            "line 3 of grid.csv does not fit its cell: axis:train.steps is '101', and '100' before",
        ),
        (",6531,", ",many,", "line 3 of grid.csv does not fit its cell: factor:student is 'many'"),
    ],
)
def test_lines_of_a_cell_agree(tmp_path: Path, old: str, new: str, message: str) -> None:
    lines = to_csv(CELLS).splitlines()
    lines[2] = lines[2].replace(old, new)
    with pytest.raises(SrkdError, match=message):
        read_grid(stored(tmp_path, "\n".join(lines)))


def test_a_factor_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SrkdError, match="does not fit its cell: factor:student is not a number"):
        read_grid(stored(tmp_path, to_csv(CELLS).replace(",6531,", ",many,")))


def test_two_cells_with_the_same_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SrkdError, match=r"cells one and two of grid\.csv have the same values"):
        read_grid(stored(tmp_path, to_csv([replace(CELLS[0], name=name) for name in ("one", "two")])))


def test_cells_are_of_suites_of_their_own_and_one_cell_is_of_one(tmp_path: Path) -> None:
    other = cell({"student": "EDSR 32×16", "train.steps": 5, "teacher": "x"}, {"none": [1.0]}, suite="other")
    assert len(read_grid(stored(tmp_path, to_csv([*CELLS, other])))) == 5
    mixed = replace(other, name=CELLS[0].name, axes=CELLS[0].axes, factors=CELLS[0].factors)
    with pytest.raises(SrkdError, match="mixes suites or settings: line 22 is of other"):
        read_grid(stored(tmp_path, to_csv([CELLS[0], CELLS[1], mixed])))
