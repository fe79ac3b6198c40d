"""The interface of a distillation method."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Never

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srkd_bench.config.base import Loss
from srkd_bench.networks.base import Output

Losses = dict[str, Tensor]
KINDS = ("none", "response", "relation", "feature", "mutual", "self")
# Types of hyper-parameters: every number has its bounds.
Weight = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=1, le=4096)]
Depth = Annotated[float, Field(gt=0, le=1)]
Factor = Annotated[float, Field(gt=0, le=1e6)]
# The distance between two SRs. A parameter of this type has the suite's `train.loss`, unless the suite sets it.
PixelLoss = Annotated[Loss, "follows train.loss"]
PIXEL_LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "l1": F.l1_loss}
# Metadata of a field that was added to a method later. At its original default it changes nothing and is omitted
# from a run's identity, so that earlier runs are still found. If the default changes afterwards, `originally` keeps
# the first one.
LATER = {"later": True}
# Metadata of a field without a usable default, such as an encoder file: a suite must set it.
REQUIRED = {"required": True}
Need = Literal["sr", "features", "network"]
Resumed = Literal["student", "teacher"]


def originally(default: float | str) -> dict[str, object]:
    """Return the metadata of a later field whose default was another at first."""
    return {**LATER, "original": default}


def _not_given(*inputs: object) -> Never:
    raise NotImplementedError("no network was given to resume")


class TeacherView:
    """The teacher's output, shared by all students of a step: at most one forward pass, on first access.

    Args:
        forward: maps LR (N, 3, h, w) in [0, 1] to the teacher's output, without gradient.
        lr: the step's batch.
        labels: the teacher's SR of the batch if the store has it (N, 3, H, W); `sr` then needs no forward pass.
        resume: `Architecture.resume` of the teacher, whose weights get no gradient.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Output],
        lr: Tensor,
        labels: Tensor | None = None,
        resume: Callable[[float, Tensor, Tensor], Tensor] = _not_given,
    ) -> None:
        self.see = forward
        self._resume = resume
        self._lr = lr
        self._labels = labels
        self._output: Output | None = None

    @property
    def output(self) -> Output:
        """The teacher's output for the batch."""
        if self._output is None:
            self._output = self.see(self._lr)
        return self._output

    @property
    def sr(self) -> Tensor:
        """The teacher's SR of the batch, as in `Output`."""
        return self.output.sr if self._labels is None else self._labels

    @property
    def feats(self) -> dict[float, Tensor]:
        """The teacher's features of the batch at the taps that the methods declare, as in `Output`."""
        return self.output.feats

    def resume(self, tap: float, features: Tensor) -> Tensor:
        """Return the SR that the teacher gives for the batch if its features at a tap are replaced.

        See `Architecture.resume`. The replacement gets a gradient, the teacher's weights get none.
        """
        return self._resume(tap, features, self._lr)


@dataclass(frozen=True)
class Step:
    """The inputs of a method at a training step. Losses are computed in float32, on images in [0, 1].

    Args:
        lr, hr: the batch, (N, 3, h, w) and (N, 3, scale*h, scale*w).
        student: its output for `lr`, with gradient.
        teacher: the teacher's output for the same batch; methods must declare `looks` to use it.
        rec: the suite's loss against HR (`train.loss`), with gradient.
        progress: the completed fraction of the training, in [0, 1).
        generator: the method's own random numbers, drawn on the CPU so that they are equal on all devices.
        see: returns the student's output for other LR images, with gradient and features at the method's taps.
        autocast: returns the autocast context for auxiliary networks of the method.
        loss: the suite's loss function of SR and HR, for auxiliary networks.
        resume: returns the SR that the student gives for the batch if its features at a tap are replaced, with
            gradient; see `Architecture.resume` and `Method.resumes`.
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
    resume: Callable[[float, Tensor], Tensor] = _not_given


class Method(ABC):
    """A way to train a student: a frozen dataclass whose fields are its hyper-parameters.

    Its name is that of its file, `<name>.py`.

    Attributes:
        kind: what is compared with the teacher: `none`, `response`, `relation` or `feature`; without a teacher,
            `mutual` or `self`.
        source: authors, venue and year, arXiv number.
        formula: its loss in LaTeX, for its page of the documentation, which explains the common symbols.
        symbols: the others, as `LaTeX: meaning`.
        version: raise it when the same parameters would give other numbers.
        taps: depths in (0, 1] at which features of student and teacher are read; `HEAD` and `BODY`, after the head
            and after the body's last convolution, exist in EDSR and RCAN only.
        looks: whether the method uses the teacher.
        fuses: whether its teacher is the fusion of the suite's `teachers`, of which it needs two or more.
        needs: what is used of the teacher: `sr` of the batch (`step.teacher.sr`), `features` of the batch
            (`step.teacher.feats`), or the `network` itself (in `adapter`, or by `step.teacher.see` or `.resume`).
            With stored labels, a method that needs only `sr` is trained without loading a teacher.
        resumes: the networks that continue from replaced features at the taps: `student` by `step.resume`,
            `teacher` by `step.teacher.resume`. Networks that cannot be resumed are refused before the training.
        beside: terms that train the adapter only; all others give the student a gradient.
        never_zero: why its terms are not zero for a student that equals its teacher; empty if they are.
        min_batch: the minimum batch size.
        min_patch: the minimum size of a patch, in LR pixels.
        stacks: whether its students can be trained as one grouped network (`train.stacked`): its losses use the
            student's SR, but neither features, nor an adapter, `step.see` nor `step.resume`.
    """

    kind: ClassVar[str]
    source: ClassVar[str]
    formula: ClassVar[tuple[str, ...]] = ()
    symbols: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    taps: ClassVar[tuple[float, ...]] = ()
    looks: ClassVar[bool] = True
    fuses: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ("sr", "features", "network")
    resumes: ClassVar[tuple[Resumed, ...]] = ()
    beside: ClassVar[tuple[str, ...]] = ()
    never_zero: ClassVar[str] = ""
    min_batch: ClassVar[int] = 1
    min_patch: ClassVar[int] = 1
    stacks: ClassVar[bool] = False

    def uses(self, *needs: Need) -> bool:
        """Return whether any of these is used of a teacher."""
        return self.looks and any(one in self.needs for one in needs)

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return modules that are trained with the student and discarded afterwards; none by default.

        Weights without `requires_grad` stay constant, unless `after_step` changes them.

        Args:
            teacher: None for methods that use neither its features nor its network.
            lr: (64, 3, h, w) in [0, 1]: fixed training patches, for statistics.
        """
        return nn.Module()

    def rates(self, adapter: nn.Module) -> list[tuple[nn.Module, float]]:
        """Return the modules of an adapter, each with the factor on its learning rate, `adapter_rate`."""
        return [(adapter, getattr(self, "adapter_rate", 1.0))]

    def check_features(self, features: Sequence[Tensor]) -> None:
        """Check what the method's encoder returns for images of a batch, before work starts; no check by default.

        Raises:
            SrkdError: the method cannot use these features.
        """
        return

    def after_step(self, adapter: nn.Module, student: nn.Module, done: int, steps: int) -> None:
        """Update an adapter's own state after a training step, such as an average of students; nothing by default.

        The state is in weights or buffers of the adapter, so that checkpoints have it. It gets no gradient.

        Args:
            student: as it would be stored now: the network, or under `train.ema` the average of its weights.
                It may not be changed.
            done: completed steps.
            steps: of the whole training.
        """
        return

    @abstractmethod
    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return the weighted loss terms by name; `rec` is the loss against HR. The loop sums and logs them."""
