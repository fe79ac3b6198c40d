"""Grids: their cells, labels and overrides; settings that select cells; invalid grids."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from srkd_bench.config.grid import MOST, Cell
from srkd_bench.config.suite_file import load_grid, load_suite
from srkd_bench.core.errors import SrkdError
from tests.support.tiny_suite import tiny_suite

STUDENTS = [{"n_feats": 4, "n_resblocks": 2}, {"n_feats": 8, "n_resblocks": 4}]
Cells = Callable[..., tuple[Cell, ...]]


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    """Give the cells of the tiny suite with a grid."""

    def read(grid: object, *settings: str, **changes: Any) -> tuple[Cell, ...]:
        path = tiny_suite(tmp_path, **changes)
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(raw | {"grid": grid}, sort_keys=False), encoding="utf-8")
        return load_grid(str(path), settings).cells

    return read


def names(found: tuple[Cell, ...]) -> list[str]:
    return [cell.name for cell in found]


def test_a_grid_is_the_product_of_its_axes(cells: Cells, tmp_path: Path) -> None:
    found = cells({"train.steps": [5, 7], "student": STUDENTS, "data.images": [1, 3]})
    assert len({cell.suite.digest for cell in found}) == len(found) == 8
    assert names(found)[:3] == [
        "train.steps=5 student=4x2 data.images=1",
        "train.steps=5 student=4x2 data.images=3",
        "train.steps=5 student=8x4 data.images=1",
    ]
    assert found[2].axes == {"train.steps": "5", "student": "8x4", "data.images": "1"}
    teacher = "teacher.train={steps: 12, batch: 4, patch: 8, learning_rate: 1e-3}"
    settings = ["train.steps=5", "student={n_feats: 8, n_resblocks: 4}", "data.images=1", teacher]
    assert load_suite(str(tiny_suite(tmp_path)), settings) == found[2].suite


def test_keys_that_are_joined_vary_together(cells: Cells) -> None:
    found = cells({"train.steps, train.learning_rate": [[5, 2e-3], [7, 1e-3]], "data.images": [1, 2]})
    assert [(one.suite.train.steps, one.suite.train.learning_rate) for one in found] == [
        (5, 2e-3), (5, 2e-3), (7, 1e-3), (7, 1e-3),
    ]  # fmt: skip
    assert found[0].name == "train.steps=5 train.learning_rate=0.002 data.images=1"


def test_a_list_of_products_is_their_union(cells: Cells) -> None:
    found = cells([{"train.steps": [5, 7]}, {"train.steps": [5], "data.images": [1]}])
    assert names(found) == [
        "train.steps=5 data.images=null", "train.steps=7 data.images=null", "train.steps=5 data.images=1",
    ]  # fmt: skip


def test_a_value_has_one_label_whether_it_is_stated_or_the_default(cells: Cells) -> None:
    grid = [{"train.decay_factor": [0.5, 0.25]}, {"data.images": [1]}]
    assert names(cells(grid)) == [
        "train.decay_factor=0.5 data.images=null",
        "train.decay_factor=0.25 data.images=null",
        "train.decay_factor=0.5 data.images=1",
    ]
    assert len(cells(grid, "train.decay_factor=0.5")) == 2
    with pytest.raises(SrkdError) as caught:
        cells(grid, "train.decay_factor=0.75")
    assert caught.value.hint == "cells have 0.5, 0.25"


def test_labels_are_short_and_differ(cells: Cells) -> None:
    teachers = [
        {"weights": "../weights/my edsr.pt"},
        {"model": {"n_feats": 6, "n_resblocks": 4}, "train": {"steps": 3}},
        {"model": {"n_feats": 6, "n_resblocks": 4}, "train": {"steps": 4}},
    ]
    found = cells({"teacher": teachers})
    assert names(found) == [
        "teacher=my_edsr",
        "teacher={model:{n_feats:6,n_resblocks:4},train:{steps:3}}",
        "teacher={model:{n_feats:6,n_resblocks:4},train:{steps:4}}",
    ]
    assert names(cells({"train.betas": [[0.9, 0.99], [0.9, 0.999]]})) == [
        "train.betas=[0.9,0.99]", "train.betas=[0.9,0.999]",
    ]  # fmt: skip
    rcan = {"arch": "rcan", "n_feats": 4, "n_resblocks": 1, "n_resgroups": 2, "reduction": 2}
    assert names(cells({"student": [rcan, STUDENTS[0]]})) == ["student=RCAN-2x1x4", "student=4x2"]
    assert names(cells({"methods": [["none", "hkd"], ["none"]]})) == ["methods=[none,hkd]", "methods=[none]"]


def test_overrides_change_the_cells_that_meet_their_conditions(cells: Cells) -> None:
    overrides = [
        {"when": {"train.steps": [5, 7], "student.n_feats": 4}, "set": {"seeds": [0, 1]}},
        {"when": {"train.steps": 7}, "set": {"train.learning_rate": 2e-3, "seeds": [3]}},
    ]
    grid = {"train.steps": [5, 7], "student": STUDENTS}
    found = [one.suite for one in cells(grid, overrides=overrides)]
    assert [one.seeds for one in found] == [[0, 1], [0], [3], [3]]
    assert [one.train.learning_rate for one in found] == [1e-3, 1e-3, 2e-3, 2e-3]
    replaced = cells(grid, "seeds=[9]", overrides=overrides)
    assert [one.suite.seeds for one in replaced] == 4 * [[9]]


def test_a_grid_over_training_settings_leaves_the_teacher_as_it_is(cells: Cells) -> None:
    overrides = [{"when": {"train.steps": 5}, "set": {"train.learning_rate": 2e-3}}]
    found = cells({"train.steps": [5, 7], "train.patch": [6, 8]}, overrides=overrides)
    assert len({one.suite.teacher.digest for one in found}) == 1
    changed = cells({"train.steps": [5, 7]}, "train.batch=2")
    assert [one.suite.teacher.train.batch for one in changed if one.suite.teacher.train] == [2, 2]
    own = cells({"teacher.train.steps": [3, 4]})
    assert [one.suite.teacher.train.steps for one in own if one.suite.teacher.train] == [3, 4]


@pytest.mark.parametrize(
    ("setting", "count"),
    [
        ("train.steps=5", 4),
        ("student={n_feats: 4, n_resblocks: 2}", 4),
        ("student.n_feats=4", 4),
        ("cell=train.steps=5 data.images=3", 2),
        ("cell=train.steps=5 student=4x2 data.images=3", 1),
    ],
)
def test_settings_of_varied_keys_select_cells(cells: Cells, setting: str, count: int) -> None:
    grid = {"train.steps": [5, 7], "student": STUDENTS, "data.images": [1, 3]}
    every = cells(grid)
    found = cells(grid, setting)
    assert len(found) == count
    assert set(names(found)) <= set(names(every))


def test_one_selected_cell_is_a_suite_and_several_are_not(cells: Cells, tmp_path: Path) -> None:
    found = cells({"train.steps": [5, 7]})
    path = str(tmp_path / "tiny.yaml")
    assert load_suite(path, ["train.steps=7"]) == found[1].suite
    with pytest.raises(SrkdError, match=r"suite tiny is a grid, and 2 of its cells are selected") as caught:
        load_suite(path)
    assert caught.value.hint == "select one: --cell 'train.steps=5'"


def test_a_suite_without_a_grid_has_one_cell(tmp_path: Path) -> None:
    (cell,) = load_grid("demo").cells
    assert (cell.name, cell.axes, cell.suite) == ("", {}, load_suite("demo"))
    with pytest.raises(SrkdError, match="suite demo has no grid"):
        load_grid("demo", ["cell=train.steps=5"])


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        ({"train.step": [1, 2]}, "no key in .*, train, named 'step'"),
        ({"train.steps": []}, "train.steps must be a list of values"),
        ({"train.steps": 5}, "train.steps must be a list of values"),
        ({"train.steps": [0, 5]}, "train.steps: must be at least 1, not 0"),
        ({}, "grid must map keys to lists of values"),
        (7, "grid must map keys to lists of values"),
        ([], "the grid has no values"),
        ({"train.steps": [5, 5]}, "the grid has the same cell twice: train.steps=5"),
        ([{"train.steps": [5]}, {"train.steps": [5], "data.images": [None]}], "the same cell twice"),
        ({"train.steps, seeds": [[5]]}, "each value of train.steps, seeds must be a list of 2"),
        ({"train.steps": [5], "train.steps, seeds": [[6, [1]]]}, "train.steps is given twice"),
        ({"name": ["a", "b"]}, "a grid cannot vary 'name'"),
        ({"train..steps": [5]}, "a grid cannot vary"),
        ({"methods.hkd": [5]}, "'methods' has no keys"),
        (
            {"train.steps": list(range(1, 1001)), "data.images": list(range(1, 1001))},
            rf"the grid has 1,000,000 cells, more than {MOST:,}",
        ),
    ],
)
def test_an_invalid_grid_is_one_error(cells: Cells, grid: object, problem: str) -> None:
    with pytest.raises(SrkdError, match=problem):
        cells(grid)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ([{"when": {"train.steps": 6}, "set": {"seeds": [1]}}], "override 1 applies to no cell"),
        ([{"when": {"train.steps": 5}}], "overrides must be a list of"),
        ([{"when": {5: 5}, "set": {"seeds": [1]}}], "overrides must be a list of"),
        ([{"when": {"train.steps": 5}, "set": {5: 5}}], "overrides must be a list of"),
        ([{"when": {"train.steps": 5}, "set": {"name": "other"}}], "an override cannot set 'name'"),
        (5, "overrides must be a list of"),
        ([{"when": {"train.steps": 5}, "set": {"train.rate": 1}}], "no key in .*, train, named 'rate'"),
    ],
)  # fmt: skip
def test_an_invalid_override_is_one_error(cells: Cells, overrides: object, problem: str) -> None:
    with pytest.raises(SrkdError, match=problem):
        cells({"train.steps": [5, 7]}, overrides=overrides)


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        ({"train.steps": 6}, "cells have train.steps: 5, 7"),
        (
            {"train.steps": 5, "train.decay_factor": 0.5},
            "neither the file nor the grid states train.decay_factor",
        ),
        ({"train.steps": 5, "data.images": 3}, "no cell meets all of these conditions together"),
    ],
)
def test_an_override_of_no_cell_names_the_condition(cells: Cells, when: dict[str, Any], hint: str) -> None:
    grid = [{"train.steps": [5], "data.images": [1]}, {"train.steps": [7], "data.images": [3]}]
    with pytest.raises(SrkdError, match="override 1 applies to no cell") as caught:
        cells(grid, overrides=[{"when": when, "set": {"seeds": [1]}}])
    assert hint in caught.value.hint


def test_an_empty_cell_does_not_select_all(cells: Cells) -> None:
    for setting in ("cell=", "cell= "):
        with pytest.raises(SrkdError, match="--cell names no cell"):
            cells({"train.steps": [5, 7]}, setting)


def test_a_setting_that_selects_no_cell_is_an_error(cells: Cells) -> None:
    with pytest.raises(SrkdError, match=r"no cell has train.steps=6") as caught:
        cells({"train.steps": [5, 7]}, "train.steps=6")
    assert caught.value.hint == "cells have 5, 7"
    with pytest.raises(SrkdError, match="no cell has cell=nonsense") as caught:
        cells({"train.steps": [5, 7]}, "cell=nonsense")
    assert caught.value.hint == "for example --cell 'train.steps=5'"


def test_overrides_without_a_grid_are_an_error(cells: Cells) -> None:
    with pytest.raises(SrkdError, match="overrides need a grid"):
        cells(None, overrides=[{"when": {"train.steps": 5}, "set": {"seeds": [1]}}])
