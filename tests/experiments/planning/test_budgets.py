"""Control columns at several budgets: `none@2x`, `none@equal-cost`."""

import json
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.config.suite import Suite
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import hr_sizes
from srkd_bench.evaluation.controls import EQUAL_COST, is_control
from srkd_bench.evaluation.scores import Score
from srkd_bench.experiments.analysis import collect
from srkd_bench.experiments.planning import planner
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite


def suite_with(folder: Path, methods: str, *settings: str, **changes: Any) -> Suite:
    return load_suite(str(tiny_suite(folder, **changes)), [f"methods=[{methods}]", *settings])


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return suite_with(tmp_path, f"none, hkd, {EQUAL_COST}, none@2x, none@3.4x", "seeds=[0,1]")


@pytest.fixture
def plan(suite: Suite, store: ArtifactStore, display: Display) -> Plan:
    return planner.plan(suite, store, display)


def test_equal_cost_has_as_many_steps_as_the_teachers_passes_would_have_paid_for(plan: Plan) -> None:
    none, hkd, longer = plan.students[:3]
    teacher, student = plan.teacher.model.multiply_adds, none.model.multiply_adds
    assert longer.method == "none"
    assert longer.teacher is None
    assert longer.train.steps * 3 * student == pytest.approx(10 * (teacher + 3 * student), rel=0.05)
    assert longer.train.steps > none.train.steps == hkd.train.steps == 10
    assert dict(longer) | {"train": none.train} == dict(none)


def test_a_factor_multiplies_the_steps_and_changes_nothing_else(plan: Plan) -> None:
    none, *_, double, more = plan.students[:5]
    assert (double.train.steps, more.train.steps) == (20, 34)
    assert dict(double) | {"train": none.train} == dict(none)
    assert double.train.model_copy(update={"steps": 10}) == none.train


