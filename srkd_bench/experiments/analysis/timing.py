"""Time training steps and evaluation on this machine, on noise."""

import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from srkd_bench.config.artifacts import Run
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import NetworkSpec
from srkd_bench.data.image_set import spec_of
from srkd_bench.data.labels import on_grid
from srkd_bench.evaluation.inference.profile import wait
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scoring import VALIDATION_SIDE, bicubic, network
from srkd_bench.experiments.planning.tasks import teacher_of
from srkd_bench.experiments.runs.preflight import untrained_teacher
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.loading import build
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.compilation import begin_step
from srkd_bench.training.learner import Learner
from srkd_bench.training.stack import stacks_of
from srkd_bench.training.teacher import TeacherPass
from srkd_bench.training.transfers import Batch, settle

TRIAL_STEPS = 20
TRIAL_SECONDS = 3.0  # time limit of a trial
TRIAL_MULTIPLY_ADDS = 2e11  # maximum batch size of a trial step
TRIAL_SIDE = 64  # LR pixels of the image for timing evaluation


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


def paced(runs: list[Run], validation: str | None, place: Workplace) -> Pace:
    """Measure the cost of runs that are trained together, from a few real steps on noise.

    On a CPU, large networks are timed with a part of the batch; the time is assumed to be proportional. A GPU takes
    the whole batch, since a part would not occupy it.
    """
    train, scale = runs[0].train, runs[0].model.scale
    known = teacher_of(runs)
    work = sum(3 * run.model.multiply_adds for run in runs) + (known.model.multiply_adds if known else 0)
    fitting = int(min(train.batch, max(2, TRIAL_MULTIPLY_ADDS / (work * train.patch**2))))
    images = fitting if place.device.type == "cpu" else train.batch
    with tempfile.TemporaryDirectory() as folder:
        learners, step = trial(runs, images, Path(folder), place)
        seconds = median_seconds(step, place)
        logged = median_seconds(lambda: step({}), place)
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
    known = teacher_of(runs)
    teacher = untrained_teacher(known.model, place.device) if known else None
    lr = torch.rand(images, 3, train.patch, train.patch, device=place.device)
    hr = torch.rand(images, 3, scale * train.patch, scale * train.patch, device=place.device)
    learners = [Learner(run, None, teacher, lr, folder, place.device) for run in runs]
    stacks, seeds = stacks_of(learners), dict.fromkeys(run.seed for run in runs)
    forward = TeacherPass(teacher, [one.method for one in learners], train, place.device)
    labels = on_grid(hr) if any(run.teacher_labels for run in runs) else None

    def step(log: dict[str, float] | None = None) -> None:
        begin_step(train.compile)
        batches = {seed: Batch(lr, hr, TeacherView(forward, lr, labels, forward.resume)) for seed in seeds}
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

    return median_seconds(score, place) / (scale * TRIAL_SIDE) ** 2


def median_seconds(work: Callable[[], object], place: Workplace) -> float:
    """Return the median seconds of up to 20 calls, after one warm-up call.

    If the warm-up takes as long as a trial may, it is the only call: large networks need no more warming up.

    On a CPU, the mean CPU time of a call is returned if it is less: the rest of the time went to other processes.
    """
    times, used = _timed(work, place, 1)
    if times[0] < TRIAL_SECONDS:
        times, used = _timed(work, place, TRIAL_STEPS)
    if (
        place.device.type != "cpu" or used == 0
    ):  # short work may take less than the resolution of the CPU time
        return median(times)
    return min(median(times), used / len(times))


def _timed(work: Callable[[], object], place: Workplace, most: int) -> tuple[list[float], float]:
    """Return the elapsed seconds of each call, and the CPU seconds of all."""
    times, used = list[float](), time.process_time()
    while not times or (len(times) < most and sum(times) < TRIAL_SECONDS):
        begun = time.perf_counter()
        work()
        wait(place.device)
        times.append(time.perf_counter() - begun)
    return times, time.process_time() - used
