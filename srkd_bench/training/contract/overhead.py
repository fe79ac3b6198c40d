"""Measure the time and memory of a method per step."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Method, TeacherView
from srkd_bench.networks.loading import build
from srkd_bench.training.contract.harness import Noise, learner_of
from srkd_bench.training.learner import Learner

STUDENT, TEACHER = ModelSpec(n_feats=16, n_resblocks=4), ModelSpec(n_feats=32, n_resblocks=8)
ROUNDS = 5


def overhead(method: Method) -> str:
    """Describe the cost of a training step of the demo's student, without the teacher's forward pass."""
    train = TrainSpec(batch=max(8, method.min_batch), patch=24, steps=1000)
    teacher = build(TEACHER, 1).requires_grad_(False).eval()
    lr, hr = Noise(train).batch(0)
    with torch.no_grad():
        output = teacher(lr, method.taps)
    look = torch.no_grad()(lambda images: output if images is lr else teacher(images, method.taps))

    def step(learner: Learner) -> float:
        begun = time.monotonic()
        learner.advance(lr, hr, TeacherView(look, lr, resume=teacher.resume))
        return time.monotonic() - begun

    with TemporaryDirectory() as folder:
        none, it = (
            learner_of(name, one, teacher, Path(folder) / name, train, STUDENT)
            for name, one in {"none": registry.build("none", {}), "it": method}.items()
        )
        bytes_of_none, bytes_of_it = (_kept(partial(step, learner)) for learner in (none, it))
        times = [(step(none), step(it)) for _ in range(ROUNDS)]
    alone, own = (statistics.median(column) for column in zip(*times, strict=True))
    extra = sum(weight.numel() for weight in it.adapter.parameters())
    return (
        f"{1000 * own:.0f} ms, {own / alone:.2f} × none, without the teacher's pass;"
        f" {bytes_of_it / 1e6:.1f} MB kept for the backward pass, {bytes_of_it / bytes_of_none:.2f} × none;"
        f" {extra:,} weights beside the student ({STUDENT}, {train.batch} patches of {train.patch}×{train.patch})"
    )


def _kept(act: Callable[[], object]) -> int:
    """Return the bytes of tensors stored for backward passes, counting shared memory once."""
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        act()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
