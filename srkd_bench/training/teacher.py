"""The teacher's forward pass: one per batch, shared by all students."""

import dataclasses
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from srkd_bench.config.training import TrainSpec
from srkd_bench.methods.base import Method
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.training.precision import autocast
from srkd_bench.training.teacher_cache import on_grid


def teacher_pass(
    teacher: Architecture | None, methods: Iterable[Method], train: TrainSpec, device: torch.device
) -> Callable[[Tensor], Output]:
    """Return the teacher's forward pass, as `TeacherView` calls it for a batch of LR images.

    It runs without gradient at the precision of the training, reads features at the taps of all methods that use
    the teacher, and rounds SR to the grid of the teacher cache.

    Args:
        teacher: None if no method uses one; the pass must then not be called.
    """
    taps = sorted({tap for method in methods if method.looks for tap in method.taps})

    @torch.no_grad()
    def forward(lr: Tensor) -> Output:
        assert teacher is not None
        with autocast(train, device):
            output: Output = teacher(lr, taps)
        return dataclasses.replace(output, sr=on_grid(output.sr))

    return forward
