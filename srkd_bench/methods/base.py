"""The interface of a distillation method."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srkd_bench.networks.base import Output

Losses = dict[str, Tensor]
KINDS = ("none", "response", "relation", "feature", "mutual", "self")
# Types of hyper-parameters: every number has its bounds.
Weight = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=1, le=4096)]
# metadata of a field that a method got after runs of it were made. At its default it changes nothing and isn't said
# in a run's identity, so that those runs are still found.
LATER = {"later": True}
Need = Literal["sr", "features", "network"]


class TeacherView:
    """The teacher as seen by all students of a step: it looks at the batch once, when first asked.

    Args:
        forward: maps LR (N, 3, h, w) in [0, 1] to the teacher's output, without gradient.
        lr: the step's batch.
        kept: gives the SR of the batch if the store has it, as labels or in the teacher cache; None otherwise.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Output],
        lr: Tensor,
        kept: Callable[[], Tensor | None] = lambda: None,
    ) -> None:
        self.see = forward
        self._lr = lr
        self._kept = kept
        self._sr: Tensor | None = None
        self._output: Output | None = None

    @property
    def has_looked(self) -> bool:
        """Whether the teacher's pass over the batch was made."""
        return self._output is not None

    @property
    def output(self) -> Output:
        """The teacher's output for the batch."""
        if self._output is None:
            self._output = self.see(self._lr)
        return self._output

    @property
    def sr(self) -> Tensor:
        """The teacher's SR of the batch, as in `Output`."""
        if self._sr is None:
            kept = self._kept()
            self._sr = self.output.sr if kept is None else kept
        return self._sr

    @property
    def feats(self) -> dict[float, Tensor]:
        """The teacher's features of the batch at the taps that the methods declare, as in `Output`."""
        return self.output.feats


@dataclass(frozen=True)
class Step:
    """What a method sees of a training step. Losses are computed in float32, on images in [0, 1].

    Args:
        lr, hr: the batch, (N, 3, h, w) and (N, 3, scale*h, scale*w).
        student: its output for `lr`, with gradient.
        teacher: its view of the same batch; methods that don't declare `looks` must not ask it.
        rec: the loss against HR that the suite chose (`train.loss`), with gradient.
        progress: the part of the training that is done, in [0, 1).
        generator: the method's own random numbers.
        see: gives the student's output for other LR images, with gradient, features at the method's taps.
        autocast: gives the context in which a network that learns beside the student runs.
        loss: of an SR against HR, as the suite chose it: what gave `rec`, for what learns beside the student.
    """

    lr: Tensor
    hr: Tensor
    student: Output
    teacher: TeacherView
    rec: Tensor
    progress: float
    generator: torch.Generator
    see: Callable[[Tensor], Output]
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext
    loss: Callable[[Tensor, Tensor], Tensor] = F.mse_loss


@runtime_checkable
class HasTail(Protocol):
    """A network that lends what it does after its last block; methods ask by `isinstance`."""

    def __call__(self, lr: Tensor, taps: Sequence[float] = ()) -> Output:
        """Super-resolve a batch, as every network does."""

    def lend_tail(self) -> nn.Module:
        """Return a copy of the tail: LR (N, 3, h, w) and features at depth 1 go in, SR as in `Output` comes out."""


class Method(ABC):
    """A way to train a student: a frozen dataclass whose fields are its hyper-parameters.

    The file `<name>.py` that holds it gives it its name.

    Attributes:
        kind: what is compared with the teacher: `none`, `response`, `relation` or `feature`; or whom it learns from
            instead: `mutual`, `self`.
        source: authors, place and year, arXiv number.
        version: raise it when the same parameters would give other numbers.
        taps: depths in (0, 1] at which features of student and teacher are read.
        looks: whether the teacher is looked at.
        needs: what is used of the teacher: `sr` of the batch (`step.teacher.sr`), `features` of the batch
            (`step.teacher.feats`), or the `network` itself (in `adapter`, or by `step.teacher.see`). With stored
            labels, a method that needs `sr` alone is trained without loading a teacher.
        beside: terms that train the adapter alone; all others give the student a gradient.
        never_zero: why its terms aren't zero for a student that equals its teacher; empty if they are.
        min_batch: the least number of images in a batch that it can work with.
    """

    kind: ClassVar[str]
    source: ClassVar[str]
    version: ClassVar[int] = 1
    taps: ClassVar[tuple[float, ...]] = ()
    looks: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("sr", "features", "network")
    beside: ClassVar[tuple[str, ...]] = ()
    never_zero: ClassVar[str] = ""
    min_batch: ClassVar[int] = 1

    def uses(self, *needs: Need) -> bool:
        """Say whether any of these is used of a teacher."""
        return self.looks and any(one in self.needs for one in needs)

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return what is trained beside the student and thrown away afterwards; nothing by default.

        Weights in it that need no gradient are kept as they are.

        Args:
            teacher: None for methods that use neither its features nor its network.
            lr: (64, 3, h, w) in [0, 1]: fixed training patches, for statistics.
        """
        return nn.Module()

    @abstractmethod
    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return the weighted loss terms by name; `rec` is the one against HR. The loop adds and logs them."""