def test_a_control_is_the_run_of_none_with_as_many_steps(
    plan: Plan, store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    longer = suite_with(tmp_path, "none", "train.steps=20", "teacher.train.steps=12")
    (none,) = planner.plan(longer, store, display).students
    assert plan.students[3].digest == none.digest


def test_the_interval_between_decays_is_scaled_as_steps_are(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    train = {"schedule": "step", "decay_every": 4}
    found = planner.plan(suite_with(tmp_path, "none@2.5x", train=train), store, display)
    assert (found.students[0].train.steps, found.students[0].train.decay_every) == (25, 10)


def test_restarts_are_scaled_as_steps_are(store: ArtifactStore, display: Display, tmp_path: Path) -> None:
    train = {"schedule": "cosine", "restarts": [3, 6]}
    found = planner.plan(suite_with(tmp_path, "none@2.5x", train=train), store, display)
    assert (found.students[0].train.steps, found.students[0].train.restarts) == (25, (8, 15))


def test_every_control_has_a_column_of_its_own(plan: Plan) -> None:
    assert plan.methods == ["none", "hkd", EQUAL_COST, "none@2x", "none@3.4x"]
    assert [plan.column(run) for run in plan.students] == plan.methods * 2


def test_controls_change_no_other_run(
    suite: Suite, plan: Plan, store: ArtifactStore, display: Display
) -> None:
    without = planner.plan(suite.model_copy(update={"methods": ["none", "hkd"]}), store, display)
    assert [run for run in plan.students if not is_control(plan.column(run))] == list(without.students)


@pytest.mark.parametrize(
    ("methods", "setting", "message", "hint"),
    [
        ("none, hkd@2x", "seeds=[0]", "no method named 'hkd@2x'", "only none"),
        ("none", "params.none@1x.learning_rate=1e-3", "'none@1x' is trained as long as none", "name it none"),
        (
            "none@2x",
            "params.none@2x.momentum=0.9",
            "no parameter of none@2x named 'momentum'",
            "known: learn",
        ),
        ("none", "params.none@2x.momentum=0.9", "no parameter of none@2x named 'momentum'", "known: learn"),
        ("none@2x", "params.none@2x.learning_rate=2", "params.none@2x.learning_rate: must be at most 1", ""),
        ("none@2x", "params.none@2x.learning_rate=fast", "learning_rate: must be a number, not 'fast'", ""),
        ("none@2x, none@2.01x", "seeds=[0]", "none@2.01x is trained for 20 steps, as none@2x is", "name one"),
        ("none@1.01x", "seeds=[0]", "none@1.01x is trained for 10 steps, as none is", "name one"),
        ("none@99999999x", "seeds=[0]", "none@99999999x: steps: must be at most 100,000,000", ""),
        ("none@2x, none@2x", "seeds=[0]", "none@2x is listed twice", ""),
    ],
)
def test_controls_that_cannot_be_trained_are_refused(
    store: ArtifactStore,
    display: Display,
    tmp_path: Path,
    methods: str,
    setting: str,
    message: str,
    hint: str,
) -> None:
    with pytest.raises(SrkdError) as caught:
        planner.plan(suite_with(tmp_path, methods, setting), store, display)
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)


def test_a_control_has_the_learning_rate_that_the_suite_gives_it_and_no_parameter(
    suite: Suite, plan: Plan, store: ArtifactStore, display: Display
) -> None:
    rates = {"none@2x": {"learning_rate": 5e-4}, "none@5x": {"learning_rate": 1e-2}}
    changed = planner.plan(suite.model_copy(update={"params": rates}), store, display)
    before, after = (dict(zip(one.methods, one.students, strict=False)) for one in (plan, changed))
    rate = before["none@2x"].train.model_copy(update={"learning_rate": 5e-4})
    assert dict(after.pop("none@2x")) == dict(before.pop("none@2x")) | {"train": rate}
    assert after == before


def test_a_setting_names_a_control_with_a_point_in_its_factor(tmp_path: Path) -> None:
    found = suite_with(tmp_path, "none@3.4x", "params.none@3.4x.learning_rate=2e-3", "params.none@2x={}")
    assert found.params == {"none@3.4x": {"learning_rate": 2e-3}, "none@2x": {}}


def test_results_hold_the_steps_of_each_column_and_the_cost_of_a_step(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    suite = suite_with(tmp_path, f"none, hkd, dml, byot, none@2x, {EQUAL_COST}")
    plan = planner.plan(suite, store, display)
    with_teacher = 1 + plan.teacher.model.multiply_adds / (3 * plan.students[0].model.multiply_adds)
    of_a_file: list[Score] = []
    for scores in (None, of_a_file):
        results = collect.results(plan, store, scores=scores)
        equal = round(10 * with_teacher)
        assert results.steps == {
            "none": 10, "hkd": 10, "dml": 10, "byot": 10, "none@2x": 20, EQUAL_COST: equal,
        }  # fmt: skip
        assert results.step_costs == {
            "none": 1.0, "hkd": with_teacher, "dml": 2.0, "byot": 1.5455, "none@2x": 1.0,
            EQUAL_COST: 1.0,
        }  # fmt: skip
        assert results.notes[-2:] == [
            "w/o KD, 2× steps: 20 steps at a learning rate of 0.001",
            f"w/o KD at equal cost: {equal} steps at a learning rate of 0.001;"
            " a student and its teacher's passes take as many multiply-adds",
        ]


def test_without_the_teachers_weights_nothing_is_said_that_depends_on_them(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    settings = ("teacher.weights=absent.pt", "params.none@2x.learning_rate=2e-3")
    suite = suite_with(tmp_path, f"none, hkd, none@2x, {EQUAL_COST}", *settings)
    plan = planner.plan(suite, store, display, readonly=True, scored=True)
    results = collect.results(plan, store, scores=[])
    assert results.steps == {"none": 10, "hkd": 10, "none@2x": 20}
    assert results.step_costs == {"none": 1.0, "none@2x": 1.0, EQUAL_COST: 1.0}
    assert results.notes[0] == "w/o KD, 2× steps: 20 steps at a learning rate of 0.002"


def test_controls_are_trained_measured_and_reported_beside_the_others(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path)
    chosen = ["-m", f"none,hkd,none@1.5x,{EQUAL_COST}"]
    code, text, messages = srkd("distill", "tiny.yaml", *chosen, "--json")
    assert code == 0, messages
    assert "Training 1 student, seed 0: none@1.5x" in messages
    results = json.loads(text)
    runs = {row["model"]: row["run"] for row in results["scores"]}
    assert list(runs) == ["bicubic", "teacher", "none", "hkd", "none@1.5x", EQUAL_COST]
    assert len(set(runs.values())) == 6
    means = {row["model"]: row["mean"] for row in results["scores"] if row["metric"] == "psnr_y"}
    assert len({means[name] for name in ("none", "none@1.5x", EQUAL_COST)}) == 3
    table = srkd("report", "tiny.yaml", *chosen, "-f", "markdown")[1]
    assert "| Bicubic | Teacher | w/o KD | HKD | w/o KD, 1.5× steps | w/o KD at equal cost |" in table
    again = srkd("distill", "tiny.yaml", *chosen)
    assert "5 of 5 networks are in the store, 0 to train" in again[2]


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
    paired = asked(
        "teacher.labels=images", "teacher.seeds=paired"
    )  # a teacher, and its labels, for each seed
    assert steps(paired, store, display) == {round(10_000 * (1 + 3 * share * ratio))}
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
