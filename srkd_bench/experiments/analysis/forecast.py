"""Predict time and disk use of a plan by timing a few steps."""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch

from srkd_bench.config.artifacts import Labels, Run
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import NetworkSpec
from srkd_bench.data.image_set import hr_sizes, packed, pixels_of, spec_of
from srkd_bench.data.labels import finished_images, on_grid
from srkd_bench.evaluation.inference.profile import wait
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scores import measurement
from srkd_bench.evaluation.scoring import VALIDATION_SIDE, bicubic, network
from srkd_bench.experiments.planning.label_cost import lr_pixels, steps_paid
from srkd_bench.experiments.planning.planner import MISSING, Plan
from srkd_bench.experiments.planning.tasks import Task, duration, tasks
from srkd_bench.experiments.runs.preflight import check_unpacked
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.loading import build
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import VALIDATE
from srkd_bench.training.schedule import event_every, share_every
from srkd_bench.training.stack import stacks_of
from srkd_bench.training.teacher import teacher_pass
from srkd_bench.training.teacher_cache import bytes_for
from srkd_bench.training.transfers import Batch, settle

TRIAL_STEPS = 20
TRIAL_SECONDS = 3.0  # time limit of a trial
TRIAL_MULTIPLY_ADDS = 2e11  # maximum batch size of a trial step
TRIAL_SIDE = 64  # LR pixels of the image for timing evaluation


@dataclass(frozen=True)
class Job:
    """One part of a plan: a data set or a task.

    Args:
        kind: `data`, or the kind of a task.
        state: `cached`, `to do`, or the progress so far.
        seconds: estimated remaining time; None if unknown.
        disk: bytes that it will add to the store.
        flops: floating-point operations of the remaining training, as `Task.flops` counts them.
    """

    kind: Literal["data", "teacher", "labels", "group", "scores"]
    what: str
    state: str
    seconds: float | None = 0.0
    disk: int = 0
    flops: int = 0


@dataclass(frozen=True)
class Forecast:
    """The predicted cost of a plan.

    Args:
        jobs: the parts of the plan, in order.
        slots: number of devices used in parallel.
        device: the device on which the speeds were measured.
        home: folder of the store.
    """

    suite: str
    jobs: Sequence[Job]
    slots: int
    device: str
    home: Path

    @property
    def seconds(self) -> float:
        """Total time of all jobs with a known time on one device."""
        return sum(job.seconds or 0.0 for job in self.jobs)

    @property
    def seconds_together(self) -> float:
        """The time on all devices: first the teachers, then their labels, the groups and the scores."""
        kinds = ("data", "teacher", "labels", "group", "scores")
        times = ([job.seconds or 0.0 for job in self.jobs if job.kind == kind] for kind in kinds)
        return sum(duration(costs, self.slots) for costs in times)

    @property
    def disk(self) -> int:
        """Bytes that will be added to the store."""
        return sum(job.disk for job in self.jobs)

    @property
    def flops(self) -> int:
        """Floating-point operations of the trainings."""
        return sum(job.flops for job in self.jobs)

    @property
    def missing(self) -> list[str]:
        """Names of the data sets that have to be downloaded."""
        return [job.what.removeprefix("data ") for job in self.jobs if job.state == "to download"]


@dataclass(frozen=True)
class Pace:
    """The measured cost of a group of runs that are trained together, in seconds and bytes.

    Args:
        step: a training step of all.
        event: additional time of a logged step that measures the gradient share.
        validation: time to validate one network.
        event_bytes: size of a logged event in the store.
    """

    step: float
    event: float
    validation: float
    event_bytes: int


def forecast(plan: Plan, place: Workplace, slots: int = 1) -> Forecast:
    """Predict the cost of a plan. Speeds come from up to 20 real steps on this machine.

    Args:
        slots: number of processes that will work on it, each on a machine or device like this one.
    """
    store, suite = place.store, plan.suite
    check_unpacked(plan, place)
    jobs = [_data(name, suite.data.scale, store) for name in suite.data.names]
    for key in (key for key in plan.networks if store.has(key)):
        jobs.append(Job("teacher" if key in plan.teachers else "group", plan.title(key), "cached"))
    labels = dict.fromkeys(run.teacher_labels for run in plan.students if run.teacher_labels)
    jobs += [Job("labels", plan.labels_title(key), "cached") for key in labels if store.has(key)]
    jobs += [*_trainings(plan, place, slots), *_scores(plan, place)]
    return Forecast(suite.name, jobs, slots, str(place.device), store.home)


