import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.experiments.executors import serial
from srkd_bench.experiments.planning import planner, status, tasks
from srkd_bench.experiments.planning.agenda import Agenda, steps_made
from srkd_bench.experiments.planning.parts import of_teachers, part
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.methods import sources, user_code
from srkd_bench.methods.builtin.none import NoDistillation
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.support.tiny_suite import tiny_suite

Planned = Callable[..., Plan]


@pytest.fixture
def planned(store: ArtifactStore, display: Display, tmp_path: Path) -> Planned:
    """Return the plan of the tiny suite with some keys changed."""
    store.begin()
    suite = tiny_suite(tmp_path)

    def plan(*settings: str, methods: tuple[str, ...] = ()) -> Plan:
        return planner.plan(load_suite(str(suite), settings), store, display, methods)

    return plan


def named(found: list[tasks.Task]) -> dict[str, tuple[str, ...]]:
    """Return what each task needs, by name."""
    return {task.name: task.needs for task in found}


def test_a_suite_is_a_teacher_then_a_group_a_seed_then_their_scores(
    planned: Planned, store: ArtifactStore
) -> None:
    assert named(tasks.tasks(planned("seeds=[0,1]"), store)) == {
        "teacher": (),
        "seed 0: none, hkd": ("teacher",),
        "seed 1: none, hkd": ("teacher",),
        "scores of finished networks": (),  # bicubic
        "scores of teacher": ("teacher",),
        "scores of seed 0: none, hkd": ("seed 0: none, hkd",),
        "scores of seed 1: none, hkd": ("seed 1: none, hkd",),
    }


def test_seeds_whose_students_are_stacked_are_trained_together_until_they_fill_a_stack(
    planned: Planned, store: ArtifactStore
) -> None:
    def found(*settings: str, slots: int = 1) -> list[str]:
        plan = planned("train.stacked=true", *settings)
        return [task.name for task in tasks.tasks(plan, store, slots) if task.kind == "group"]

    assert found("seeds=[0,1]") == ["seeds 0, 1: none, hkd"]
    # Half a stack takes as long as a whole one: only passes of the teacher on each batch are worth a split.
    assert found("seeds=[0,1]", "teacher.labels=images", slots=2) == ["seeds 0, 1: none, hkd"]
    assert found("seeds=[0,1]", slots=2) == ["seed 0: none, hkd", "seed 1: none, hkd"]
    assert found("seeds=[0,1,2,3,4,5]") == ["seeds 0, 1, 2: none, hkd", "seeds 3, 4, 5: none, hkd"]
    assert found("seeds=[0,1,2]", "methods=[none,rvkd]") == ["seeds 0, 1, 2: none, rvkd"]
    assert found("seeds=[0,1]", "methods=[rvkd]") == ["seed 0: rvkd", "seed 1: rvkd"]
    paired = found("seeds=[0,1]", "teacher.seeds=paired")
    assert paired == ["seed 0: none, hkd", "seed 1: none, hkd"]


def test_only_students_that_can_be_stacked_have_another_identity(
    planned: Planned, store: ArtifactStore
) -> None:
    methods = "methods=[none,hkd,ckd,rkd,rkd+hkd,none@2x,rvkd,augkd,byot,rvkd+hkd]"
    plain, stacked = planned(methods), planned(methods, "train.stacked=true")
    assert stacked.teacher.digest == plain.teacher.digest
    changed = {
        stacked.column(ours)
        for ours, theirs in zip(stacked.students, plain.students, strict=True)
        if ours.digest != theirs.digest
    }
    assert changed == {"none", "hkd", "ckd", "rkd", "rkd+hkd", "none@2x"}
    assert {run.train.stacked for run in plain.students} == {False}


def test_a_stack_is_counted_with_its_idle_groups(planned: Planned, store: ArtifactStore) -> None:
    plan = planned("teacher.labels=images")
    one = plan.students[0]
    stacked = one.model_copy(update={"train": one.train.model_copy(update={"stacked": True})})
    alone = tasks.training_flops([one], live=False)
    assert tasks.training_flops([stacked], live=False) == 6 * alone
    assert tasks.training_flops([stacked] * 7, live=False) == 7 * alone


def test_scores_are_split_by_network_and_data_set_for_several_processes(
    planned: Planned, store: ArtifactStore
) -> None:
    plan = planned("data.test=[photos-test,photos-valid]")
    made = tasks.tasks(plan, store, 2)
    found = {task.name: (task.networks, task.needs, task.datasets) for task in made if task.kind == "scores"}
    none, hkd = plan.students
    assert found == {
        f"scores of {title} on {name}": ((network,), needs, (name,))
        for name in ("photos-test", "photos-valid")
        for title, network, needs in (
            ("bicubic", None, ()),
            ("teacher", plan.teacher, ("teacher",)),
            ("none seed 0", none, ("seed 0: none",)),
            ("hkd seed 0", hkd, ("seed 0: hkd",)),
        )
    }


