"""Count the multiply-adds of a training step."""

import copy
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Never

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import registry
from srkd_bench.methods.base import PIXEL_LOSSES, Method, Step, TeacherView
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.training.learner import adapter_of

FEW, MANY = 2, 32  # steps whose mean is taken: many if a few differ, as a method draws what it computes
SIDE = 12  # of the patches from which adapters are made


@dataclass(frozen=True)
class Count:
    """What a training step of a method takes.

    Args:
        multiply_adds: of the step, without the teacher's forward pass on the batch. The student's forward and
            backward pass, modules trained beside it, passes on other images and resumed networks are counted;
            elementwise operations and the optimizer are not.
        weights: trained beside the student.
        other_images: whether student or teacher super-resolve other images than the batch's LR.
    """

    multiply_adds: float
    weights: int
    other_images: bool


def counted(
    method: Method, student: Architecture, teacher: Architecture | None, train: TrainSpec, batch: int
) -> Count:
    """Count a training step, without computing it: tensors have no values.

    Args:
        student, teacher: on the CPU, the teacher with frozen weights; None for a method without one.
        train: whose patch and loss count.
        batch: number of patches.
    """
    adapter = adapter_of(method, teacher, student, torch.rand(batch, 3, SIDE, SIDE), "count").to("meta")
    student = copy.deepcopy(student).to("meta")
    teacher = copy.deepcopy(teacher).to("meta") if teacher is not None else None
    lr = torch.rand(batch, 3, train.patch, train.patch, device="meta")
    hr = F.interpolate(lr, scale_factor=student.spec.scale)
    others: list[Tensor] = []

    def passed(network: Architecture, images: Tensor) -> Output:
        if images is not lr:
            others.append(images)
        output: Output = network(images, method.taps)
        return output

    see, resume, loss = partial(passed, student), partial(student.resume, lr=lr), PIXEL_LOSSES[train.loss]
    if teacher is None or not method.looks:
        view = TeacherView(_no_teacher, lr)
    else:
        view = TeacherView(torch.no_grad()(partial(passed, teacher)), lr, resume=teacher.resume)
        _ = view.output  # kept, so that it is not counted
    generator = torch.Generator().manual_seed(0)
    counts: list[float] = []
    while len(counts) < (FEW if len({*counts}) < 2 else MANY):
        with FlopCounterMode(display=False) as counter:
            output = see(lr)
            step = Step(
                lr, hr, output, view, loss(output.sr, hr), 0.5, generator, see, loss=loss, resume=resume
            )
            total = torch.stack([*method.losses(step, adapter).values()]).sum()
            total.backward()  # type: ignore[no-untyped-call]
        counts.append(counter.get_total_flops() / 2)
    weights = sum(weight.numel() for weight in adapter.parameters() if weight.requires_grad)
    return Count(fmean(counts), weights, bool(others))


def _no_teacher(images: Tensor) -> Never:
    raise SrkdError("a method without a teacher uses one", "leave out looks = False")


def relative(method: Method, student: Architecture, teacher: Architecture | None, train: TrainSpec) -> float:
    """Return the multiply-adds of a step over those of a step without distillation; see `Count`."""
    batch = max(2, method.min_batch)
    alone = counted(registry.build("none", {}), student, None, train, batch)
    return counted(method, student, teacher, train, batch).multiply_adds / alone.multiply_adds
