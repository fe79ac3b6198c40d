"""`none@equal-cost`: the control without distillation, trained longer at the compute of distillation."""

import json
from pathlib import Path

import pytest

from srkd_bench.config.suite import Suite
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.evaluation.scores import EQUAL_COST
from srkd_bench.experiments.planning import planner
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return load_suite(str(tiny_suite(tmp_path)), [f"methods=[none, hkd, {EQUAL_COST}]", "seeds=[0,1]"])


@pytest.fixture
def plan(suite: Suite, store: ArtifactStore, display: Display) -> Plan:
    return planner.plan(suite, store, display)


def test_the_equal_cost_control_gets_the_teachers_compute_as_steps(plan: Plan) -> None:
    none, hkd, longer = plan.students[:3]
    teacher, student = plan.teacher.model.multiply_adds, none.model.multiply_adds
    assert longer.method == "none"
    assert longer.teacher is None
    assert longer.train.steps * 3 * student == pytest.approx(10 * (teacher + 3 * student), rel=0.05)
    assert longer.train.steps > none.train.steps == hkd.train.steps == 10
    assert dict(longer) | {"train": none.train} == dict(none)


def test_the_equal_cost_control_has_its_own_column(plan: Plan) -> None:
    assert plan.methods == ["none", "hkd", EQUAL_COST]
    assert [plan.column(run) for run in plan.students] == plan.methods * 2


def test_the_equal_cost_control_changes_no_other_run(
    suite: Suite, plan: Plan, store: ArtifactStore, display: Display
) -> None:
    without = planner.plan(suite.model_copy(update={"methods": ["none", "hkd"]}), store, display)
    assert [run for run in plan.students if plan.column(run) != EQUAL_COST] == list(without.students)


def test_the_equal_cost_control_is_trained_measured_and_reported(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path)
    chosen = ["-m", "none", "-m", "hkd", "-m", EQUAL_COST]
    code, text, messages = srkd("distill", "tiny.yaml", *chosen, "--json")
    assert code == 0, messages
    results = json.loads(text)
    runs = {row["model"]: row["run"] for row in results["scores"]}
    assert list(runs) == ["bicubic", "teacher", "none", "hkd", EQUAL_COST]
    assert len(set(runs.values())) == 5
    assert "w/o KD at equal cost: " in " ".join(results["notes"])
    means = {row["model"]: row["mean"] for row in results["scores"] if row["metric"] == "psnr_y"}
    assert means[EQUAL_COST] != means["none"]
    table = srkd("report", "tiny.yaml", *chosen, "-f", "markdown")[1]
    assert "| Bicubic | Teacher | w/o KD | HKD | w/o KD at equal cost |" in table
    again = srkd("distill", "tiny.yaml", *chosen)
    assert "4 of 4 networks are in the store, 0 to train" in again[2]
