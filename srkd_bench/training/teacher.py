"""The teacher's forward pass: one per batch, shared by all students."""

import dataclasses
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.labels import on_grid
from srkd_bench.methods.base import Method
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.training.precision import autocast


def teacher_pass(
    teacher: Architecture | None, methods: Iterable[Method], train: TrainSpec, device: torch.device
) -> Callable[[Tensor], Output]:
    """Return the teacher's forward pass, as `TeacherView` calls it for a batch of LR images.

    It runs without gradient at the precision of the training, reads features at the taps of all methods that use
    the teacher's features, and rounds SR to the 16-bit grid of `data.labels`.

    Args:
        teacher: None if no method needs one, or only labels; a pass is then an SrkdError.
    """
    taps = sorted({tap for method in methods if method.uses("features") for tap in method.taps})

    @torch.no_grad()
    def forward(lr: Tensor) -> Output:
        if teacher is None:
            raise SrkdError(
                "a method uses more of the teacher than its class attribute `needs` names",
                'needs = ("sr", "features", "network") names all; leave out what the method does not use',
            )
        with autocast(train, device):
            output: Output = teacher(lr, taps)
        return dataclasses.replace(output, sr=on_grid(output.sr))

    return forward
