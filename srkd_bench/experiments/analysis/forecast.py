"""Predict time and disk use of a plan by timing a few steps."""

import math
import time
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from srkd_bench.config.artifacts import Labels, Run
from srkd_bench.config.network import NetworkSpec
from srkd_bench.data.image_set import hr_sizes, packed, pixels_of, spec_of
from srkd_bench.data.labels import finished_images
from srkd_bench.evaluation.scores import measurement
from srkd_bench.experiments.analysis.timing import TRIAL_SIDE, Pace, median_seconds, paced, seconds_a_pixel
from srkd_bench.experiments.planning.grid import Plans, cell_of, in_cell, name_of, plans_of
from srkd_bench.experiments.planning.label_cost import lr_pixels, steps_paid
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import Task, duration, tasks
from srkd_bench.experiments.planning.teachers import MISSING
from srkd_bench.experiments.runs.preflight import check_unpacked, untrained_teacher
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.loop import VALIDATE
from srkd_bench.training.precision import has_bf16_arithmetic
from srkd_bench.training.schedule import event_every, share_every
from srkd_bench.training.teacher import TeacherPass


@dataclass(frozen=True)
class Job:
    """One part of a plan: a data set or a task.

    Args:
        kind: `data`, or the kind of a task.
        state: `cached`, `to do`, or the progress so far.
        seconds: estimated remaining time; None if unknown.
        disk: bytes that it will add to the store.
        flops: floating-point operations of the remaining training, as `Task.flops` counts them.
        cell: of a grid; empty outside one, and for what all cells share.
        networks: how many it trains or has trained; 0 for other kinds.
    """

    kind: Literal["data", "teacher", "labels", "group", "scores"]
    what: str
    state: str
    seconds: float | None = 0.0
    disk: int = 0
    flops: int = 0
    cell: str = ""
    networks: int = 0


@dataclass(frozen=True)
class Forecast:
    """The predicted cost of a plan.

    Args:
        jobs: the parts of the plan, in order.
        slots: number of devices used in parallel.
        device: the device on which the speeds were measured.
        home: folder of the store.
        precisions: seconds of a training step of the first group in `fp32` and in `bf16`; empty if nothing is to be
            trained, or for a processor without bfloat16 arithmetic and for a GPU.
        slowdown: how many times as long the measurements took as the CPU time that this process got for them; above
            1 if other processes keep the processor busy. All times are those of a processor without other work.
    """

    suite: str
    jobs: Sequence[Job]
    slots: int
    device: str
    home: Path
    precisions: Mapping[str, float] = field(default_factory=dict)
    slowdown: float = 1.0

    @property
    def seconds(self) -> float:
        """Total time of all jobs with a known time on one device."""
        return sum(job.seconds or 0.0 for job in self.jobs)

    @property
    def seconds_together(self) -> float:
        """The time on all devices: first the teachers, then their labels, the groups and the scores."""
        kinds = ("data", "teacher", "group", "scores")
        times = ([job.seconds or 0.0 for job in self.jobs if job.kind == kind] for kind in kinds)
        labels = sum(job.seconds or 0.0 for job in self.jobs if job.kind == "labels")  # each by all devices
        return sum(duration(costs, self.slots) for costs in times) + labels / self.slots

    @property
    def disk(self) -> int:
        """Bytes that will be added to the store."""
        return sum(job.disk for job in self.jobs)

    @property
    def by_cell(self) -> list[Job]:
        """The jobs, with the students of each cell of a grid as one job."""
        found: dict[tuple[str, str], list[Job]] = {}
        for job in self.jobs:
            is_cell = job.cell and job.kind == "group"
            found.setdefault((job.cell, "") if is_cell else (job.cell, job.what), []).append(job)
        return [_together(cell, own) if not what else own[0] for (cell, what), own in found.items()]

    @property
    def flops(self) -> int:
        """Floating-point operations of the trainings."""
        return sum(job.flops for job in self.jobs)

    @property
    def missing(self) -> list[str]:
        """Names of the data sets that have to be downloaded."""
        return [job.what.removeprefix("data ") for job in self.jobs if job.state == "to download"]


def _together(cell: str, jobs: Sequence[Job]) -> Job:
    """Return the students of a cell as one job."""
    states = Counter[str]()
    for job in jobs:
        states[job.state] += job.networks
    return Job(
        "group",
        f"students of {cell}",
        ", ".join(f"{count} {state}" for state, count in states.items()),
        sum(job.seconds or 0.0 for job in jobs),
        sum(job.disk for job in jobs),
        sum(job.flops for job in jobs),
        cell,
        states.total(),
    )


