"""Parts of a plan: of a task, of some seeds, of the teachers."""

from collections.abc import Collection
from dataclasses import replace

from srkd_bench.config.artifacts import Run
from srkd_bench.core.errors import SrkdError
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import Task


def part(plan: Plan, task: Task) -> Plan:
    """Return a plan limited to the students of a task, which is small enough to be sent with each task."""
    students = tuple(run for run in task.networks if isinstance(run, Run) and run not in plan.all_teachers)
    return replace(plan, students=students, trials={})


def of_seeds(plan: Plan, chosen: Collection[int]) -> Plan:
    """Return the part of a plan with the students of some seeds and the teachers that they learn from.

    Raises:
        SrkdError: the suite does not have one of these seeds.
    """
    students = tuple(run for run in plan.students if run.seed in chosen)
    if wrong := [seed for seed in chosen if seed not in {run.seed for run in students}]:
        seeds = ", ".join(map(str, plan.suite.seeds))
        raise SrkdError(f"--only-seed {wrong[0]} is not a seed of the suite", f"its seeds are {seeds}")
    used = [run.teacher for run in students]
    teachers = tuple(one for one in plan.teachers if one in used)
    return replace(plan, students=students, teachers=teachers or plan.teachers)


def without_unused_fusion(plan: Plan) -> Plan:
    """Return a plan without the fusion of several teachers unless a student learns from it."""
    return plan if any(run.teacher == plan.fusion for run in plan.students) else replace(plan, fusion=None)


def of_teachers(plan: Plan) -> Plan:
    """Return the teachers of a plan without students, with the labels that the suite uses.

    Args:
        plan: with at least one student.
    """
    like = plan.students[0].model_copy(update={"labels": plan.suite.teacher.labels})
    learnt_from = (*plan.teachers, *filter(None, [plan.fusion]))
    keys = (like.model_copy(update={"teacher": one}).teacher_labels for one in learnt_from)
    return replace(plan, students=(), labels=tuple(key for key in keys if key is not None))
