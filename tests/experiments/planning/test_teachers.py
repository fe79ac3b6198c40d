"""`teacher.seeds`: one teacher for each student seed, or several crossed with all student seeds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from srkd_bench.config.artifacts import Run
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.analysis import collect
from srkd_bench.experiments.executors import serial, torchrun
from srkd_bench.experiments.planning import planner, requirements, tasks, tuning
from srkd_bench.experiments.planning.parts import of_seeds, of_teachers
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.report.formats.score_file import from_csv, to_csv
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

Planned = Callable[..., Plan]
CROSSED = ["teacher.seeds=[0, 5]", "seeds=[0, 1]"]
PAIRED = ["teacher.seeds=paired", "seeds=[0, 1]"]


@pytest.fixture
def planned(store: ArtifactStore, display: Display, tmp_path: Path) -> Planned:
    """Give the plan of the tiny suite with some keys changed."""
    store.begin()
    data = {"validation": "photos-valid"}
    suite = tiny_suite(tmp_path, data=data, methods=["none", "dml", "hkd", "rkd"])

    def plan(*settings: str) -> Plan:
        return planner.plan(load_suite(str(suite), settings), store, display)

    return plan


def needs(plan: Plan, store: ArtifactStore, slots: int = 1) -> dict[str, tuple[str, ...]]:
    return {task.name: task.needs for task in tasks.tasks(plan, store, slots) if task.kind != "scores"}


def test_paired_teachers_have_the_seeds_of_their_students(planned: Planned, store: ArtifactStore) -> None:
    plan, single = planned(*PAIRED), planned("seeds=[0, 1]")
    assert list(map(plan.title, plan.networks)) == [
        "teacher seed 0",
        "teacher seed 1",
        *(f"{name} seed {seed}" for seed in (0, 1) for name in ("none", "dml", "hkd", "rkd")),
    ]
    assert [run.teacher.seed for run in plan.students if isinstance(run.teacher, Run)] == [0, 0, 1, 1]
    assert needs(plan, store) == {
        "teacher seed 0": (),
        "teacher seed 1": (),
        "seed 0: none, dml, hkd, rkd": ("teacher seed 0",),
        "seed 1: none, dml, hkd, rkd": ("teacher seed 1",),
    }
    assert plan.networks[0] == single.teacher  # the teacher that srkd always trained
    shared = {run.digest for run in plan.students} & {run.digest for run in single.students}
    assert {single.title(run) for run in single.students if run.digest in shared} == {
        "none seed 0",
        "dml seed 0",
        "hkd seed 0",
        "rkd seed 0",
        "none seed 1",
        "dml seed 1",
    }


def test_crossed_teachers_train_a_method_that_needs_one_once_for_each_pair(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    plan = planned(*CROSSED)
    assert list(map(plan.title, plan.students[:6])) == [
        "none seed 0",
        "dml seed 0",
        "hkd seed 0, teacher 0",
        "rkd seed 0, teacher 0",
        "hkd seed 0, teacher 5",
        "rkd seed 0, teacher 5",
    ]
    assert len(plan.students) == 12
    assert len({run.digest for run in plan.students}) == 12
    assert plan.methods == ["none", "dml", "hkd", "rkd"]
    assert needs(plan, store) == {
        "teacher seed 0": (),
        "teacher seed 5": (),
        "seed 0, teacher 0: none, dml, hkd, rkd": ("teacher seed 0",),
        "seed 0, teacher 5: hkd, rkd": ("teacher seed 5",),
        "seed 1, teacher 0: none, dml, hkd, rkd": ("teacher seed 0",),
        "seed 1, teacher 5: hkd, rkd": ("teacher seed 5",),
    }
    split = needs(plan, store, slots=100)
    assert (split["seed 0: none"], split["seed 0, teacher 5: hkd"]) == ((), ("teacher seed 5",))
    needed = {key.digest for key in requirements.needed(store, plan.suite, display)}
    assert {key.digest for key in plan.networks} <= needed


def test_one_listed_teacher_is_a_single_teacher_with_that_seed(planned: Planned) -> None:
    plan, usual = planned("teacher.seeds=[3]"), planned()
    assert list(map(plan.title, plan.networks)) == list(map(usual.title, usual.networks))
    assert isinstance(plan.teacher, Run)
    assert plan.teacher.seed == 3
    assert planned("teacher.seeds=[0]").networks == usual.networks


def test_weights_are_tuned_with_the_teacher_of_seed_0(planned: Planned, store: ArtifactStore) -> None:
    usual = planned()
    for settings in (["teacher.seeds=[3, 4]"], ["teacher.seeds=paired", "seeds=[7, 8]"]):
        plan = planned(*settings)
        assert planner.trial_runs(plan, "hkd", 2) == planner.trial_runs(usual, "hkd", 2)
        search = tuning.search(plan, ["hkd"], 2, store)
        assert search.networks[0] == usual.teacher
        assert next(iter(needs(search, store))) == "teacher"


def test_torchrun_trains_one_teacher_at_a_time(
    planned: Planned, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SrkdError, match="torchrun trains one teacher at a time; 2 are missing") as error:
        torchrun.check_ranks(planned(*CROSSED), store)
    assert error.value.hint.startswith("--set teacher.seeds=[0]")
    torchrun.check_ranks(planned("teacher.seeds=[5]"), store)


def trained(store: ArtifactStore) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in store.home.glob("[rs]*/*/*")}


def test_paired_teachers_are_trained_measured_and_reported_once(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    plan, place = planned(*PAIRED, "methods=[none, hkd]"), Workplace(store, display)
    assert serial.do_all(plan, place) == []
    made = trained(store)
    assert len(list((store.home / "runs").iterdir())) == 6
    assert serial.do_all(plan, place) == []
    assert trained(store) == made
    results = collect.results(plan, store, trainings=True)
    assert results.teachers == [0, 1]
    assert "2 teachers, one for each seed; their column is the mean over them" in results.notes
    pairs = results.pairs("psnr_y", "hkd", "none", "photos-test")
    assert (pairs.unit, pairs.units, pairs.covers_teachers, pairs.left_out) == ("seed", [0, 1], True, [])
    assert list(results.seed_means("psnr_y", "teacher", "photos-test")) == [0, 1]
    assert [one.title for one in results.trainings] == [
        "teacher seed 0",
        "teacher seed 1",
        "none seed 0",
        "hkd seed 0, teacher 0",
        "none seed 1",
        "hkd seed 1, teacher 1",
    ]


def test_crossed_teachers_are_trained_measured_and_reported_once(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    plan, place = planned(*CROSSED, "methods=[none, hkd]"), Workplace(store, display)
    assert serial.do_all(plan, place) == []
    made = trained(store)
    assert len(list((store.home / "runs").iterdir())) == 2 + 2 + 4
    assert serial.do_all(plan, place) == []
    assert trained(store) == made
    results = collect.results(plan, store)
    scores = from_csv(to_csv(results), "scores.csv")
    assert scores == results.scores
    values = {(one.model, one.teacher_seed, one.seed): one.value for one in scores if one.metric == "psnr_y"}
    assert len(set(values.values())) == 1 + 2 + 2 + 4  # every network has a number of its own
    for found in (results, collect.results(plan, store, scores=scores)):
        pairs = found.pairs("psnr_y", "hkd", "none", "photos-test")
        assert (pairs.unit, pairs.units, pairs.covers_teachers, pairs.left_out) == (
            "teacher",
            [0, 5],
            True,
            [],
        )
    notes = collect.results(
        planned("teacher.seeds=[0, 9]", "seeds=[0, 1]", "methods=[none, hkd]"), store
    ).notes
    assert {"teacher: not trained yet (seed 9)", "hkd, teacher 9: not trained yet (seeds 0, 1)"} <= {*notes}


def test_the_commands_count_name_and_train_several_teachers(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path, teacher={"seeds": [0, 5]}, seeds=[0, 1])
    jobs = json.loads(srkd("run", "tiny.yaml", "--dry-run", "--json")[1])["jobs"]
    assert [job["what"] for job in jobs if job["kind"] == "teacher"] == ["teacher seed 0", "teacher seed 5"]
    assert [job["what"] for job in jobs if job["kind"] == "scores"] == ["scores of 9 networks on photos-test"]
    code, _, messages = srkd("train-teacher", "tiny.yaml")
    assert code == 0
    assert "Training teacher EDSR 6×4, seed 5 (2 of 2 teachers)" in messages
    code, text, messages = srkd("run", "tiny.yaml")
    assert code == 0, messages
    assert "Training 2 students, seed 0, teacher 0 (1 of 2 seeds): none, hkd" in messages
    assert "Training 1 student, seed 1, teacher 5 (2 of 2 seeds): hkd" in messages
    assert "2 teachers (seeds 0, 5), each with every student seed" in text
    assert "seeds)" not in text.partition("2 teachers")[0]
    code, _, messages = srkd("run", "tiny.yaml")
    assert "Training" not in messages
    runs = json.loads(srkd("ls", "runs", "--json")[1])["runs"]
    students = [(row["method"], row["seed"], row["teacher seed"]) for row in runs if row["role"] == "student"]
    assert sorted(students)[:4] == [("hkd", 0, 0), ("hkd", 0, 5), ("hkd", 1, 0), ("hkd", 1, 5)]
    ids = [row["run"] for row in runs if row["method"] == "hkd" and row["seed"] == 0]
    code, _, messages = srkd("crops", "tiny.yaml", *ids, "-o", "c.png")
    assert (code, messages.splitlines()[0]) == (1, "error: these runs have different teachers")
    written = json.loads(srkd("report", "tiny.yaml", "--json")[1])
    rows = {(row["model"], row["teacher_seed"], row["seed"]) for row in written["scores"]}
    assert {("teacher", 5, None), ("none", None, 1), ("hkd", 5, 1)} <= rows
    assert len(rows) == 9


def test_scripts_restrict_each_command_to_its_seed_and_teacher(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path, teacher={"seeds": [0, 5]}, seeds=[0, 1])
    steps = json.loads(srkd("plan", "tiny.yaml", "--format", "json")[1])["tasks"]
    settings = [[word for word in step["command"] if "seeds=" in word] for step in steps]
    assert settings == [
        ["teacher.seeds=[0]"],
        ["teacher.seeds=[5]"],
        ["seeds=[0]", "teacher.seeds=[0]"],
        ["seeds=[0]", "teacher.seeds=[5]"],
        ["seeds=[1]", "teacher.seeds=[0]"],
        ["seeds=[1]", "teacher.seeds=[5]"],
        [],
    ]
    for step in steps:  # the commands make exactly the plan's networks
        assert srkd(*step["command"][1:])[0] == 0
        assert all((tmp_path / "home" / "runs" / digest[:20]).is_dir() for digest in step["runs"])
    assert len(list((tmp_path / "home" / "runs").iterdir())) == 8
    assert "Training" not in srkd("run", "tiny.yaml")[2]


def test_one_seed_needs_its_own_teachers_only(planned: Planned) -> None:
    assert list(map(planned(*PAIRED).title, of_seeds(planned(*PAIRED), [1]).networks))[1:] == [
        f"{name} seed 1" for name in ("none", "dml", "hkd", "rkd")
    ]
    assert of_seeds(planned(*PAIRED), [1]).teachers == planned(*PAIRED).teachers[1:]
    assert of_seeds(planned(*CROSSED), [1]).teachers == planned(*CROSSED).teachers
    assert of_seeds(planned(*PAIRED, "methods=[none]"), [1]).teachers == planned(*PAIRED).teachers


LABELS = ["teacher.labels=images", "methods=[none, hkd, none@equal-cost]", "train.steps=10000"]


def test_each_teacher_has_labels_of_its_own(planned: Planned, store: ArtifactStore, display: Display) -> None:
    steps = {
        "teacher seed 0": (),
        "teacher seed 5": (),
        "labels of teacher seed 0": ("teacher seed 0",),
        "labels of teacher seed 5": ("teacher seed 5",),
        "seed 0, teacher 0: none, hkd": ("teacher seed 0", "labels of teacher seed 0"),
        "seed 0: none@equal-cost": (),
        "seed 0, teacher 5: hkd": ("teacher seed 5", "labels of teacher seed 5"),
        "seed 1, teacher 0: none, hkd": ("teacher seed 0", "labels of teacher seed 0"),
        "seed 1: none@equal-cost": (),
        "seed 1, teacher 5: hkd": ("teacher seed 5", "labels of teacher seed 5"),
    }
    assert needs(planned(*CROSSED, *LABELS), store) == steps
    plan = planned(*PAIRED, *LABELS)
    found = tasks.tasks(plan, store)
    assert {task.name: task.needs for task in found if "hkd" in task.name and task.kind == "group"} == {
        "seed 0: none, hkd": ("teacher seed 0", "labels of teacher seed 0"),
        "seed 1: none, hkd": ("teacher seed 1", "labels of teacher seed 1"),
    }
    assert [task.labels.teacher for task in found if task.labels] == [one.digest for one in plan.teachers]
    needed = {key.digest for key in requirements.needed(store, plan.suite, display)}
    assert {run.teacher_labels.digest for run in plan.students if run.teacher_labels} <= needed
    assert [task.kind for task in tasks.tasks(of_teachers(plan), store)][:4] == ["teacher"] * 2 + [
        "labels"
    ] * 2


def test_seeds_share_the_cost_of_labels_unless_each_has_its_own_teacher(
    planned: Planned, store: ArtifactStore
) -> None:
    single, crossed, paired = (
        planned(*settings, *LABELS) for settings in (["seeds=[0, 1]"], CROSSED, PAIRED)
    )
    assert single.shares.labels is not None
    assert crossed.shares == single.shares
    assert paired.shares.labels == 2 * single.shares.labels
    costs = collect.results(paired, store, scores=[]).step_costs
    model = paired.teacher.model.multiply_adds / (3 * paired.suite.student.multiply_adds)
    assert costs["hkd"] == pytest.approx(1 + 2 * single.shares.labels * model)


@pytest.mark.parametrize(("seeds", "networks"), [([0, 5], 10), ("paired", 8)])
def test_scripts_train_the_same_networks_with_labels(
    srkd: Srkd, tmp_path: Path, seeds: object, networks: int
) -> None:
    teacher, methods = {"seeds": seeds, "labels": "images"}, ["none", "hkd", "none@equal-cost"]
    tiny_suite(tmp_path, teacher=teacher, methods=methods, seeds=[0, 1])
    for step in json.loads(srkd("plan", "tiny.yaml", "--format", "json")[1])["tasks"]:
        code, _, messages = srkd(*step["command"][1:])
        assert (code, messages.count("Computing teacher labels")) == (0, step["kind"] == "teacher"), messages
        assert all((tmp_path / "home" / "runs" / digest[:20]).is_dir() for digest in step["runs"])
    assert len(list((tmp_path / "home" / "runs").iterdir())) == networks
    assert len(list((tmp_path / "home" / "labels").iterdir())) == 2
