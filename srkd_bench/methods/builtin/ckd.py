"""Contrastive distillation (CKD): move SR towards the teacher's and away from other images of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import encoders
from srkd_bench.methods.base import LATER, Losses, Method, Share, Step, Weight, originally
from srkd_bench.methods.distances import contrast, off_diagonal
from srkd_bench.methods.encoders import EncoderFile

# CSD's factor is 200, on images in 0..255. The ratio of distances does not depend on that range, but the loss
# against HR does: in 0..1 the factor is 200 / 255. It belongs to the default weight of 0.25.
FEATURES = 200 / 255 / 0.25


@dataclass(frozen=True)
class CKD(Method):
    """Equation (2) of the study, after CSD: the distance to the teacher over the distance to the negatives.

    An untrained student gives nearly the same grey for every image, so that the denominator is close to zero: in
    the first steps the gradient share is 8 to 98 on BSDS500, which lowers the final PSNR. `warmup` therefore raises
    the weight linearly over the first 2 % of training (docs/results.md).

    With `space`, the file of a frozen encoder, it is CSD's own loss, Σ_i w_i L1(V_i S, V_i T) / L1(V_i S, V_i N),
    over the encoder's feature maps V_i. N are the other images' LR, enlarged by bicubic interpolation, and both
    distances are means over the batch. w is 1 for the last map and 1/4, 1/8, 1/16, 1/32 for those before it. CSD
    uses five maps of VGG19. At the default weight, the factor of the term is 200 / 255: CSD's 200 is for images in
    0..255.

    Deviation: distances are mean squared errors of pixels, as in the study, unless `space` is given; CSD uses L1 on
    VGG features.
    Deviation: with `space`, the distance to the negatives is a mean over the other images; CSD's code sums over all
    images of the batch, the image itself among them.
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

    Args:
        space: a `.pt2` file of `torch.export`, which takes images in 0..1 and returns one or several feature maps.
            `form` and `neg_grad` are for pixels.
    """

    kind = "relation"
    source = "Wang et al., IJCAI 2021, arXiv:2105.11683"
    formula = (
        r"\mathcal{L} = \ell(S, y) + \frac{w}{N} \sum_{i=1}^{N} \frac{p_i}{\max(n_i, \delta)}",
        r"p_i = \operatorname{MSE}(S_i, T_i)",
        r"n_i = \sum_{j \neq i} \operatorname{MSE}(S_i, \operatorname{sg}(S_j))",
        r"\delta = (N - 1) \left(\frac{2}{255}\right)^2",
    )
    symbols = (
        "w: `weight`, raised linearly over the `warmup`",
        "p_i: distance to the positive",
        "n_i: distance to the negatives",
    )
    needs = ("sr",)
    stacks = True
    min_batch = 2

    weight: Weight = 0.25
    form: Literal["A", "B"] = "A"
    neg_grad: bool = False
    warmup: Share = field(default=0.02, metadata=originally(0.0))
    space: EncoderFile = field(default="", metadata=LATER)

    def __post_init__(self) -> None:
        if self.space and (self.form != "A" or self.neg_grad):
            raise SrkdError(
                "ckd takes space, or form and neg_grad, which are for pixels", "leave out one of them"
            )

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `ckd`."""
        if self.space:
            loss = FEATURES * self._in_features(step)
        else:
            loss = contrastive_loss(step.student.sr, step.teacher.sr, form=self.form, neg_grad=self.neg_grad)
        rise = min(1.0, step.progress / self.warmup) if self.warmup else 1.0
        return {"rec": step.rec, "ckd": self.weight * rise * loss}

    def _in_features(self, step: Step) -> Tensor:
        encoder = encoders.load(self.space, step.hr.device)
        enlarged = F.interpolate(step.lr, step.hr.shape[-2:], mode="bicubic")
        with torch.no_grad():
            teacher, negatives = encoder(step.teacher.sr), encoder(enlarged)
        return feature_loss(encoder(step.student.sr), teacher, negatives)


def feature_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], negatives: Sequence[Tensor]) -> Tensor:
    """Return Σ_i w_i L1(S_i, T_i) / L1(S_i, N_i), with N_i of the other images of the batch.

    Args:
        student, teacher, negatives: features (N, ...) from shallow to deep; N at least 2. The differences from all
            negatives take N times the memory of a batch's features.
    """
    shifts = range(1, len(student[0]))
    apart = [
        torch.stack([(own - other.roll(shift, 0)).abs().mean() for shift in shifts]).mean()
        for own, other in zip(student, negatives, strict=True)
    ]
    return contrast(student, teacher, apart)


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
