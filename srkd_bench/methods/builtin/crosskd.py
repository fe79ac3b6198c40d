"""Cross-network distillation (CrossKD): the teacher's frozen tail super-resolves the student's features."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods.base import HasTail, Losses, Method, Step, Weight


@dataclass(frozen=True)
class CrossKD(Method):
    """The student's last features go through a trained 1×1 convolution and the teacher's frozen tail.

    What comes out is compared with the teacher's SR. The student's own tail learns from HR alone: it needn't serve
    two masters, which is the paper's point.

    Deviation: the paper is about detectors, where a part of a head is crossed. Here the teacher goes on from the
    student's features after its last block: last convolution of the body, its own global skip, upsampler. Fang et
    al. (Dual Cross Knowledge Distillation, 2022) chain EDSRs in a like way.
    Deviation: channels differ in number, so a 1×1 convolution stands between, trained at the student's learning
    rate. It begins as the identity as far as there are channels: a student that equals its teacher learns nothing.
    Deviation: the distance is a mean squared error, as in the study's HKD.
    Default: 1; its gradient share (`srkd ls methods --measure`) is .15, .22 and .56 on the demo. In training it was
    .05 to .23 over 400 steps there (means over parts of it), rising to the end.
    """

    kind = "response"
    source = "Wang et al., CVPR 2024, arXiv:2306.11369"
    needs = ("sr", "network")
    taps = (1.0,)

    weight: Weight = 1.0

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return the 1×1 convolution with the teacher's tail, frozen.

        Raises:
            SrkdError: the teacher can't lend its tail.
        """
        if not isinstance(teacher, HasTail):
            raise SrkdError(
                f"crosskd needs a teacher that can lend its tail; {type(teacher).__name__} can't",
                "take another method for this teacher, or give its class a method lend_tail, as EDSR has",
            )
        with torch.no_grad():
            inputs, outputs = (one(lr[:1], self.taps).feats[1.0].shape[1] for one in (student, teacher))
        return Cross(inputs, outputs, teacher.lend_tail())

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `crosskd`."""
        with step.autocast():
            sr = adapter(step.lr, step.student.feats[1.0])
        return {"rec": step.rec, "crosskd": self.weight * F.mse_loss(sr, step.teacher.sr)}


class Cross(nn.Module):
    """From the student's features to the SR that the teacher's tail makes of them."""

    def __init__(self, inputs: int, outputs: int, tail: nn.Module) -> None:
        super().__init__()
        self.widen = nn.Conv2d(inputs, outputs, 1)
        nn.init.dirac_(self.widen.weight)
        nn.init.zeros_(self.widen.bias)  # type: ignore[arg-type]  # it has one
        self.tail = tail.requires_grad_(False)

    def forward(self, lr: Tensor, feats: Tensor) -> Tensor:
        """Map LR (N, 3, h, w) and features (N, inputs, h, w) to SR in float32."""
        sr: Tensor = self.tail(lr, self.widen(feats))
        return sr
