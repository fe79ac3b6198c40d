"""Execute tasks one after another in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from srkd_bench.config.artifacts import Run
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import Task, tasks
from srkd_bench.methods import sources
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore

if TYPE_CHECKING:
    from srkd_bench.core.errors import SrkdError
    from srkd_bench.store.workspace import Workplace
    from srkd_bench.training.distributed import Ranks


class Agenda:
    """What is still to be begun of some tasks: each can be taken once all that it needs is done, in their order.

    A call takes about the same time, however many tasks there are.
    """

    def __init__(self, todo: Sequence[Task]) -> None:
        self._todo = todo
        self._numbers = {task.name: number for number, task in enumerate(todo)}
        needs = [[self._numbers[name] for name in task.needs if name in self._numbers] for task in todo]
        self._missing = [len(needed) for needed in needs]
        self._after: list[list[int]] = [[] for _ in todo]
        for number, needed in enumerate(needs):
            for other in needed:
                self._after[other].append(number)
        self._ready = [number for number, missing in enumerate(self._missing) if not missing]  # a heap

    def take(self) -> Task | None:
        """Return the first task that can be done now; None while there is none."""
        return self._todo[heappop(self._ready)] if self._ready else None

    def again(self, task: Task) -> None:
        """Let a task be taken once more."""
        heappush(self._ready, self._numbers[task.name])

    def done(self, task: Task) -> None:
        """Let those that wait for a task be taken; that it is done doesn't mean that all went well."""
        for number in self._after[self._numbers[task.name]]:
            self._missing[number] -= 1
            if not self._missing[number]:
                heappush(self._ready, number)


def part(plan: Plan, task: Task) -> Plan:
    """Return the part of a plan that is about a task: however large the plan is, it can be sent with each."""
    students = tuple(run for run in task.networks if isinstance(run, Run) and run != plan.teacher)
    return replace(plan, students=students, trials={})


def steps_made(task: Task, store: ArtifactStore) -> int:
    """Return how many steps of a task's trainings are done and kept."""
    return sum(
        run.train.steps if store.has(run) else checkpoints.steps_done(store.work(run)) for run in task.runs
    )


def do(task: Task, plan: Plan, place: Workplace, ranks: Ranks | None = None) -> list[SrkdError]:
    """Make what a task is about and the store doesn't have; return what failed.

    Students whose teacher isn't there are left out: its own task has failed.

    Args:
        ranks: that train a teacher together.

    Raises:
        SrkdError: data is missing, or a network can't be read. Stopped: a signal came; checkpoints are written.
    """
    from srkd_bench.experiments.runs import preflight, score
    from srkd_bench.experiments.runs import train as train_module

    sources.know(plan.code)
    place.store.look_again()  # the tasks that this one waited for may have been done on other machines
    images, tests = preflight.prepare(plan, place)
    if task.kind == "scores":
        score.ensure_scores(task.networks, plan, tests, place)
        return []
    if task.kind == "teacher":
        return train_module.ensure_teacher(plan, images, place, ranks)
    possible = [run for run in task.runs if run.teacher is None or place.store.has(run.teacher)]
    return train_module.ensure_group(possible, images, plan.suite.data, place)


def do_all(plan: Plan, place: Workplace, ranks: Ranks | None = None) -> list[SrkdError]:
    """Make all of a plan in this process, one task after the other; return what failed."""
    return [failure for task in tasks(plan, place.store) for failure in do(task, plan, place, ranks)]
