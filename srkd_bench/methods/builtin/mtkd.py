"""Multi-teacher distillation (MTKD): match the student's SR to a network that fuses several teachers' SRs."""

from dataclasses import dataclass

from torch import nn

from srkd_bench.methods.base import Losses, Method, PixelLoss, Step, Weight
from srkd_bench.methods.distances import Domain, distance


@dataclass(frozen=True)
class MTKD(Method):
    """Distance to the fused SR, in pixels or in the coefficients of a Haar transform of four levels.

    The suite lists the `teachers`. A network that reads their SRs is trained against HR first, once for all seeds
    (`fusion` in a suite); the students then learn from its SR.

    Deviation: the authors minimise 0.1 times the loss against HR plus the distance. Here the loss against HR counts
    once and the distance 10 times, which is the same loss times 10. Adam's steps do not depend on that factor.
    Deviation: the authors' fusion network has Swin transformer blocks on DCT coefficients. Here it has residual
    blocks, and their output is added to the mean of the teachers' SRs.
    Reading: the paper trains students by the distance in wavelets, the released configuration for EDSR by L1 in
    pixels. The latter is the default, and `domain: wavelet` the former.
    Default: 10, the authors' ratio. The student hardly learns from HR: in wavelets, whose coefficients are larger
    than pixels, the gradient share was 130 before the first step on the built-in photographs.

    Args:
        domain: `wavelet` is the sum over the levels' details and the last approximations, each a mean over its
            elements.
    """

    kind = "response"
    source = "Jiang et al., ECCV 2024, arXiv:2404.09571"
    formula = (r"\mathcal{L} = \ell(S, y) + w\, d(S, T)", r"T = \Phi(T_1, \dots, T_K)")
    symbols = (
        "T: the fused SR, without gradient",
        r"\Phi: the fusion network, trained beforehand",
        "T_K: the SR of teacher K",
    )
    needs = ("sr",)
    fuses = True
    stacks = True

    weight: Weight = 10.0
    domain: Domain = "pixels"
    loss: PixelLoss = "mse"

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `mtkd`."""
        loss = distance(step.student.sr, step.teacher.sr, self.loss, self.domain)
        return {"rec": step.rec, "mtkd": self.weight * loss}