def test_finished_work_is_no_task_and_repeating_a_task_changes_nothing(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    place = Workplace(store, display)
    assert serial.do_all(planned("methods=[none]"), place) == []
    plan = planned()
    found = tasks.tasks(plan, store)
    assert named(found) == {"seed 0: hkd": (), "scores of seed 0: hkd": ("seed 0: hkd",)}
    before = {path: path.stat().st_mtime_ns for path in store.home.glob("[rs]*/*/*")}
    assert [serial.do(task, plan, place) for task in tasks.tasks(planned("methods=[none]"), store)] == []
    for task in (
        replace(found[0], networks=plan.students[:1]),
        replace(found[1], networks=(None, plan.teacher)),
    ):
        assert serial.do(task, plan, place) == []
    assert {path: path.stat().st_mtime_ns for path in store.home.glob("[rs]*/*/*")} == before
    assert serial.do_all(plan, place) == []
    assert tasks.tasks(plan, store) == []
    assert status.finished(plan, store)


def test_with_more_slots_than_seeds_groups_are_split_with_the_teacher_in_as_few_as_possible(
    planned: Planned, store: ArtifactStore
) -> None:
    plan = planned("methods=[hkd,none,rkd,dml]", "seeds=[0,1]")
    methods = [[run.method for run in group] for group in tasks.groups(plan, store, 4)]
    assert methods == [["none", "dml"], ["hkd", "rkd"]] * 2
    made = tasks.tasks(plan, store, 4)
    assert [task.needs for task in made if task.kind == "group"] == [(), ("teacher",)] * 2
    one = [[run.method for run in group] for group in tasks.groups(plan, store, 100)]
    assert one == [["none"], ["dml"], ["hkd"], ["rkd"]] * 2
    whole = [[run.method for run in group] for group in tasks.groups(plan, store, 2)]
    assert whole == [["hkd", "none", "rkd", "dml"]] * 2


def test_runs_that_use_the_teacher_stay_together_unless_that_takes_longer(
    planned: Planned, store: ArtifactStore
) -> None:
    def split(*settings: str) -> list[list[str]]:
        return [[run.method for run in group] for group in tasks.groups(planned(*settings), store, 2)]

    assert split("methods=[none,hkd,rkd]") == [["none"], ["hkd", "rkd"]]
    assert split("methods=[none,hkd,ckd,rkd]") == [["none", "hkd"], ["ckd", "rkd"]]


def test_groups_are_split_only_if_that_ends_sooner(planned: Planned, store: ArtifactStore) -> None:
    # Four slots for three seeds: whole groups take one round, halves two rounds of more than half.
    assert len(tasks.groups(planned("methods=[hkd,rkd]", "seeds=[0,1,2]"), store, 4)) == 3
    # Two slots: two rounds of wholes, three rounds of halves. Halves win unless the teacher's pass costs too much.
    assert len(tasks.groups(planned("methods=[none,dml]", "seeds=[0,1,2]"), store, 2)) == 6
    large = "teacher.model.n_feats=64"
    assert len(tasks.groups(planned("methods=[hkd,rkd]", "seeds=[0,1,2]", large), store, 2)) == 3


def test_tasks_end_when_each_slot_takes_the_next_as_soon_as_it_is_free() -> None:
    assert tasks.duration([3, 1, 1, 2], 2) == 4  # 3 | 1, 1, 2
    assert tasks.duration([3, 1, 1, 2], 1) == 7
    assert tasks.duration([], 2) == 0


def test_the_operations_of_a_group_count_its_teachers_pass_once(
    planned: Planned, store: ArtifactStore
) -> None:
    plan = planned("methods=[none,hkd,rkd]")
    teacher, group = tasks.tasks(plan, store)[:2]
    pixels = 4 * 8 * 8  # of a step: batch, patch
    assert teacher.flops == 12 * pixels * 3 * 2 * plan.teacher.model.multiply_adds
    student = plan.suite.student.multiply_adds
    assert group.flops == 10 * pixels * 2 * (3 * 3 * student + plan.teacher.model.multiply_adds)
    assert tasks.tasks(plan, store)[-1].flops == 0  # scores


def test_a_group_larger_than_memory_is_split_into_named_parts(
    planned: Planned, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    plan = replace(plan, students=tuple(planner.trial_runs(plan, "hkd", 4)))
    plan = replace(plan, suite=plan.suite.model_copy(update={"seeds": [plan.students[0].seed]}))
    monkeypatch.setattr(
        "srkd_bench.experiments.planning.tasks.MEMORY", 2.5 * 32 * plan.students[0].model.parameters
    )
    names = [task.name for task in tasks.tasks(plan, store) if task.kind == "group"]
    assert names == ["seed 1000000: hkd ×2", "seed 1000000: hkd ×2 (part 2)"]


def test_a_task_can_be_executed_from_its_plan_alone(
    planned: Planned, store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    method = tmp_path / "mine.py"
    source = (Path(user_code.__file__).parent / "builtin" / "hkd.py").read_text(encoding="utf-8")
    method.write_text(source.replace("class HKD", "class Mine"), encoding="utf-8")
    plan = planned(methods=(str(method),))
    sent = pickle.dumps([plan, *tasks.tasks(plan, store)])
    sources._SEEN.clear()
    user_code.load.cache_clear()
    method.unlink()  # its content travels
    plan, *found = pickle.loads(sent)
    assert [serial.do(task, plan, Workplace(store, display)) for task in found] == [[]] * len(found)
    assert status.finished(plan, store)


def test_students_of_a_failed_teacher_are_skipped_and_the_others_trained(
    planned: Planned, store: ArtifactStore, display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned("methods=[dml,hkd]")
    losses: Any = lambda self, step, adapter: {"rec": step.rec * float("nan")}  # noqa: E731
    monkeypatch.setattr(NoDistillation, "losses", losses)
    failures = serial.do_all(plan, Workplace(store, display))
    assert [failure.message for failure in failures] == ["none seed 0: loss 'rec' is nan at step 0"]
    assert [store.has(run) for run in plan.students] == [True, False]
    assert status.unmeasured(plan, store) == [plan.teacher, plan.students[1]]


def test_tasks_start_in_order_after_their_dependencies() -> None:
    first, second = (
        tasks.Task("first", "teacher", ()),
        tasks.Task("second", "group", (), ("first", "long ago")),
    )
    third, last = tasks.Task("third", "group", ()), tasks.Task("last", "scores", (), ("second", "third"))
    agenda = Agenda([first, second, third, last])
    assert [agenda.take() for _ in range(3)] == [first, third, None]
    agenda.done(third)
    agenda.again(first)
    assert [agenda.take(), agenda.take()] == [first, None]
    agenda.done(first)
    assert [agenda.take(), agenda.take()] == [second, None]
    agenda.done(second)
    assert [agenda.take(), agenda.take()] == [last, None]


def test_a_plan_reduced_to_a_task_is_small_and_equivalent(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    plan = planned("seeds=[0,1,2]")
    for task in tasks.tasks(plan, store):
        smaller = part(plan, task)
        assert len(smaller.students) <= 2
        assert serial.do(task, smaller, Workplace(store, display)) == []
    assert status.finished(plan, store)


def test_the_steps_of_a_task_are_those_in_checkpoints_and_in_the_store(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    plan = planned("methods=[none,dml]")
    teacher, group = tasks.tasks(plan, store)[:2]
    assert steps_made(group, store) == 0
    checkpoints.write(store.work(plan.students[0]), 1, b"state")
    serial.do(teacher, plan, Workplace(store, display))
    assert (steps_made(group, store), steps_made(teacher, store)) == (1, 12)


def test_labels_are_a_task_between_the_teacher_and_the_students_that_use_them(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    plan = planned("teacher.labels=images", "methods=[none, hkd, fitnet]")
    assert {
        name: needs for name, needs in named(tasks.tasks(plan, store)).items() if "scores" not in name
    } == {
        "teacher": (),
        "teacher labels": ("teacher",),
        "seed 0: none, hkd, fitnet": ("teacher", "teacher labels"),
    }
    apart = [task for task in tasks.tasks(plan, store, 2) if task.kind == "group"]
    assert [(task.name, task.needs, task.live) for task in apart] == [
        (
            "seed 0: none, hkd",
            ("teacher", "teacher labels (process 1 of 2)", "teacher labels (process 2 of 2)"),
            False,
        ),
        ("seed 0: fitnet", ("teacher",), True),
    ]
    assert apart[0].flops == 10 * 4 * 8 * 8 * 2 * 2 * 3 * plan.suite.student.multiply_adds
    nothing = planned("teacher.labels=images", "methods=[none, dml]")
    assert "teacher labels" not in named(tasks.tasks(nothing, store))
    assert named(tasks.tasks(of_teachers(nothing), store))["teacher labels"] == ("teacher",)
    assert serial.do_all(of_teachers(plan), Workplace(store, display)) == []
    assert tasks.tasks(plan, store)[0].name == "seed 0: none, hkd, fitnet"
