"""Contrastive distillation (CKD): move SR towards the teacher's and away from other images of the batch."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from srkd_bench.methods.base import Losses, Method, Share, Step, Weight, originally
from srkd_bench.methods.pairs import off_diagonal


@dataclass(frozen=True)
class CKD(Method):
    """Equation (2) of the study, after CSD: the distance to the teacher over the distance to the negatives.

    An untrained student gives nearly the same grey for every image, so that the denominator is close to zero: in
    the first steps the gradient share is 8 to 98 on BSDS500, which lowers the final PSNR. `warmup` therefore raises
    the weight linearly over the first 2 % of training (docs/results.md).

    Deviation: distances are mean squared errors of pixels, as in the study; CSD uses L1 on VGG features.
    Deviation: neither the study nor CSD mentions a warm-up. `warmup: 0` is theirs, and that of the suites `bsds`,
    `bsds-pretrained`, `bsds-tuned` and `paper`.
    Reading: positive is the teacher's SR of the same image, negatives are the student's SRs of the batch's other
    images. The study does not state whether negatives carry a gradient; as in CSD, they do not unless `neg_grad`.
    Reading: the study's equation lost its symbols; form A divides by the sum over the negatives, form B sums the
    ratios.
    Default: 0.25, by its gradient share (`srkd ls methods --measure`): 0.43, 0.35 and 0.61 on the demo; 0.45, 0.50
    and 0.81 on BSDS500 with a teacher of 37.8 dB on Set5. With 1, the factor of the distance to the teacher,
    weight / Σ_j d(S_i, S_j), equals HKD's (over batches of 8 the sum is 1.04 on DIV2K's validation crops, 0.82 on
    BSDS500, 0.60 on the built-in photographs), but its shares were 1.4 to 3.2: images with close negatives have far
    larger gradients. Form B is at least (N - 1)² times as strong: a weight of 1 had shares of 50 to 80 on the demo;
    use about 0.01.
    """

    kind = "relation"
    source = "Wang et al., IJCAI 2021, arXiv:2105.11683"
    needs = ("sr",)
    stacks = True
    min_batch = 2

    weight: Weight = 0.25
    form: Literal["A", "B"] = "A"
    neg_grad: bool = False
    warmup: Share = field(default=0.02, metadata=originally(0.0))

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `ckd`."""
        loss = contrastive_loss(step.student.sr, step.teacher.sr, form=self.form, neg_grad=self.neg_grad)
        rise = min(1.0, step.progress / self.warmup) if self.warmup else 1.0
        return {"rec": step.rec, "ckd": self.weight * rise * loss}


def contrastive_loss(student: Tensor, teacher: Tensor, *, form: str = "A", neg_grad: bool = False) -> Tensor:
    """Return the mean over the batch of d(S_i, T_i) / Σ_j d(S_i, S_j), with j over the other images.

    Form B is the mean of Σ_j d(S_i, T_i) / d(S_i, S_j). Distances to negatives are at least that of two grey
    levels, (2/255)², so that a batch of equal images does not divide by zero.

    Args:
        student, teacher: SR (N, C, H, W) in [0, 1], N at least 2; the differences of all pairs take N times
            a batch's memory.
        neg_grad: propagate the gradient through the negatives too.
    """
    floor = (2 / 255) ** 2
    positive = (student - teacher).square().mean(dim=(1, 2, 3))
    negatives = student if neg_grad else student.detach()
    distances = (student[:, None] - negatives[None]).square().mean(dim=(2, 3, 4))
    if form == "B":
        return off_diagonal(positive[:, None] / distances.clamp_min(floor)).sum(1).mean()
    others = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    total = (distances * others).sum(1)
    return (positive / total.clamp_min(floor * (len(student) - 1))).mean()
