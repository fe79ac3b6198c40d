"""Output distillation (HKD): match the student's SR to the teacher's as well as to HR."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field
from torch import nn

from srkd_bench.methods.base import LATER, Losses, Method, PixelLoss, Step, Weight
from srkd_bench.methods.distances import Domain, distance


@dataclass(frozen=True)
class HKD(Method):
    """Distance between the student's and the teacher's SR: mean squared error, or L1 as `loss`.

    `domain: wavelet` compares the coefficients of a Haar transform of four levels, as MTKD does (arXiv:2404.09571):
    the sum over the levels' details and the last approximations, each a mean over its elements.

    `margin` leaves out that many LR pixels at each border of a patch. There, the teacher's stored SR
    (`teacher.labels`) depends on pixels beyond the border, which the student does not see.

    Deviation: Hinton et al. compare class probabilities by KL divergence; for images the study uses MSE.
    Reading: with RKD, Park et al. give the KL divergence a weight of 16 at a temperature of 4, on CIFAR. That is
    the square of the temperature, which restores the size of softened gradients. Images have no temperature, so
    its counterpart is 1; `weight: 16` is the other reading of RKD+HKD.
    Default: 1, as the study's "ratios of the original papers"; other super-resolution papers use 0.5 or 1, in L1.
    Its gradient share (`srkd ls methods --measure`) is 1 while the teacher's SR is much closer to HR than the
    student's, and then decreases: 1.0, 1.0 and 0.86 on the demo; 1.0, 1.0 and 0.98 on BSDS500.
    """

    kind = "response"
    source = "Hinton et al., NIPS workshop 2014, arXiv:1503.02531"
    formula = (r"\mathcal{L} = \ell(S, y) + w\, d(S, T)",)
    needs = ("sr",)
    stacks = True

    weight: Weight = 1.0
    loss: PixelLoss = field(default="mse", metadata=LATER)
    domain: Domain = field(default="pixels", metadata=LATER)
    margin: Annotated[int, Field(ge=0, le=1024)] = field(default=0, metadata=LATER)

    def __post_init__(self) -> None:
        """Require patches with an inner part."""
        object.__setattr__(self, "min_patch", 2 * self.margin + 1)

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `hkd`."""
        cut = self.margin * (step.hr.shape[-1] // step.lr.shape[-1])
        inner = (..., slice(cut, step.hr.shape[-2] - cut), slice(cut, step.hr.shape[-1] - cut))
        loss = distance(step.student.sr[inner], step.teacher.sr[inner], self.loss, self.domain)
        return {"rec": step.rec, "hkd": self.weight * loss}
