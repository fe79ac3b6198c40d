"""The order in which tasks can start."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from srkd_bench.data.labels import finished_images
from srkd_bench.experiments.planning.tasks import Task
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore


class Agenda:
    """The tasks that have not started yet; each can be taken, in order, once all tasks that it needs are done.

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
        """Remove and return the first task that can start now; None while there is none."""
        return self._todo[heappop(self._ready)] if self._ready else None

    def again(self, task: Task) -> None:
        """Put back a task that must be started again."""
        heappush(self._ready, self._numbers[task.name])

    def done(self, task: Task) -> None:
        """Record that a task has ended, even by a failure, so that the tasks that need it can start."""
        for number in self._after[self._numbers[task.name]]:
            self._missing[number] -= 1
            if not self._missing[number]:
                heappush(self._ready, number)


def steps_made(task: Task, store: ArtifactStore) -> int:
    """Return how many steps of a task's trainings, or images of its labels, are finished and stored."""
    if task.labels is not None:
        return len(finished_images(store.work(task.labels)))
    return sum(
        run.train.steps if store.has(run) else checkpoints.steps_done(store.work(run)) for run in task.runs
    )
