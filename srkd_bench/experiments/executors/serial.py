"""Execute the tasks of a plan one after another in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.executors.worker import begin
from srkd_bench.experiments.planning.grid import Plans, cell_of, name_cell
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import Task, tasks
from srkd_bench.methods import sources
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import RunOptions, Workplace

if TYPE_CHECKING:
    from srkd_bench.training.distributed import Ranks


def execute(plan: Plans, store: ArtifactStore, display: Display, options: RunOptions) -> list[SrkdError]:
    """Execute a plan on one device; see `Executor`."""
    from srkd_bench.training.devices import choose_device

    place = Workplace(store, display, choose_device(options.devices), options)
    begin(plan, place)
    return do_all(plan, place)


def do_all(plan: Plans, place: Workplace, ranks: Ranks | None = None) -> list[SrkdError]:
    """Execute the tasks of a checked plan and return the failures."""
    return [
        failure
        for task in tasks(plan, place.store)
        for failure in do(task, cell_of(plan, task.cell), place, ranks)
    ]


def do(task: Task, plan: Plan, place: Workplace, ranks: Ranks | None = None) -> list[SrkdError]:
    """Create the artifacts of a task that are missing in the store and return the failures.

    Tasks that need a missing teacher are skipped, since the teacher's own task has failed.

    Args:
        plan: of the task's cell.
    Raises:
        SrkdError: data is missing, or a network cannot be read. Stopped: a signal arrived; checkpoints are written.
    """
    from srkd_bench.experiments.runs.labels import ensure_labels
    from srkd_bench.experiments.runs.preflight import prepare
    from srkd_bench.experiments.runs.score import ensure_scores
    from srkd_bench.experiments.runs.train import ensure_students, ensure_teacher

    sources.know(plan.code)
    place.store.look_again()  # the tasks that this one depends on may have run on other machines
    images, tests = prepare(plan, place)
    if task.kind == "scores":
        named = zip(plan.suite.data.test, tests, strict=True)
        chosen = [one for name, one in named if not task.datasets or name in task.datasets]
        ensure_scores(task.networks, plan, chosen, place)
        return []
    if task.kind == "teacher":
        fused = (each for one in task.networks if isinstance(one, Run) for each in one.fused)
        if not all(map(place.store.has, fused)):
            return []
        return [error for one in task.networks for error in ensure_teacher(plan, images, place, ranks, one)]
    if task.labels is not None:
        (teacher,) = task.networks
        if isinstance(teacher, Run | Weights) and place.store.has(teacher):
            ensure_labels(task.labels, teacher, plan.suite.train, images, place)
        return []
    possible = [run for run in task.runs if run.teacher is None or place.store.has(run.teacher)]
    failures = ensure_students(possible, plan, images, place)
    for failure in failures:
        name_cell(failure, plan.cell)
    return failures
