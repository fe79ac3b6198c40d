"""What a plan will cost: what is cached, what will run, about how long, how much disk."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from srkd_bench import checkpoint, methods
from srkd_bench.config import Run, Weights
from srkd_bench.datasets import find
from srkd_bench.method import TeacherView
from srkd_bench.models import build
from srkd_bench.packs import pixels_of
from srkd_bench.planning import Plan
from srkd_bench.runs import Workplace
from srkd_bench.store import ArtifactStore
from srkd_bench.train import Learner, autocast

TRIAL_MULTIPLY_ADDS = 2e11  # a trial step is cut to so many images of its batch


@dataclass(frozen=True)
class Job:
    """One thing that a plan needs.

    Args:
        state: `cached`, `to do`, or how far it is.
        seconds: about how long the rest will take; None if that isn't known.
        disk: bytes that it will add.
    """

    what: str
    state: str
    seconds: float | None = 0.0
    disk: int = 0


def forecast(plan: Plan, place: Workplace) -> list[Job]:
    """Return what a plan needs, in order. Speeds come from a few real steps on this machine."""
    store = place.store
    names = plan.suite.data.names
    jobs = [_data(name, store) for name in names]
    if isinstance(plan.teacher, Weights):
        done = store.has(plan.teacher)
        jobs.append(Job(f"teacher {plan.teacher.model}", "cached" if done else "to load", 0.0))
    else:
        jobs.append(_group("teacher", [plan.teacher], place))
    for seed in plan.suite.seeds:
        for run in (run for run in plan.students if run.seed == seed and store.has(run)):
            jobs.append(Job(f"{run.method} seed {seed}", "cached"))
        todo = [run for run in plan.students if run.seed == seed and not store.has(run)]
        if todo:
            speed = next((job for job in jobs if job.what.startswith("seed ")), None)
            jobs.append(_group(f"seed {seed}: {', '.join(run.method for run in todo)}", todo, place, speed))
    return jobs


def _data(name: str, store: ArtifactStore) -> Job:
    if pixels_of(store, name) is not None:
        return Job(f"data {name}", "here")
    size = find(name).sources[0].size or 0
    # An archive of PNGs is about half of its pixels, and LR adds a quarter of those.
    return Job(f"data {name}", "to download", None, int(3.5 * size))


def _group(what: str, runs: list[Run], place: Workplace, alike: Job | None = None) -> Job:
    store, steps = place.store, runs[0].train.steps
    if all(store.has(run) for run in runs):
        return Job(what, "cached")
    done = min(checkpoint.steps_done(store.work(run)) for run in runs)
    # Weights, Adam's two moments and the weights in the checkpoint, four bytes each.
    disk = sum(4 * 4 * run.model.parameters for run in runs)
    if alike is not None and alike.seconds is not None and not done and alike.state == "to do":
        seconds = alike.seconds
    else:
        seconds = (steps - done) * seconds_a_step(runs, place)
    return Job(what, f"{done / steps:.0%} done" if done else "to do", seconds, disk)


def seconds_a_step(runs: list[Run], place: Workplace) -> float:
    """Return how long a training step of these runs takes side by side, from a few real steps on noise.

    Networks too big for a quick trial are tried with a part of the batch; the time is taken as proportional.
    """
    train, scale = runs[0].train, runs[0].model.scale
    known = next((run.teacher for run in runs if run.teacher), None)
    work = sum(3 * run.model.multiply_adds for run in runs) + (known.model.multiply_adds if known else 0)
    images = int(min(train.batch, max(2, TRIAL_MULTIPLY_ADDS / (work * train.patch**2))))
    teacher = build(known.model, 0).to(place.device).requires_grad_(False).eval() if known else None
    lr = torch.rand(images, 3, train.patch, train.patch, device=place.device)
    hr = torch.rand(images, 3, scale * train.patch, scale * train.patch, device=place.device)
    with tempfile.TemporaryDirectory() as folder:
        learners = []
        for run in runs:
            method = methods.rebuild(run.method, run.params)
            sees = teacher if method.looks else None
            learners.append(Learner(run, method, sees, lr, Path(folder), place.device))
        taps = sorted({tap for learner in learners for tap in learner.method.taps})

        def step() -> None:
            with torch.no_grad(), autocast(train, place.device):
                output = teacher(lr, taps) if teacher else None
            view = TeacherView(lambda lr: output, lr)  # type: ignore[arg-type, return-value]
            for learner in learners:
                learner.advance(lr, hr, view)
            if place.device.type == "cuda":
                torch.cuda.synchronize(place.device)

        step()
        begun, count = time.monotonic(), 0
        while count == 0 or (time.monotonic() - begun < 1.0 and count < 20):
            step()
            count += 1
    return (time.monotonic() - begun) / count * train.batch / images
