"""A minimal training that the checks observe."""

import copy
import tempfile
import traceback
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from signal import SIGINT
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError, Stopped
from srkd_bench.core.signals import Interrupted
from srkd_bench.data.patches import Patches
from srkd_bench.methods.base import Losses, Method, Resumed, Step, TeacherView
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.networks.loading import build
from srkd_bench.training.learner import Learner, adapter_of
from srkd_bench.training.loop import fit
from srkd_bench.training.precision import autocast

STUDENT = ModelSpec(n_feats=4, n_resblocks=4)
TEACHER = ModelSpec(n_feats=6, n_resblocks=4)
TRAIN = TrainSpec(batch=4, patch=8, steps=4, learning_rate=1e-3)
CPU = torch.device("cpu")


@dataclass
class Lesson:
    """A method with networks and a batch.

    Args:
        looks: inputs of the teacher's forward passes so far.
        resumed: which network was resumed, from which features, the SR that it gave, and the stack of the call.
    """

    method: Method
    student: EDSR
    teacher: EDSR
    adapter: nn.Module
    precision: TrainSpec
    step: Step = field(init=False)
    looks: list[Tensor] = field(default_factory=list)
    resumed: list[tuple[Resumed, Tensor, Tensor, traceback.StackSummary]] = field(default_factory=list)

    def losses(self) -> Losses:
        """Return the method's loss terms. Mismatched tensor sizes are an error, also where torch only warns."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Using a (target|input) size")
            return self.method.losses(self.step, self.adapter)

    def trained(self) -> list[nn.Parameter]:
        """Return the weights in the student's optimizer."""
        weights = [*self.student.parameters(), *self.adapter.parameters()]
        return [weight for weight in weights if weight.requires_grad]

    def begin(self, lr: Tensor, hr: Tensor) -> None:
        """Create the step of a batch."""
        output, generator = self._output(self.student, lr), torch.Generator().manual_seed(0)
        frozen = copy.deepcopy(self.teacher).requires_grad_(False)
        view = TeacherView(self._see, lr, resume=partial(self._resume, "teacher", frozen))
        rec, see = F.mse_loss(output.sr, hr), partial(self._output, self.student)
        precision = partial(autocast, self.precision, CPU)
        resume = partial(self._resume, "student", self.student, lr=lr)
        self.step = Step(
            lr, hr, output, view, rec, 0.5, generator, see, precision, F.mse_loss, resume
        )  # fmt: skip

    @torch.no_grad()
    def _see(self, images: Tensor) -> Output:
        self.looks.append(images)
        return self._output(self.teacher, images)

    def _resume(self, who: Resumed, network: EDSR, tap: float, features: Tensor, lr: Tensor) -> Tensor:
        with autocast(self.precision, CPU):
            sr = network.resume(tap, features, lr)
        self.resumed.append((who, features, sr, traceback.extract_stack()))
        return sr

    def _output(self, network: EDSR, images: Tensor) -> Output:
        with autocast(self.precision, CPU):
            output: Output = network(images, self.method.taps)
        return output


def lesson(
    method: Method,
    *,
    student: ModelSpec = STUDENT,
    equal: bool = False,
    batch: int = 4,
    precision: TrainSpec = TRAIN,
) -> Lesson:
    """Prepare a method's first step. Unlike in real training, the teacher's weights accept gradients.

    Args:
        equal: use a copy of the student as the teacher.
        precision: the training whose precision is used.
    """
    learner = build(student, 0)
    teacher = build(student, 0).eval() if equal else build(TEACHER, 1).eval()
    generator = torch.Generator().manual_seed(5)
    sample = torch.rand(8, 3, 8, 8, generator=generator)  # 64 in real training
    lr = torch.rand(batch, 3, 8, 8, generator=generator)
    hr = torch.rand(batch, 3, 16, 16, generator=generator)
    made = Lesson(method, learner, teacher, adapter_of(method, teacher, learner, sample), precision)
    made.begin(lr, hr)
    return made


class Noise(Patches):
    """Patches of noise instead of images."""

    def __init__(self, train: TrainSpec) -> None:
        self.train = train

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return noise as LR, and enlarged LR as HR."""
        generator = torch.Generator().manual_seed(step)
        shape = self.train.batch, 3, self.train.patch, self.train.patch
        lr = torch.rand(shape, generator=generator)
        return lr, F.interpolate(lr, scale_factor=2)


def learner_of(
    name: str,
    method: Method,
    teacher: Architecture,
    folder: Path,
    train: TrainSpec,
    student: ModelSpec = STUDENT,
    device: torch.device = CPU,
) -> Learner:
    """Return a student resumed from its checkpoint, or at its first step if the folder has none."""
    made_of: dict[str, Any] = {"data": "noise", "pixels": "", "params": {}, "seed": 3, "teacher": None}
    run = Run(model=student, train=train, method=name, **made_of)
    sample, _ = Noise(train.model_copy(update={"batch": 8})).batch(99)
    return Learner(run, method, teacher, sample, folder, device)


@dataclass(frozen=True)
class Taught:
    """The result of a training: all weights, including the adapter's, and the logged loss terms."""

    weights: dict[str, Tensor]
    terms: list[Any]

    def equals(self, other: "Taught") -> bool:
        """Return whether both are bit-identical."""
        alike = self.terms == other.terms and self.weights.keys() == other.weights.keys()
        return alike and all(torch.equal(self.weights[name], other.weights[name]) for name in self.weights)


def trained(
    methods: Mapping[str, Method],
    *,
    train: TrainSpec = TRAIN,
    stop: Iterable[int] = (),
) -> dict[str, Taught]:
    """Train students with some methods together for a few steps.

    Args:
        stop: steps after which the training is interrupted and resumed from its checkpoints.
    Raises:
        SrkdError: a student failed.
    """
    teacher = build(TEACHER, 1).requires_grad_(False).eval()
    with tempfile.TemporaryDirectory() as folder:
        homes = {name: Path(folder) / str(i) for i, name in enumerate(methods)}
        for home in homes.values():
            home.mkdir()
        for end in [*stop, train.steps]:

            def watch(step: int, end: int = end) -> None:
                if step == end < train.steps:
                    raise Interrupted(SIGINT)

            learners = {
                name: learner_of(name, method, teacher, homes[name], train)
                for name, method in methods.items()
            }
            with suppress(Stopped):
                fit(list(learners.values()), teacher, Noise(train), device=CPU, watch=watch)
            if failed := [learner.error for learner in learners.values() if learner.error]:
                raise SrkdError(failed[0].message, failed[0].hint)
    return {
        name: Taught(
            dict(learner.student.state_dict()) | dict(learner.adapter.state_dict(prefix="adapter.")),
            [event["terms"] for event in learner.events],
        )
        for name, learner in learners.items()
    }
