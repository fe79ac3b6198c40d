from pathlib import Path
from typing import Any

import pytest
import yaml

from srkd_bench.core.progress import Display
from srkd_bench.experiments import workflow
from srkd_bench.experiments.analysis.cells import cell_results
from srkd_bench.experiments.analysis.forecast import forecast
from srkd_bench.experiments.planning.grid import GridPlan
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.support.tiny_suite import tiny_suite

STUDENTS = [{"n_feats": 4, "n_resblocks": 4}, {"n_feats": 8, "n_resblocks": 4}]


def planned(folder: Path, display: Display, grid: object, **changes: Any) -> tuple[GridPlan, ArtifactStore]:
    path = tiny_suite(folder, **changes)
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(raw | {"grid": grid}, sort_keys=False), encoding="utf-8")
    plan, store = workflow.find_plans(str(path), [], folder / "store", display)
    assert isinstance(plan, GridPlan)
    return plan, store


def test_cells_have_their_labels_numbers_and_costs(tmp_path: Path, display: Display) -> None:
    grid = {"student": STUDENTS, "data.images": [2, None], "train.steps": [5], "train.loss": ["mse"]}
    plan, store = planned(tmp_path, display, grid, methods=["none", "hkd"])
    first, second, third, _ = cell_results(plan, store)
    assert first.name == "student=4x4 data.images=2 train.steps=5 train.loss=mse"
    assert first.axes == {"student": "4x4", "data.images": "2", "train.steps": "5", "train.loss": "mse"}
    parameters = plan.plans[0].suite.student.parameters
    assert first.factors == {"student": parameters, "data.images": 2, "train.steps": 5}
    assert third.factors["student"] > first.factors["student"]
    assert second.factors["data.images"] == 3  # all
    student, teacher = plan.plans[0].suite.student.multiply_adds, plan.plans[0].teacher.model.multiply_adds
    assert first.costs == {
        "none": 3 * student * 4 * 8**2 * 5,
        "hkd": pytest.approx((3 * student + teacher) * 4 * 8**2 * 5),
    }
    assert first.results.scores == []
    assert "hkd: not trained yet (seed 0)" in first.results.notes


def test_the_forecast_of_a_grid_counts_what_cells_share_once(
    tmp_path: Path, display: Display, six_minutes_a_step: None
) -> None:
    plan, store = planned(tmp_path, display, {"train.steps": [5, 10], "data.images": [2, 3]}, seeds=[0, 1])
    found = forecast(plan, Workplace(store, display))
    kinds = [job.kind for job in found.jobs]
    assert (kinds.count("data"), kinds.count("teacher"), kinds.count("group"), kinds.count("scores")) == (
        1,
        1,
        8,
        1,
    )
    assert found.seconds == 360 * (12 + 2 * 2 * (5 + 10))
    rows = {job.what: job for job in found.by_cell}
    assert rows["students of train.steps=10 data.images=2"].seconds == 360 * 2 * 10
    assert rows["students of train.steps=10 data.images=2"].state == "4 to do"
    assert rows["scores of 18 networks on photos-test"].state == "to do"
