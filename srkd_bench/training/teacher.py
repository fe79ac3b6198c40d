"""The teacher's forward pass: one per batch, shared by all students."""

import dataclasses
from collections.abc import Iterable

import torch
from torch import Tensor

from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.labels import on_grid
from srkd_bench.methods.base import Method
from srkd_bench.methods.features import check_declared
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.training.precision import autocast


class TeacherPass:
    """The teacher's forward pass, as `TeacherView` calls it for a batch of LR images.

    It runs without gradient at the precision of the training, reads features at the taps of all methods that use
    the teacher's features, and rounds SR to the 16-bit grid of `data.labels`.

    Args:
        teacher: with frozen weights; None if no method needs one, or only labels, and a pass is then an SrkdError.
    """

    def __init__(
        self, teacher: Architecture | None, methods: Iterable[Method], train: TrainSpec, device: torch.device
    ) -> None:
        methods = [*methods]
        self._teacher, self._train, self._device = teacher, train, device
        self._resumed = {who for method in methods for who in method.resumes}
        self._taps = sorted({tap for method in methods if method.uses("features") for tap in method.taps})

    @torch.no_grad()
    def __call__(self, lr: Tensor) -> Output:
        """Return the teacher's output for LR images (N, 3, h, w) in [0, 1]."""
        with autocast(self._train, self._device):
            output: Output = self._network(lr, self._taps)
        return dataclasses.replace(output, sr=on_grid(output.sr))

    def resume(self, tap: float, features: Tensor, lr: Tensor) -> Tensor:
        """Return SR as `Architecture.resume` does, at the precision of the training, not rounded."""
        check_declared("teacher", self._resumed)
        with autocast(self._train, self._device):
            return self._network.resume(tap, features, lr)

    @property
    def _network(self) -> Architecture:
        if self._teacher is None:
            raise SrkdError(
                "a method uses more of the teacher than its class attribute `needs` names",
                'needs = ("sr", "features", "network") names all; leave out what the method does not use',
            )
        return self._teacher
