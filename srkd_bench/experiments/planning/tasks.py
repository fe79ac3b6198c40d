"""Divide a plan into a graph of tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapreplace
from itertools import pairwise
from typing import Literal, TypeVar

from srkd_bench.config.artifacts import Labels, Run, Weights
from srkd_bench.config.network import FusionSpec
from srkd_bench.config.training import STACK_WIDTH, TrainSpec
from srkd_bench.experiments.planning.grid import Plans, plans_of
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
        kind: `teacher` trains or loads it, `labels` computes `labels` of the teacher in `networks` together with
            the other tasks of the same labels, `group` trains students of one seed that share the teacher's pass,
            or of several seeds that are stacked, and `scores` measures what is finished.
        networks: what is trained, loaded or measured.
        needs: names of the tasks that must finish first.
        live: whether the teacher makes a forward pass on each batch.
        labels: what a task of kind `labels` computes.
        datasets: what a task of kind `scores` measures on; empty for all of the suite's test sets.
        cell: of a grid, whose suite it is executed for; empty outside one.
    """

    name: str
    kind: Literal["teacher", "labels", "group", "scores"]
    networks: tuple[Network, ...]
    needs: tuple[str, ...] = ()
    live: bool = False
    labels: Labels | None = None
    datasets: tuple[str, ...] = ()
    cell: str = ""

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


def tasks(plan: Plans, store: ArtifactStore, slots: int = 1) -> list[Task]:
    """Return the work of a plan that is not in the store, in an order that satisfies all dependencies.

    What several cells of a grid need is a task of the first of them.

    Args:
        slots: number of worker processes. With several, groups are split if this shortens the work, labels are
            computed by all, and scores are split by network and data set.
    """
    made: dict[str, tuple[str, ...]] = {}  # names of the tasks that make something, by its digest
    known = set[object]()
    shared = _shared(plans_of(plan))
    owners, own = _owners(plan), dict[str, list[list[Run]]]()
    for group in groups(plan, store, slots):
        own.setdefault(owners[group[0].digest], []).append(group)
    found = list[Task]()
    for one in plans_of(plan):
        found += _trainings(one, own.get(one.cell, []), store, made, slots, shared)
        scores = _scores(one, store, made, known)
        found += (
            scores if slots == 1 else [part for task in scores for part in _by_network_and_set(task, one)]
        )
    return found


def _titled(title: str, plan: Plan, *, shared: bool = False) -> str:
    """Return the name of a task with its cell, unless all cells share it."""
    return f"{title} ({plan.cell})" if plan.cell and not shared else title


def _shared(plans: Sequence[Plan]) -> set[str]:
    """Return the digests of the teachers and labels that all cells of a grid use."""
    return set.intersection(*({one.digest for one in (*own.all_teachers, *_keys(own))} for own in plans))


def _keys(plan: Plan) -> list[Labels]:
    """Return the teacher labels that a plan uses."""
    used = (*plan.labels, *(run.teacher_labels for run in plan.students))
    return list(dict.fromkeys(key for key in used if key))


