"""Count what a method costs: multiply-adds of a training step, and weights beside the student."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Method, TeacherView
from srkd_bench.networks.loading import build
from srkd_bench.training.contract.harness import Noise, learner_of

TEACHER, STUDENT = (
    ModelSpec(n_feats=64, n_resblocks=16),
    ModelSpec(n_feats=16, n_resblocks=8),
)  # of suite bsds
TRAIN = TrainSpec(batch=8, patch=12, steps=100)
WHERE = f"teacher {TEACHER}, student {STUDENT}, as in the suite `bsds`"


@dataclass(frozen=True)
class Cost:
    """What a training step of a method takes.

    Args:
        multiply_adds: of the step, the teacher's passes included; elementwise operations are not counted.
        weights: trained beside the student.
        other_images: whether student or teacher super-resolve other images than the batch's LR.
    """

    multiply_adds: int
    weights: int
    other_images: bool


def cost(method: Method) -> Cost:
    """Count the cost of a training step with the networks of the suite `bsds`."""
    teacher = build(TEACHER, 1).requires_grad_(False).eval()
    lr, hr = Noise(TRAIN).batch(0)
    seen: list[Tensor] = []

    def look(images: Tensor) -> object:
        seen.append(images)
        with torch.no_grad():
            return teacher(images, method.taps)

    with TemporaryDirectory() as folder:
        learner = learner_of("none", method, teacher, Path(folder), TRAIN, STUDENT)
        with FlopCounterMode(display=False) as counter:
            learner.advance(lr, hr, TeacherView(look, lr))  # type: ignore[arg-type]
    weights = sum(weight.numel() for weight in learner.adapter.parameters() if weight.requires_grad)
    return Cost(counter.get_total_flops() // 2, weights, any(images is not lr for images in seen))


def relative(method: Method) -> tuple[float, Cost]:
    """Return how many times the multiply-adds of a step without distillation a step takes, and its cost."""
    own = cost(method)
    return own.multiply_adds / cost(registry.build("none", {})).multiply_adds, own
