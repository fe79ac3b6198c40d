"""Plans of grids: tasks without duplicates, one cell as an ordinary suite, scripts, status."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from srkd_bench.config.artifacts import Run
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments import workflow
from srkd_bench.experiments.executors import serial
from srkd_bench.experiments.executors.base import find_script
from srkd_bench.experiments.executors.scripts import steps
from srkd_bench.experiments.planning import status, tasks
from srkd_bench.experiments.planning.grid import GridPlan, cell_of, networks_of, teachers_in
from srkd_bench.experiments.planning.label_cost import lr_pixels
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.support.tiny_suite import tiny_suite

GRID = {"train.steps": [3, 4], "data.images": [2, 3]}
Planned = Callable[..., GridPlan]


@pytest.fixture
def planned(tmp_path: Path, display: Display) -> Planned:
    """Give the plan of the tiny suite with a grid, whose store is `store`."""

    def plan(*settings: str, grid: object = GRID, **changes: Any) -> GridPlan:
        path = tiny_suite(tmp_path, **changes)
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(raw | {"grid": grid}, sort_keys=False), encoding="utf-8")
        found, _ = workflow.find_plans(str(path), settings, tmp_path / "store", display)
        assert isinstance(found, GridPlan)
        return found

    return plan


def test_cells_share_the_teacher_its_labels_and_equal_runs(planned: Planned, store: ArtifactStore) -> None:
    grid = {"train.steps": [3, 4], "evaluate.self_ensemble": [False, True]}
    plan = planned(grid=grid, teacher={"labels": "images"}, seeds=[0, 1])
    assert len(teachers_in(plan)) == 1
    assert len(networks_of(plan)) == 1 + 2 * 2 * 2
    found = tasks.tasks(plan, store)
    assert len({task.name for task in found}) == len(found)
    kinds = [task.kind for task in found]
    assert (kinds.count("teacher"), kinds.count("labels"), kinds.count("group")) == (1, 1, 4)
    assert [task.name for task in found[:2]] == ["teacher", "teacher labels"]
    trained = [run.digest for task in found for run in task.runs]
    assert len(trained) == len(set(trained)) == 9
    measured = [
        (network and network.digest, cell_of(plan, task.cell).suite.evaluate.self_ensemble)
        for task in found
        if task.kind == "scores"
        for network in task.networks
    ]
    assert len(measured) == len(set(measured)) == 2 * (9 + 1)
    place = {task.name: number for number, task in enumerate(found)}
    assert all(place[need] < place[task.name] for task in found for need in task.needs)
    split = tasks.tasks(plan, store, 3)
    assert len({task.name for task in split}) == len(split)
    assert sorted(run.digest for task in split for run in task.runs) == sorted(trained)


def test_trainings_of_all_cells_share_the_cost_of_labels(planned: Planned, store: ArtifactStore) -> None:
    grid = {"train.steps": [3, 4], "data.images": [2, 3], "evaluate.self_ensemble": [False, True]}
    plan = planned(grid=grid, teacher={"labels": "images"}, seeds=[0, 1], methods=["none", "hkd", "rvkd"])
    pixels = lr_pixels(store, "photos-test", 2, 3)
    assert pixels is not None
    for one in plan.plans:
        steps = one.suite.train.steps
        assert one.shares.labels == pytest.approx(pixels / (4 * 8**2) / steps / 8, rel=1e-4)  # 8 of HKD
        assert one.shares.equal == 1  # RVKD needs a pass on every batch


def test_teachers_of_single_cells_are_named_by_the_cell(planned: Planned, store: ArtifactStore) -> None:
    plan = planned(grid={"teacher.train.steps": [3, 4]}, teacher={"labels": "images"})
    names = [task.name for task in tasks.tasks(plan, store) if task.kind in ("teacher", "labels")]
    assert names == [
        "teacher (teacher.train.steps=3)", "teacher labels (teacher.train.steps=3)",
        "teacher (teacher.train.steps=4)", "teacher labels (teacher.train.steps=4)",
    ]  # fmt: skip


def test_stacked_seeds_of_one_cell_are_trained_together(planned: Planned, store: ArtifactStore) -> None:
    plan = planned("train.stacked=true", grid={"data.images": [2, 3]}, seeds=[0, 1])
    found = [task for task in tasks.tasks(plan, store) if task.kind == "group"]
    assert [
        (task.cell, [run.seed for run in task.runs], {run.images for run in task.runs}) for task in found
    ] == [
        ("data.images=2", [0, 0, 1, 1], {2}),
        ("data.images=3", [0, 0, 1, 1], {None}),  # all images of the set
    ]


def test_one_cell_has_the_runs_of_an_ordinary_suite(
    planned: Planned, tmp_path: Path, display: Display
) -> None:
    plan = planned()
    for cell, one in zip(plan.cells, plan.plans, strict=True):
        alone, _ = workflow.find_plan(
            str(tmp_path / "tiny.yaml"), [f"cell={cell.name}"], tmp_path / "store", display
        )
        assert (alone.students, alone.teachers, alone.suite) == (one.students, one.teachers, one.suite)
    steps, images = plan.cells[0].suite.train.steps, plan.cells[0].suite.data.images
    path = tiny_suite(tmp_path, train={"steps": steps}, data={"images": images})
    ordinary, _ = workflow.find_plan(str(path), [], tmp_path / "store", display)
    assert ordinary.students == plan.plans[0].students


def test_a_grid_is_trained_and_a_failing_cell_does_not_stop_the_others(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    overrides = [{"when": {"train.steps": 4, "data.images": 2}, "set": {"train.learning_rate": 1.0}}]
    plan = planned(overrides=overrides, train={"loss": "mse"}, methods=["none"])
    bad = next(one for one in plan.plans if one.suite.train.learning_rate == 1.0)
    failures = serial.do_all(plan, Workplace(store, display))
    finished = {one.cell for one in plan.plans if all(map(store.has, one.students))}
    expected = {one.cell for one in plan.plans} - ({bad.cell} if failures else set())
    assert finished == expected
    assert len(expected) >= 3
    if not failures:
        assert status.finished(plan, store)
        assert tasks.tasks(plan, store) == []


def test_a_cell_that_cannot_be_planned_is_named(planned: Planned) -> None:
    with pytest.raises(
        SrkdError, match=r"cell train.steps=3 data.images=9: data.images is 9, but photos-test has 3"
    ):
        planned(grid={"train.steps": [3, 4], "data.images": [9]})


@pytest.mark.parametrize("format", ["shell", "slurm"])
def test_scripts_name_the_cell_of_each_command(planned: Planned, store: ArtifactStore, format: str) -> None:
    plan = planned()
    found = steps(plan, tasks.tasks(plan, store), ["tiny.yaml"])
    assert [step.kind for step in found] == ["teacher", *4 * ["group"], "scores"]
    for step, cell in zip(found[1:-1], plan.cells, strict=True):
        assert step.command[:2] == ["srkd", "distill"]
        assert step.command[step.command.index("--cell") + 1] == cell.name
        own = cell_of(plan, cell.name)
        assert step.runs == [run.digest for run in own.students]
    assert found[-1].command == ["srkd", "evaluate", "tiny.yaml"]
    script = find_script(format)(found, plan, None)
    assert all(f"--cell '{cell.name}'" in script for cell in plan.cells)


def test_the_number_of_cells_and_networks_is_announced(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    status.announce(planned(), store, display)
    said = display.console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "Suite tiny (4 cells): 0 of 9 networks are in the store, 9 to train" in said
    assert isinstance(planned().plans[0].teacher, Run)
