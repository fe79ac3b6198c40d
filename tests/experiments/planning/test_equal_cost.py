"""`none@equal-cost`: the control, trained for as long as a distillation's multiply-adds pay for."""

import json
from pathlib import Path

import pytest

from srkd_bench.config.suite import Suite
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import hr_sizes
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


def test_it_is_the_control_with_as_many_steps_as_the_teachers_passes_would_have_paid_for(plan: Plan) -> None:
    none, hkd, longer = plan.students[:3]
    teacher, student = plan.teacher.model.multiply_adds, none.model.multiply_adds
    assert longer.method == "none"
    assert longer.teacher is None
    assert longer.train.steps * 3 * student == pytest.approx(10 * (teacher + 3 * student), rel=0.05)
    assert longer.train.steps > none.train.steps == hkd.train.steps == 10
    assert dict(longer) | {"train": none.train} == dict(none)


def test_it_has_a_column_of_its_own(plan: Plan) -> None:
    assert plan.methods == ["none", "hkd", EQUAL_COST]
    assert [plan.column(run) for run in plan.students] == plan.methods * 2


def test_it_changes_no_other_run(suite: Suite, plan: Plan, store: ArtifactStore, display: Display) -> None:
    without = planner.plan(suite.model_copy(update={"methods": ["none", "hkd"]}), store, display)
    assert [run for run in plan.students if plan.column(run) != EQUAL_COST] == list(without.students)


def test_it_is_trained_measured_and_reported_beside_the_others(srkd: Srkd, tmp_path: Path) -> None:
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


def steps(suite: Suite, store: ArtifactStore, display: Display, chosen: tuple[str, ...] = ()) -> set[int]:
    """Return the steps of the control at equal cost."""
    plan = planner.plan(suite, store, display, chosen)
    return {run.train.steps for run in plan.students if plan.column(run) == EQUAL_COST}


def test_with_labels_it_pays_for_its_share_of_them(
    tmp_path: Path, store: ArtifactStore, display: Display
) -> None:
    path = str(tiny_suite(tmp_path))
    settings = [f"methods=[none, hkd, ckd, dml, {EQUAL_COST}]", "seeds=[0,1,2]", "train.steps=10000"]

    def asked(*more: str) -> Suite:
        return load_suite(path, [*settings, *more])

    sizes = hr_sizes(store, "photos-test")
    assert sizes is not None
    pixels = sum((height // 2) * (width // 2) for height, width in sizes.values())
    suite = asked("teacher.labels=images")
    assert suite.teacher.model is not None
    ratio = suite.teacher.model.multiply_adds / (3 * suite.student.multiply_adds)
    share = pixels / (4 * 8 * 8) / 10_000 / (2 * 3)  # two methods use labels, with three seeds
    assert steps(suite, store, display) == {round(10_000 * (1 + share * ratio))}
    assert steps(suite, store, display, ("none", EQUAL_COST)) == steps(suite, store, display)
    assert steps(asked("teacher.labels=ensemble"), store, display) == {
        round(10_000 * (1 + 8 * share * ratio))
    }
    live = {round(10_000 * (1 + ratio))}
    assert steps(asked(), store, display) == live
    features = f"methods=[none, hkd, fitnet, {EQUAL_COST}]"
    assert steps(asked("teacher.labels=images", features), store, display) == live


def test_a_script_trains_the_same_control_although_each_command_trains_one_seed(
    srkd: Srkd, tmp_path: Path
) -> None:
    tiny_suite(tmp_path, teacher={"labels": "images"}, methods=["none", "hkd", EQUAL_COST], seeds=[0, 1])
    code, text, messages = srkd("plan", "tiny.yaml", "-f", "json")
    assert code == 0, messages
    made = json.loads(text)["tasks"]
    assert [(task["name"], task["kind"]) for task in made][:2] == [
        ("teacher", "teacher"),
        ("seed 0: none, hkd", "group"),
    ]
    assert [task["needs"] for task in made if task["kind"] == "group"] == [["teacher"], [], ["teacher"], []]
    controls = [task for task in made if EQUAL_COST in task["command"]]
    for task in (made[0], *controls):
        code, _, messages = srkd(*task["command"][1:])
        assert code == 0, messages
        assert ("Computing teacher labels" in messages) == (task["kind"] == "teacher")
    runs = {path.name for path in (tmp_path / "home" / "runs").iterdir()}
    assert runs == {run[:20] for task in (made[0], *controls) for run in task["runs"]}
    code, _, messages = srkd("distill", "tiny.yaml", "-m", "hkd", "--only-seed", "7")
    assert (code, "hint: its seeds are 0, 1" in messages) == (1, True)
