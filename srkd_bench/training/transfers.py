"""Move batches to the device and losses back without stalling the device."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from srkd_bench.data.patches import Patches
from srkd_bench.methods.base import TeacherView
from srkd_bench.training.teacher import TeacherPass

PINNED = ("cuda", "xpu")  # devices that copy pinned memory while they compute


def upload(images: Tensor, device: torch.device) -> Tensor:
    """Return images on a device; the copy may still be running."""
    return images.pin_memory().to(device, non_blocking=True) if device.type in PINNED else images.to(device)


class Batch(NamedTuple):
    """A training batch on the device.

    Args:
        lr, hr: (N, 3, h, w) and (N, 3, scale*h, scale*w) in [0, 1].
        view: the teacher's output for it.
    """

    lr: Tensor
    hr: Tensor
    view: TeacherView


@dataclass(frozen=True)
class Batches:
    """The batches of a seed.

    Args:
        forward: the teacher's forward pass.
    """

    patches: Patches
    forward: TeacherPass
    device: torch.device

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        lr, hr, *labels = (upload(images, self.device) for images in self.patches.batch(step))
        view = TeacherView(self.forward, lr, labels[0] if labels else None, self.forward.resume)
        return Batch(lr, hr, view)


@dataclass(frozen=True)
class Reading:
    """Values that a learner needs from the device.

    Args:
        values: (n,), on the device.
        take: receives the values once they are known.
    """

    values: Tensor
    take: Callable[[list[float]], None]


class Reader(Protocol):
    """A learner: `unread` are the readings of its steps, oldest first."""

    unread: list[Reading]


@dataclass
class _Copy:
    """Readings whose values are being copied to the host."""

    readings: list[Reading]
    values: Tensor = field(init=False)
    done: torch.Event | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        together = torch.cat([one.values for one in self.readings])
        self.values = together.to("cpu", non_blocking=True)
        if together.device.type not in ("cpu", "meta"):
            self.done = torch.Event(together.device)
            self.done.record()

    def deliver(self) -> None:
        if self.done is not None:
            self.done.synchronize()
        values = self.values.tolist()
        for one in self.readings:
            count = len(one.values)
            one.take(values[:count])
            values = values[count:]


class Readout:
    """Read the values of all learners of a step with one copy, and wait for it only after the next step.

    So the device always has work while the host waits.
    """

    def __init__(self) -> None:
        self._copies: list[_Copy] = []

    def step(self, learners: Iterable[Reader]) -> None:
        """Start to copy the values of this step; deliver those of the previous ones."""
        before = len(self._copies)
        self._start(learners)
        self._deliver(before)

    def finish(self, learners: Iterable[Reader]) -> None:
        """Deliver all values."""
        self._start(learners)
        self._deliver(len(self._copies))

    def _start(self, learners: Iterable[Reader]) -> None:
        learners = list(learners)
        if readings := [one for learner in learners for one in learner.unread]:
            self._copies.append(_Copy(readings))
            for learner in learners:
                learner.unread.clear()

    def _deliver(self, count: int) -> None:
        for _ in range(count):
            self._copies[0].deliver()
            del self._copies[0]


def settle(*learners: Reader) -> None:
    """Deliver all values of learners now."""
    Readout().finish(learners)
