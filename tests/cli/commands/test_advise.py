import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from srkd_bench.cli.app import app
from srkd_bench.config.suite_file import load_suite
from srkd_bench.report.formats.grid_file import to_csv
from srkd_bench.report.formats.score_file import compressed
from srkd_bench.report.grids.advice import nearest_student
from tests.conftest import Srkd
from tests.support.grids import simulated

QUESTION = ["advise", "--params", "50000", "--steps", "10000", "--images", "100"]


@pytest.fixture
def grid(tmp_path: Path) -> str:
    cells = simulated({"hkd": lambda x, y, z: 0.08 + 0.01 * x, "rkd+hkd": lambda x, y, z: 0.0}, noise=0.003)
    (tmp_path / "grid.csv.gz").write_bytes(compressed(to_csv(cells)))
    return "grid.csv.gz"


def test_the_answer_names_gain_k_position_and_the_next_command(srkd: Srkd, grid: str) -> None:
    code, text, _ = srkd(*QUESTION, "--from", grid)
    assert code == 0
    row = next(line for line in text.splitlines() if line.startswith("HKD"))
    assert row.split()[1].startswith("+0.07")
    assert "Predicted from 24 cells of map, measured on Set5" in text
    assert "steps 10,000: inside the grid (2,500 to 160,000)" in text
    assert "outside" not in text.lower()
    command = next(line for line in text.splitlines() if line.startswith("  srkd run"))
    assert "student={n_feats: 16, n_resblocks: 8}" in command


def test_a_question_outside_the_map_says_how_far(srkd: Srkd, grid: str) -> None:
    text = srkd("advise", "--params", "50000", "--steps", "640000", "--images", "5", "--from", grid)[1]
    flat = " ".join(text.split())
    assert "steps 640,000: outside the grid (2,500 to 160,000), 4 times its largest value" in flat
    assert "images 5: outside the grid (50 to 399), 0.1 times its smallest value" in flat
    assert "Outside the range of the cells with HKD, RKD+HKD: the prediction is an extrapolation" in flat


def test_the_answer_as_json(srkd: Srkd, grid: str) -> None:
    found = json.loads(srkd(*QUESTION, "--from", grid, "--json")[1])
    assert (found["schema"], found["grid"], found["cells"]) == (2, "map", 24)
    assert found["asked"] == {"student": 50000, "train.steps": 10000, "data.images": 100}
    assert [one["method"] for one in found["expected"]] == ["hkd", "rkd+hkd"]
    first = found["expected"][0]
    assert first["inside"]
    assert first["low"] < 0.07 < first["high"]
    assert first["k_low"] < first["k"] < first["k_high"]
    assert [one["times"] for one in found["factors"]] == [1, 1, 1]
    assert found["command"].startswith("srkd run map --teacher ")


def test_the_command_is_one_that_srkd_takes(srkd: Srkd, grid: str) -> None:
    words = shlex.split(json.loads(srkd(*QUESTION, "--from", grid, "--json")[1])["command"])
    command: Any = typer.main.get_command(app)
    parsed = command.commands["run"].make_context("run", words[2:])
    settings = [one for one in parsed.params["settings"] if not one.startswith("data.images")]
    suite = load_suite("map", settings)
    assert suite.methods == ["none", "hkd", "rkd+hkd"]
    assert (suite.teacher.labels, suite.params["crosskd"]) == ("images", {"weight": 3.16})
    assert (suite.train.steps, suite.student.parameters, suite.data.test) == (10_000, 49_603, ["./test"])


@pytest.mark.parametrize(
    ("params", "size"), [(1, (2, 1)), (49_603, (16, 8)), (60_000, (18, 9)), (10**12, (512, 256))]
)
def test_the_students_size_is_the_nearest(params: int, size: tuple[int, int]) -> None:
    assert nearest_student(params) == size


def test_invalid_questions_are_one_error_with_a_hint(srkd: Srkd, grid: str, tmp_path: Path) -> None:
    for words, code, message in (
        (["--steps", "0"], 2, "--steps: must be at least 1, not '0'"),
        (["--params", "-5"], 2, "--params: must be at least 1, not '-5'"),
        (["--images", "many"], 2, "--images"),
        (["--steps", "1" + 400 * "0"], 2, "--steps: must be at most 1,000,000,000,000,000"),
        ([], 1, "--params, --steps, --images are missing: map varies student, train.steps, data.images"),
        (
            ["--params", "50000", "--steps", "100", "--from", grid],
            1,
            "--images is missing: map varies data.images",
        ),
        (["--params", "5", "--from", "gone.csv"], 3, "no file 'gone.csv'"),
    ):
        got, text, said = srkd("advise", *words)
        assert (got, text, message in said, "hint: " in said) == (code, "", True, True), said
    (tmp_path / "suite.csv").write_text(
        "model,dataset,image,metric,protocol,value,run,method,seed\nnone,set5,a,psnr_y,y@1,30,,none,0\n",
        encoding="utf-8",
    )
    code, _, said = srkd(*QUESTION, "--from", "suite.csv")
    assert (code, "suite.csv has no cells: it is not the score file of a grid" in said) == (1, True)


def test_an_axis_that_the_grid_does_not_vary_has_no_effect(srkd: Srkd, tmp_path: Path) -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1}, images=[50])
    (tmp_path / "grid.csv").write_text(to_csv(cells), encoding="utf-8")
    text = " ".join(srkd(*QUESTION, "--from", "grid.csv")[1].split())
    assert "--images has no effect: map does not vary data.images" in text
    assert srkd("advise", "--params", "50000", "--steps", "10000", "--from", "grid.csv")[0] == 0


def test_an_axis_without_numbers_has_no_effect(srkd: Srkd, tmp_path: Path) -> None:
    cells = simulated({"hkd": lambda x, y, z: 0.1}, steps=[100, 200])
    for one in cells:
        if one.axes["data.images"] == "399":
            one.axes["data.images"] = "null"  # type: ignore[index]  # of a data set that is not in the store
            del one.factors["data.images"]  # type: ignore[attr-defined]
    (tmp_path / "grid.csv").write_text(to_csv(cells), encoding="utf-8")
    text = " ".join(srkd(*QUESTION, "--from", "grid.csv")[1].split())
    assert "--images has no effect: map does not state the numbers of data.images" in text
    assert "As in most cells: 50 images" in text