def _trainings(
    plan: Plan,
    groups: Sequence[list[Run]],
    store: ArtifactStore,
    made: dict[str, tuple[str, ...]],
    slots: int,
    shared: set[str],
) -> list[Task]:
    """Return the tasks that make the teachers, labels and students of a plan, and add what they make to `made`."""
    found = list[Task]()
    for teacher in plan.all_teachers if plan.with_teacher else ():
        if teacher.digest not in made and not store.has(teacher):
            fused = teacher.fused if isinstance(teacher, Run) else ()
            needs = dict.fromkeys(maker for one in fused for maker in made.get(one.digest, ()))
            title = _titled(plan.title(teacher), plan, shared=teacher.digest in shared)
            found.append(Task(title, "teacher", (teacher,), (*needs,), cell=plan.cell))
            made[teacher.digest] = (title,)
    labels = _labels(plan, store, made, slots, shared)
    found += labels
    for task in labels:
        if task.labels:
            made[task.labels.digest] = (*made.get(task.labels.digest, ()), task.name)
    names: Counter[str] = Counter()
    for group in groups:
        columns = list(map(plan.column, group))
        columns = columns if len({run.seed for run in group}) == 1 else list(dict.fromkeys(columns))
        name = f"{seeds_in_words(group, plan)}: {columns_in_words(columns)}"
        names[name] += 1
        name += f" (part {names[name]})" if names[name] > 1 else ""
        used = [one for run in group for one in (run.teacher, run.teacher_labels) if one]
        needs = dict.fromkeys(maker for one in used for maker in made.get(one.digest, ()))
        live = any(map(plan.is_live, group))
        task = Task(_titled(name, plan), "group", tuple(group), (*needs,), live=live, cell=plan.cell)
        found.append(task)
        made.update({run.digest: (task.name,) for run in group})
    return found


def _scores(
    plan: Plan, store: ArtifactStore, made: Mapping[str, tuple[str, ...]], known: set[object]
) -> list[Task]:
    """Return the tasks that measure a plan's networks.

    Args:
        made: names of the tasks that make networks, by digest.
        known: what is measured by earlier plans, which is not repeated; the plan's is added.
    """

    def is_new(network: Network) -> bool:
        data, ensemble = plan.suite.data, plan.suite.evaluate.self_ensemble
        what = (network and network.digest, data.scale, *data.test, ensemble)
        new = what not in known
        known.add(what)
        return new

    here = [one for one in unmeasured(plan, store) if (one is None or store.has(one)) and is_new(one)]
    title = _titled("scores of finished networks", plan)
    found = [Task(title, "scores", tuple(here), cell=plan.cell)] if here else []
    waiting: dict[str, list[Network]] = {}
    for network in plan.networks:
        if network.digest in made and is_new(network):
            waiting.setdefault(made[network.digest][0], []).append(network)
    for maker, networks in waiting.items():
        title = f"scores of {maker}"
        title = title if maker.endswith(f"({plan.cell})") else _titled(title, plan)
        found.append(Task(title, "scores", tuple(networks), (maker,), cell=plan.cell))
    return found


def _by_network_and_set(task: Task, plan: Plan) -> list[Task]:
    """Split a task of kind `scores`."""
    return [
        replace(
            task,
            name=_titled(f"scores of {plan.title(network)} on {name}", plan),
            networks=(network,),
            datasets=(name,),
        )
        for network in task.networks
        for name in plan.suite.data.test
    ]


def _labels(
    plan: Plan, store: ArtifactStore, made: Mapping[str, tuple[str, ...]], slots: int, shared: set[str]
) -> list[Task]:
    """Return the tasks that compute the labels which are needed and missing: for each teacher one in each process.

    Processes that compute the same labels share the images.

    Args:
        made: names of the tasks that make teachers and labels, by digest.
        shared: digests of what all cells use.
    """
    needed = (run.teacher_labels for run in plan.students if not store.has(run))
    keys = dict.fromkeys(key for key in (*plan.labels, *needed) if key and not store.has(key))
    teachers = {one.digest: one for one in plan.all_teachers}
    return [
        Task(
            _titled(plan.labels_title(key), plan, shared=key.digest in shared)
            + (f" (process {number} of {slots})" if slots > 1 else ""),
            "labels",
            (teachers[key.teacher],),
            made.get(key.teacher, ()),
            labels=key,
            cell=plan.cell,
        )
        for key in keys
        if key.digest not in made
        for number in range(1, slots + 1)
    ]


def _owners(plan: Plans) -> dict[str, str]:
    """Return the first cell that has a student, by the digest of the student."""
    found: dict[str, str] = {}
    for one in plans_of(plan):
        for run in one.students:
            found.setdefault(run.digest, one.cell)
    return found


