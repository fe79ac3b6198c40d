"""Divide a plan into a graph of tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from itertools import pairwise
from typing import Literal, TypeVar

from srkd_bench.config.artifacts import Labels, Run, Weights
from srkd_bench.config.training import STACK_WIDTH, TrainSpec
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.status import unmeasured
from srkd_bench.store.artifact_store import ArtifactStore

MEMORY = 4e9  # bytes that a group's networks may take; 90 students of the study do
T = TypeVar("T")
Network = Run | Weights | None  # None is bicubic


@dataclass(frozen=True)
class Task:
    """A unit of work for one process. It can be repeated on any machine; finished work is reused.

    Args:
        name: unique in the plan: `teacher`, `seed 0: none, hkd`, `scores of seed 0: none, hkd`;
            `teacher seed 1` and `seed 0, teacher 1: hkd` where there are several teachers.
        kind: `teacher` trains or loads it, `labels` computes `labels` of the teacher in `networks`, `group` trains
            students of one seed that share the teacher's pass, or of several seeds that are stacked, and `scores`
            measures what is finished.
        networks: what is trained, loaded or measured.
        needs: names of the tasks that must finish first.
        live: whether the teacher makes a forward pass on each batch.
        labels: what a task of kind `labels` computes.
        datasets: what a task of kind `scores` measures on; empty for all of the suite's test sets.
    """

    name: str
    kind: Literal["teacher", "labels", "group", "scores"]
    networks: tuple[Network, ...]
    needs: tuple[str, ...] = ()
    live: bool = False
    labels: Labels | None = None
    datasets: tuple[str, ...] = ()

    @property
    def runs(self) -> list[Run]:
        """The trainings of this task."""
        trains = self.kind in ("teacher", "group")
        return [one for one in self.networks if isinstance(one, Run) and trains]

    @property
    def flops(self) -> int:
        """Floating-point operations of its trainings, without what a method computes beyond the networks.

        A multiply-add is two, a backward pass two forward passes, and the teacher makes one forward pass per batch
        if it is needed live.
        """
        return training_flops(self.runs, live=self.live)


def tasks(plan: Plan, store: ArtifactStore, slots: int = 1) -> list[Task]:
    """Return the work of a plan that is not in the store, in an order that satisfies all dependencies.

    Args:
        slots: number of worker processes. With several, groups are split if this shortens the work, and scores by
            network and data set.
    """
    teachers = [one for one in plan.teachers if plan.with_teacher and not store.has(one)]
    made = [Task(plan.title(one), "teacher", (one,)) for one in teachers]
    before: dict[str, tuple[str, ...]] = {
        one.digest: (task.name,) for one, task in zip(teachers, made, strict=True)
    }
    labels = {task.labels.teacher: task for task in _labels(plan, store, before) if task.labels}
    made += labels.values()
    names: Counter[str] = Counter()
    for group in groups(plan, store, slots):
        teacher = next((run.teacher for run in group if run.teacher), None)
        name = f"{seeds_in_words(group, plan)}: {', '.join(_columns(group, plan))}"
        names[name] += 1
        name += f" (part {names[name]})" if names[name] > 1 else ""
        needs = before.get(teacher.digest, ()) if teacher else ()
        if any(run.teacher_labels for run in group) and teacher and teacher.digest in labels:
            needs += (labels[teacher.digest].name,)
        made.append(Task(name, "group", tuple(group), needs, live=any(map(plan.is_live, group))))
    here = [one for one in unmeasured(plan, store) if one is None or store.has(one)]
    scores = [Task("scores of finished networks", "scores", tuple(here))] if here else []
    networks = [one for one in made if one.kind != "labels"]
    scores += [Task(f"scores of {one.name}", "scores", one.networks, (one.name,)) for one in networks]
    if slots > 1:
        scores = [part for task in scores for part in _by_network_and_set(task, plan)]
    return [*made, *scores]


def _by_network_and_set(task: Task, plan: Plan) -> list[Task]:
    """Split a task of kind `scores`."""
    return [
        Task(
            f"scores of {plan.title(network)} on {name}",
            "scores",
            (network,),
            task.needs,
            datasets=(name,),
        )
        for network in task.networks
        for name in plan.suite.data.test
    ]


def _labels(plan: Plan, store: ArtifactStore, before: Mapping[str, tuple[str, ...]]) -> list[Task]:
    """Return the tasks that compute the labels which are needed and missing, one for each teacher.

    Args:
        before: names of the tasks that make a teacher, by its digest.
    """
    needed = (run.teacher_labels for run in plan.students if not store.has(run))
    keys = dict.fromkeys(key for key in (*plan.labels, *needed) if key and not store.has(key))
    teachers = {one.digest: one for one in plan.teachers}
    return [
        Task(
            plan.labels_title(key),
            "labels",
            (teachers[key.teacher],),
            before.get(key.teacher, ()),
            labels=key,
        )
        for key in keys
    ]


def groups(plan: Plan, store: ArtifactStore, slots: int = 1) -> list[list[Run]]:
    """Return the students that are not in the store, in groups of one seed, one teacher and one length of training.

    Students without teacher are trained with those of their seed's first teacher. Seeds whose students are stacked
    form groups together, of at least `STACK_WIDTH` such students if there are as many. All groups are split in the
    same way: for the shortest time on the given slots by counted operations, and then with the fewest parts.
    Each part that needs the teacher's forward passes pays for them.
    """
    alike: dict[tuple[int, str, TrainSpec], list[Run]] = {}
    first: dict[int, str] = {}  # the digest of each seed's first teacher
    for run in plan.students:
        if run.teacher:
            first.setdefault(run.seed, run.teacher.digest)
    for run in plan.students:
        if not store.has(run):
            teacher = run.teacher.digest if run.teacher else first.get(run.seed, "")
            train = run.train.model_copy(update={"stacked": False})
            alike.setdefault((run.seed, teacher, train), []).append(run)
    todo = _joined(alike)
    most = min(slots, max(map(len, todo), default=1))
    choices = [
        [part for runs in todo for part in _parts(runs, plan, count, apart)]
        for count in range(1, most + 1)
        for apart in range(count)
    ]

    def price(choice: list[list[Run]]) -> tuple[float, int]:
        costs = [training_flops(part, live=any(map(plan.is_live, part))) for part in choice]
        return duration(costs, slots), sum(costs)

    return [part for group in min(choices, key=price) for part in _fitting(group)]


def _joined(alike: Mapping[tuple[int, str, TrainSpec], list[Run]]) -> list[list[Run]]:
    """Join the groups of seeds that differ in nothing else, until each can fill a stack.

    Args:
        alike: groups by seed, teacher and training.
    """
    families: dict[tuple[str, TrainSpec], list[list[Run]]] = {}
    for (_, teacher, train), runs in alike.items():
        families.setdefault((teacher, train), []).append(runs)
    found: list[list[Run]] = []
    for (_, teacher, train), runs in alike.items():
        family = families[teacher, train]
        stacked = sum(run.train.stacked for one in family for run in one)
        if not stacked:
            found.append(runs)
        elif runs is family[0]:
            parts = _evenly(family, max(1, stacked // STACK_WIDTH))
            found += [[run for one in part for run in one] for part in parts]
    return found


def _parts(runs: list[Run], plan: Plan, count: int, apart: int) -> list[list[Run]]:
    """Split the runs of a seed evenly; `apart` parts have only runs without teacher passes. If 0, parts are mixed.

    Runs of several seeds are split by seed.
    """
    if count == 1:
        return [runs]
    seeds = [[run for run in runs if run.seed == seed] for seed in dict.fromkeys(run.seed for run in runs)]
    if len(seeds) > 1:
        return [[run for one in part for run in one] for part in _evenly(seeds, count)]
    looking = [run for run in runs if plan.is_live(run)]
    alone = [run for run in runs if not plan.is_live(run)]
    if apart and alone and looking:
        return _evenly(alone, apart) + _evenly(looking, count - apart)
    return _evenly(alone + looking, count)


def _evenly(items: list[T], count: int) -> list[list[T]]:
    each, more = divmod(len(items), count)
    ends = [i * each + min(i, more) for i in range(count + 1)]
    return [items[first:end] for first, end in pairwise(ends) if end > first]


def _fitting(runs: list[Run]) -> list[list[Run]]:
    """Return the runs in groups that memory holds side by side: a search can have hundreds of trials."""
    # Weights, gradients and Adam's two moments of a student, and as much for what is trained beside it.
    many = max(1, int(MEMORY / (2 * 16 * runs[0].model.parameters)))
    return [runs[first : first + many] for first in range(0, len(runs), many)]


def training_flops(runs: Sequence[Run], *, live: bool) -> int:
    """Return the operations of trainings side by side, as `Task.flops` counts them."""
    if not runs:
        return 0
    train, known = runs[0].train, next((run.teacher for run in runs if run.teacher and live), None)
    stacked = sum(run.train.stacked for run in runs)
    idle = max(0, STACK_WIDTH - stacked) if stacked else 0
    multiply_adds = sum(3 * run.model.multiply_adds for run in runs) + 3 * idle * runs[0].model.multiply_adds
    multiply_adds += known.model.multiply_adds * len({run.seed for run in runs}) if known else 0
    return 2 * multiply_adds * train.steps * train.batch * train.patch**2


def seeds_in_words(runs: Sequence[Run], plan: Plan) -> str:
    """Return the seeds of a group of students, and its teacher's where teachers are crossed with seeds."""
    seed = max(map(plan.seeds_in_words, runs), key=len)
    seeds = dict.fromkeys(run.seed for run in runs)
    if len(seeds) == 1:
        return seed
    return f"seeds {', '.join(map(str, seeds))}{seed[seed.find(',') :] if ',' in seed else ''}"


def _columns(runs: Sequence[Run], plan: Plan) -> list[str]:
    """Return the columns of a group of students, those of several seeds once."""
    columns = list(map(plan.column, runs))
    return columns if len({run.seed for run in runs}) == 1 else list(dict.fromkeys(columns))


def duration(costs: Sequence[float], slots: int) -> float:
    """Return when the last of some tasks ends if each slot takes the next one as soon as it is free."""
    free = [0.0] * slots
    for cost in costs:
        heapreplace(free, free[0] + cost)
    return max(free)
