"""What training side by side costs: a step of all six methods against its parts, measured in one run.

The parts are one pass of the teacher over the batch (all taps), and each student's own step with the teacher's
output at hand. Rounds of the whole and of the parts alternate, so that a noisy machine slows both.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch

from benchmarks.measure import Row, by_turns, lacks_bf16, ratio
from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.data.labels import on_grid
from srkd_bench.methods import registry
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from srkd_bench.training.learner import Learner
from srkd_bench.training.precision import autocast
from srkd_bench.training.schedule import share_every
from srkd_bench.training.transfers import settle

METHODS = ["none", "hkd", "ckd", "rkd", "rvkd", "rkd+hkd"]
CPU = torch.device("cpu")


def learner_of(
    name: str, student: ModelSpec, train: TrainSpec, teacher: EDSR | None, lr: torch.Tensor, seed: int = 0
) -> Learner:
    """Return a learner on noise, without a checkpoint."""
    method = registry.build(name, {})
    run = Run(
        model=student, train=train, data="noise", pixels="noise", method=name,
        params=registry.identity(method, name), seed=seed, teacher=None,
    )  # fmt: skip
    return Learner(run, method, teacher, lr, Path(tempfile.gettempdir()) / "srkd-no-checkpoint", CPU)


def steps(teacher: ModelSpec, student: ModelSpec, train: TrainSpec) -> dict[str, Callable[[], object]]:
    """Return what can be timed.

    `whole` is a step of all methods, `logged` the same with the gradient shares, `teacher` its pass; then each
    method's own step.
    """
    network = build(teacher, 0).requires_grad_(False).eval()
    lr = torch.rand(train.batch, 3, train.patch, train.patch)
    hr = torch.rand(train.batch, 3, 2 * train.patch, 2 * train.patch)
    learners = [learner_of(name, student, train, network, lr) for name in METHODS]
    taps = sorted({tap for learner in learners for tap in learner.method.taps})

    @torch.no_grad()
    def look(images: torch.Tensor) -> Output:
        with autocast(train, CPU):
            output: Output = network(images, taps)
        return Output(on_grid(output.sr), output.feats)

    def whole(log: dict[str, float] | None = None) -> None:
        view = TeacherView(look, lr)
        for learner in learners:
            learner.advance(lr, hr, view, log)
        settle(*learners)

    known = look(lr)
    alone = {
        learner.run.method: partial(learner.advance, lr, hr, TeacherView(lambda images: known, lr))
        for learner in learners
    }
    return {"whole": whole, "logged": partial(whole, {}), "teacher": partial(look, lr), **alone}


def compared(name: str, teacher: ModelSpec, student: ModelSpec, train: TrainSpec, rounds: int) -> list[Row]:
    works = steps(teacher, student, train)
    times = by_turns(rounds, **works)
    bf16 = steps(teacher, student, train.model_copy(update={"precision": "bf16"}))["whole"]
    precisions = by_turns(rounds, fp32=works["whole"], bf16=bf16)
    own = [sum(each) for each in zip(*(times[method] for method in METHODS), strict=True)]
    parts = [a + b for a, b in zip(times["teacher"], own, strict=True)]
    separate = [len(METHODS[1:]) * a + b for a, b in zip(times["teacher"], own, strict=True)]
    logging = (ratio(times["logged"], times["whole"]) - 1) / share_every(train)
    return [
        Row(f"9. measuring gradient shares / a training of all six methods, {name}", logging, "x", 0.01),
        Row(f"1. all six methods' step / its parts, {name}", ratio(times["whole"], parts), "x", 1.05),
        Row(
            f"1. six separate trainings / side by side, {name}",
            ratio(separate, times["whole"]),
            "x",
            3.0 if name == "study's sizes" else None,
            more=True,
            note=f"a step takes {median(times['whole']):.3g} s, of it the teacher {median(times['teacher']):.3g} s",
        ),
        Row(
            f"1. six separate trainings in fp32 / side by side in bf16, {name}",
            ratio(separate, times["whole"]) * ratio(precisions["fp32"], precisions["bf16"]),
            "x",
            5.0 if name == "study's sizes" and not lacks_bf16() else None,
            more=True,
            note=lacks_bf16(),
        ),
    ]


def rows(quick: bool) -> list[Row]:
    small = TrainSpec(batch=8, patch=24, steps=1000)
    if quick:
        tiny = TrainSpec(batch=4, patch=8, steps=1000)
        return compared(
            "tiny", ModelSpec(n_feats=8, n_resblocks=4), ModelSpec(n_feats=4, n_resblocks=4), tiny, 2
        )
    study = TrainSpec(batch=8, patch=48, steps=1000)
    big = ModelSpec(n_feats=256, n_resblocks=32, res_scale=0.1)
    return [
        *compared(
            "demo's sizes",
            ModelSpec(n_feats=32, n_resblocks=8),
            ModelSpec(n_feats=16, n_resblocks=4),
            small,
            30,
        ),
        *compared("study's sizes", big, ModelSpec(n_feats=64, n_resblocks=16), study, 3),
    ]