def groups(plan: Plans, store: ArtifactStore, slots: int = 1) -> list[list[Run]]:
    """Return the students that are not in the store, in groups of one cell, seed, teacher and kind of training.

    Students without teacher are trained with those of their seed's first teacher. Seeds whose students are stacked
    form groups together, of at least `STACK_WIDTH` such students if there are as many. All groups are split in the
    same way: for the shortest time on the given slots by counted operations, and then with the fewest parts.
    Each part that needs the teacher's forward passes pays for them.
    """
    owners = _owners(plan)
    todo = [(one, runs) for one in plans_of(plan) for runs in _alike(one, owners, store)]
    most = min(slots, max((len(runs) for _, runs in todo), default=1))
    choices = [
        [(one, part) for one, runs in todo for part in _parts(runs, one, count, apart)]
        for count in range(1, most + 1)
        for apart in range(count)
    ]

    def price(choice: list[tuple[Plan, list[Run]]]) -> tuple[float, int]:
        costs = [training_flops(part, live=any(map(one.is_live, part))) for one, part in choice]
        return duration(costs, slots), sum(costs)

    return [part for _, group in min(choices, key=price) for part in _fitting(group)]


def _alike(plan: Plan, owners: Mapping[str, str], store: ArtifactStore) -> list[list[Run]]:
    """Return the missing students of a plan by seed, teacher and training; seeds that are stacked together.

    Args:
        owners: the first cell that has a student, by the digest of the student.
    """
    alike: dict[tuple[int, str, TrainSpec], list[Run]] = {}
    first: dict[int, str] = {}  # the digest of each seed's first teacher
    for run in plan.students:
        if run.teacher:
            first.setdefault(run.seed, run.teacher.digest)
    for run in plan.students:
        if owners[run.digest] == plan.cell and not store.has(run):
            teacher = run.teacher.digest if run.teacher else first.get(run.seed, "")
            train = run.train.model_copy(update={"stacked": False})
            alike.setdefault((run.seed, teacher, train), []).append(run)
    return _joined(alike)


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


def teacher_of(runs: Iterable[Run]) -> Run | Weights | None:
    """Return the teacher that the runs of a group share; None if no run has one."""
    return next((run.teacher for run in runs if run.teacher), None)


def training_flops(runs: Sequence[Run], *, live: bool) -> int:
    """Return the operations of trainings side by side, as `Task.flops` counts them."""
    if not runs:
        return 0
    train, known = runs[0].train, teacher_of(runs) if live else None
    stacked = sum(run.train.stacked for run in runs)
    idle = max(0, STACK_WIDTH - stacked) if stacked else 0
    multiply_adds = sum(3 * run.model.multiply_adds for run in runs) + 3 * idle * runs[0].model.multiply_adds
    frozen = (run.model.frozen_multiply_adds for run in runs if isinstance(run.model, FusionSpec))
    multiply_adds -= sum(2 * one for one in frozen)
    multiply_adds += known.model.multiply_adds * len({run.seed for run in runs}) if known else 0
    return 2 * multiply_adds * train.steps * train.batch * train.patch**2


def seeds_in_words(runs: Sequence[Run], plan: Plan) -> str:
    """Return the seeds of a group of students, and its teacher's where teachers are crossed with seeds."""
    seed = max(map(plan.seeds_in_words, runs), key=len)
    seeds = dict.fromkeys(run.seed for run in runs)
    if len(seeds) == 1:
        return seed
    return f"seeds {', '.join(map(str, seeds))}{seed[seed.find(',') :] if ',' in seed else ''}"


def columns_in_words(columns: Iterable[str]) -> str:
    """Return the columns of a group of students, how often each if more than once."""
    return ", ".join(f"{name} ×{n}" if n > 1 else name for name, n in Counter(columns).items())


def duration(costs: Sequence[float], slots: int) -> float:
    """Return when the last of some tasks ends if each slot takes the next one as soon as it is free."""
    free = [0.0] * slots
    for cost in costs:
        heapreplace(free, free[0] + cost)
    return max(free)