def _trainings(plan: Plan, place: Workplace, slots: int) -> list[Job]:
    jobs, alike = list[Job](), dict[tuple[str, ...], Job]()
    for task in (task for task in tasks(plan, place.store, slots) if task.kind != "scores"):
        if task.labels is not None:
            jobs.append(_labels(task.labels, plan, place))
            continue
        if not task.runs:  # weights
            model = plan.teacher.model
            jobs.append(Job("teacher", f"teacher {model}", "to load", 0.0, 4 * model.parameters))
            continue
        methods = (task.kind, *map(plan.column, task.runs))
        job = _group(task, plan, place, alike.get(methods))
        jobs.append(job)
        if job.state == "to do":
            alike.setdefault(methods, job)
    return jobs


def _labels(key: Labels, plan: Plan, place: Workplace) -> Job:
    """Return what computing teacher labels takes, and the number of steps whose teacher passes cost as much."""
    data, train, model = plan.suite.data, plan.suite.train, plan.teacher.model
    sizes, pixels = hr_sizes(place.store, data.train), lr_pixels(place.store, data.train, data.scale)
    if sizes is None or pixels is None:
        return Job("labels", "teacher labels", "to do", None)
    done = len(finished_images(place.store.work(key))) / len(sizes)
    network = build(model, 0).to(place.device).requires_grad_(False).eval()
    forward = teacher_pass(network, [], train, place.device)
    lr = torch.rand(1, 3, TRIAL_SIDE, TRIAL_SIDE, device=place.device)
    work = key.passes * pixels * (1 - done)
    seconds = work * _median(lambda: forward(lr), place) / TRIAL_SIDE**2
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


def _group(task: Task, plan: Plan, place: Workplace, alike: Job | None) -> Job:
    runs, store = task.runs, place.store
    train = runs[0].train
    done = min(checkpoints.steps_done(store.work(run)) for run in runs)
    if alike is not None and not done:
        return replace(alike, what=task.name)
    pace = paced(runs, plan.suite.data.validation, place)
    rest = train.steps - done
    seconds = rest * pace.step + rest / share_every(train) * pace.event
    seconds += rest / event_every(train) / VALIDATE * len(runs) * pace.validation
    cached = any(run.teacher for run in runs) and not any(run.teacher_labels for run in runs)
    kept = bytes_for(train, plan.suite.data.scale) if cached else 0
    disk = sum(4 * run.model.parameters for run in runs)
    disk += int(train.steps / event_every(train)) * pace.event_bytes
    disk += kept if kept <= place.options.teacher_cache else 0
    flops = task.flops * (train.steps - done) // train.steps
    state = f"{done / train.steps:.0%} done" if done else "to do"
    return Job(task.kind, task.name, state, seconds, disk, flops)


def _scores(plan: Plan, place: Workplace) -> list[Job]:
    """Predict the cost of evaluation, one job per data set."""
    store, suite = place.store, plan.suite
    scale, ensemble = suite.data.scale, suite.evaluate.self_ensemble
    jobs, paces = list[Job](), dict[NetworkSpec | None, float]()
    for name in suite.data.test:
        digest, pixels = pixels_of(store, name) or MISSING, _hr_pixels(store, name)
        todo = [
            None if key is None else key.model
            for key in (None, *plan.networks)
            if not store.has(measurement(key, digest, scale, self_ensemble=ensemble))
        ]
        for spec in {*todo} - {*paces}:
            paces[spec] = seconds_a_pixel(spec, scale, place) * (8 if ensemble and spec else 1)
        if todo:
            seconds = sum(paces[spec] for spec in todo) * pixels if pixels else None
            jobs.append(Job("scores", f"scores of {len(todo)} networks on {name}", "to do", seconds))
    return jobs