def forecast(plan: Plans, place: Workplace, slots: int = 1) -> Forecast:
    """Predict the cost of a plan. Speeds come from up to 20 real steps on this machine.

    Args:
        slots: number of processes that will work on it, each on a machine or device like this one.
    """
    store, plans = place.store, plans_of(plan)
    for one in plans:
        with in_cell(one.cell):
            check_unpacked(one, place)
    sets = dict.fromkeys((name, one.suite.data.scale) for one in plans for name in one.suite.data.names)
    jobs = [_data(name, scale, store) for name, scale in sets]
    jobs += _cached(plans, store)
    begun, used = time.perf_counter(), time.process_time()
    jobs += [*_trainings(plan, place, slots), *_scores(plans, place)]
    precisions = _precisions(plan, place)
    elapsed, own = time.perf_counter() - begun, time.process_time() - used
    slowdown = max(1.0, elapsed / own) if place.device.type == "cpu" and own > 0 else 1.0
    return Forecast(name_of(plan), jobs, slots, str(place.device), store.home, precisions, slowdown)


def _cached(plans: Sequence[Plan], store: ArtifactStore) -> list[Job]:
    """Return the networks and labels that are in the store, each once."""
    networks, labels = dict[str, Job](), dict[str, Job]()
    for one in plans:
        for key in one.networks:
            kind: Literal["teacher", "group"] = "teacher" if key in one.all_teachers else "group"
            if key.digest not in networks and store.has(key):
                networks[key.digest] = Job(kind, one.title(key), "cached", cell=one.cell, networks=1)
        for used in dict.fromkeys(run.teacher_labels for run in one.students if run.teacher_labels):
            if used.digest not in labels and store.has(used):
                labels[used.digest] = Job("labels", one.labels_title(used), "cached", cell=one.cell)
    return [*networks.values(), *labels.values()]


def _precisions(plan: Plans, place: Workplace) -> dict[str, float]:
    """Time a step of the first group in both precisions of a CPU: which one is faster depends on the processor."""
    groups = [task.runs for task in tasks(plan, place.store) if task.kind == "group"]
    if not groups or place.device.type != "cpu" or not has_bf16_arithmetic():
        return {}

    def step(precision: str) -> float:
        train = groups[0][0].train.model_copy(update={"precision": precision})
        return paced([run.model_copy(update={"train": train}) for run in groups[0]], None, place).step

    return {precision: step(precision) for precision in ("fp32", "bf16")}


def _trainings(plan: Plans, place: Workplace, slots: int) -> list[Job]:
    jobs, paces, labelled = list[Job](), dict[Hashable, Pace](), set[Labels]()
    for task in (task for task in tasks(plan, place.store, slots) if task.kind != "scores"):
        own = cell_of(plan, task.cell)
        if task.labels is not None:
            if task.labels in labelled:  # each process has a task for the same labels
                continue
            labelled.add(task.labels)
            jobs.append(_labels(task.labels, own, place))
        elif not task.runs:  # weights
            (weights,) = task.networks
            assert weights is not None
            title, disk = f"{task.name} {weights.model}", 4 * weights.model.parameters
            jobs.append(Job("teacher", title, "to load", 0.0, disk))
        else:
            jobs.append(_group(task, own, place, paces))
        jobs[-1] = replace(jobs[-1], cell=task.cell)
    return jobs


def _labels(key: Labels, plan: Plan, place: Workplace) -> Job:
    """Return what computing teacher labels takes, and the number of steps whose teacher passes cost as much."""
    data, train = plan.suite.data, plan.suite.train
    model = next(one.model for one in plan.all_teachers if one.digest == key.teacher)
    sizes, pixels = hr_sizes(place.store, data.train), lr_pixels(place.store, data.train, data.scale)
    if sizes is None or pixels is None:
        return Job("labels", "teacher labels", "to do", None)
    done = len(finished_images(place.store.work(key))) / len(sizes)
    forward = TeacherPass(untrained_teacher(model, place.device), [], train, place.device)
    lr = torch.rand(1, 3, TRIAL_SIDE, TRIAL_SIDE, device=place.device)
    work = key.passes * pixels * (1 - done)
    seconds = work * median_seconds(lambda: forward(lr), place) / TRIAL_SIDE**2
    steps = math.ceil(steps_paid(train, pixels, key.passes))
    what = f"teacher labels of {len(sizes)} images, which pay off after {steps:,} training steps"
    disk, state = 2 * 3 * pixels * data.scale**2, f"{done:.0%} done" if done else "to do"
    return Job("labels", what, state, seconds, int(disk * (1 - done)), int(2 * model.multiply_adds * work))