def paced(runs: list[Run], validation: str | None, place: Workplace) -> Pace:
    """Measure the cost of runs that are trained together, from a few real steps on noise.

    On a CPU, large networks are timed with a part of the batch; the time is assumed to be proportional. A GPU takes
    the whole batch, since a part would not occupy it.
    """
    train, scale = runs[0].train, runs[0].model.scale
    known = next((run.teacher for run in runs if run.teacher), None)
    work = sum(3 * run.model.multiply_adds for run in runs) + (known.model.multiply_adds if known else 0)
    fitting = int(min(train.batch, max(2, TRIAL_MULTIPLY_ADDS / (work * train.patch**2))))
    images = fitting if place.device.type == "cpu" else train.batch
    with tempfile.TemporaryDirectory() as folder:
        learners, step = trial(runs, images, Path(folder), place)
        seconds = _median(step, place)
        logged = _median(lambda: step({}), place)
    whole = train.batch / images
    event = sum(len(json.dumps(learner.last)) + 1 for learner in learners)
    looked = 0.0
    if validation is not None:
        a_pixel = seconds_a_pixel(runs[0].model, scale, place, metrics=["psnr_y"])
        looked = a_pixel * spec_of(place.store, validation).count * (VALIDATION_SIDE * scale) ** 2
    return Pace(whole * seconds, max(0.0, whole * (logged - seconds)), looked, event)


def trial(
    runs: list[Run], images: int, folder: Path, place: Workplace
) -> tuple[list[Learner], Callable[..., None]]:
    """Return learners of these runs, and a function that trains all of them for one step on a batch of noise.

    The teacher makes one forward pass for each seed, as in a training.
    """
    train, scale = runs[0].train, runs[0].model.scale
    known = next((run.teacher for run in runs if run.teacher), None)
    teacher = build(known.model, 0).to(place.device).requires_grad_(False).eval() if known else None
    lr = torch.rand(images, 3, train.patch, train.patch, device=place.device)
    hr = torch.rand(images, 3, scale * train.patch, scale * train.patch, device=place.device)
    learners = [Learner(run, None, teacher, lr, folder, place.device) for run in runs]
    stacks, seeds = stacks_of(learners), dict.fromkeys(run.seed for run in runs)
    forward = teacher_pass(teacher, [one.method for one in learners], train, place.device)
    labels = on_grid(hr) if any(run.teacher_labels for run in runs) else None

    def step(log: dict[str, float] | None = None) -> None:
        batches = {seed: Batch(lr, hr, TeacherView(forward, lr, lambda: labels)) for seed in seeds}
        for stack in stacks:
            stack.advance(batches, dict.fromkeys(learners, log))
        for learner in learners:
            if not learner.run.train.stacked:
                learner.advance(lr, hr, batches[learner.run.seed].view, log)
        settle(*learners)

    return learners, step


def seconds_a_pixel(
    spec: NetworkSpec | None,
    scale: int,
    place: Workplace,
    metrics: Iterable[str] = tuple(METRICS),
) -> float:
    """Return the time per HR pixel of a network (None: bicubic), including the metrics."""
    lr = np.random.default_rng(0).integers(0, 256, (TRIAL_SIDE, TRIAL_SIDE, 3), np.uint8)
    upscaler = bicubic(scale) if spec is None else network(build(spec, 0), device=place.device)

    def score() -> None:
        sr = upscaler("noise", lr)
        measure(sr, np.roll(sr, 1, 0), scale=scale, metrics=metrics)

    return _median(score, place) / (scale * TRIAL_SIDE) ** 2


def _median(work: Callable[[], object], place: Workplace) -> float:
    """Return the median seconds of up to 20 calls, after one warm-up call."""
    times: list[float] = []
    work()
    while not times or (len(times) < TRIAL_STEPS and sum(times) < TRIAL_SECONDS):
        begun = time.perf_counter()
        work()
        wait(place.device)
        times.append(time.perf_counter() - begun)
    return median(times)