def _data(name: str, scale: int, store: ArtifactStore) -> Job:
    if packed(store, name) is not None:
        return Job("data", f"data {name}", "here")
    bytes_a_pixel = 3 + 3 / scale**2  # HR and LR
    if (pixels := _hr_pixels(store, name)) is not None:
        return Job("data", f"data {name}", "here", 0.0, int(bytes_a_pixel * pixels))
    size = next((source.size or 0 for source in spec_of(store, name).sources), 0)
    # An archive of PNGs is about half of its pixels, and LR adds a quarter of those; the archive is kept.
    return Job("data", f"data {name}", "to download", None, int(size + 2 / 3 * bytes_a_pixel * size))


def _hr_pixels(store: ArtifactStore, name: str) -> int | None:
    sizes = hr_sizes(store, name)
    return None if sizes is None else sum(height * width for height, width in sizes.values())


def _group(task: Task, plan: Plan, place: Workplace, paces: dict[Hashable, Pace]) -> Job:
    """Return what a training takes.

    Args:
        paces: of trainings that were timed, which are not timed again.
    """
    runs, store = task.runs, place.store
    train, validation = runs[0].train, plan.suite.data.validation
    done = min(checkpoints.steps_done(store.work(run)) for run in runs)
    kind = (validation, len({run.seed for run in runs}), *map(_kind, runs))
    pace = paces[kind] if kind in paces else paces.setdefault(kind, paced(runs, validation, place))
    rest = train.steps - done
    seconds = rest * pace.step + rest / share_every(train) * pace.event
    seconds += rest / event_every(train) / VALIDATE * len(runs) * pace.validation
    disk = sum(4 * run.model.parameters for run in runs)
    disk += int(train.steps / event_every(train)) * pace.event_bytes
    flops = task.flops * (train.steps - done) // train.steps
    state = f"{done / train.steps:.0%} done" if done else "to do"
    return Job(task.kind, task.name, state, seconds, disk, flops, networks=len(runs))


def _kind(run: Run) -> Hashable:
    """Return what decides the time of a training step."""
    of_time = {"batch", "patch", "precision", "compile", "ema", "augment", "loss", "stacked"}
    return (
        run.model.digest,
        run.method,
        run.labels,
        run.teacher and run.teacher.model.digest,
        str(run.train.model_dump(include=of_time)),
    )


def _scores(plans: Sequence[Plan], place: Workplace) -> list[Job]:
    """Predict the cost of evaluation, one job per data set."""
    store, paces = place.store, dict[tuple[NetworkSpec | None, int, bool], float]()
    todo: dict[tuple[str, int, bool], dict[str, NetworkSpec | None]] = {}
    for one in plans:
        suite, ensemble = one.suite, one.suite.evaluate.self_ensemble
        scale: int = suite.data.scale
        for name in suite.data.test:
            digest, networks = pixels_of(store, name) or MISSING, todo.setdefault((name, scale, ensemble), {})
            for key in (None, *one.networks):
                if not store.has(measurement(key, digest, scale, self_ensemble=ensemble)):
                    networks[key.digest if key else ""] = key.model if key else None

    def pace(spec: NetworkSpec | None, scale: int, ensemble: bool) -> float:
        if (spec, scale, ensemble) not in paces:
            passes = 8 if ensemble and spec else 1
            paces[spec, scale, ensemble] = passes * seconds_a_pixel(spec, scale, place)
        return paces[spec, scale, ensemble]

    jobs = list[Job]()
    for (name, scale, ensemble), networks in todo.items():
        pixels = _hr_pixels(store, name)
        times = sum(pace(spec, scale, ensemble) for spec in networks.values())
        if networks:
            what, seconds = (
                f"scores of {len(networks)} networks on {name}",
                times * pixels if pixels else None,
            )
            jobs.append(Job("scores", what, "to do", seconds))
    return jobs
