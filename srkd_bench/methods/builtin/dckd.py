"""Dynamic contrastive distillation (DCKD): match the teacher's features, away from an earlier student's."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import encoders
from srkd_bench.methods.base import PIXEL_LOSSES, REQUIRED, Losses, Method, PixelLoss, Share, Step, Weight
from srkd_bench.methods.distances import contrast
from srkd_bench.methods.encoders import EncoderFile
from srkd_bench.networks.base import update_average

NOISE = (1 / 255, 30 / 255)  # bounds of the deviation of an image's noise
GREY = 0.5  # share of images whose noise is equal in all colours


@dataclass(frozen=True)
class DCKD(Method):
    """Compare SRs in the features of a frozen encoder, with an earlier student's SRs as negatives.

    `contrast`: the distance to the teacher's features over the sum of the distances to those of `negatives`
    SRs, for each feature map. The negatives are made by a history of the student, a moving average of its
    weights that is updated every `period`: from LR, and from LR with Gaussian noise, drawn again at each step.
    The noise has a deviation of 1 to 30 of 255 levels, and is grey for half of the images. Map i has the weight
    1/4, 1/8, … before the last, which has 1.
    `mapping`: the KL divergence of the student's distribution of codes from the teacher's, at each position of
    the encoder's last map. `response`: the distance of the SRs, as in HKD.

    Encoder: a `.pt2` file of `torch.export` (Custom methods, Frozen encoders). It takes images (N, 3, H, W) in
    0..1 and returns several tensors: feature maps (N, …) from shallow to deep, and then the scores of the
    codes, (N, codes, h, w), whose softmax is their distribution. With `mapping: 0` there are no codes: all
    tensors are feature maps, as in `ckd`'s `space`. The paper's encoder is VQGAN (f = 16, 1,024 codes,
    ImageNet). Its feature maps are the outputs of the first residual block at each of its five resolutions. Its
    scores are the negative squared distances of the quantiser's input from the codebook's vectors.

    Deviation: the paper's weights are 0.1, 0.001 and 1, for `train.loss: l1`: `weight: 0.1`, `mapping: 0.001`.
    Deviation: the authors give the student's probabilities to a cross-entropy that applies softmax to them
    again. The paper has one softmax, as the default; `softmax: twice` is the code.
    Deviation: the teacher's entropy, which is constant, is subtracted from the cross-entropy. What remains is
    the KL divergence, which has the same gradient and is zero for equal SRs.
    Deviation: the update interval is a share of the training. The authors' 1,000 of 250,000 steps is 0.004; as
    theirs, it is 2 and 3 times as long from 0.4 and 0.8 of the training on.
    Deviation: the authors' grey noise is the same for all images of a batch.
    Reading: the released configurations, for SwinIR, also match the teacher's SR of flipped and inverted LR.
    The paper's loss has no such term; it is DUKD's, and left out.
    Reading: the history starts as the untrained student and follows what is stored, under `train.ema` the
    average of the student's weights, as in the code. The paper names the student.
    Reading: the authors give VQGAN images in 0..1, although it was trained on −1..1. Here the encoder file
    rescales them, if at all.
    Reading: equation 8 of the paper lacks the sign of the scores; it is that of the code.
    Default: by gradient share (`srkd ls methods --measure`) with the demo's networks and loss, MSE, after 10, 25
    and 100 % of 400 steps. The encoder was a VQ autoencoder of VQGAN's structure, with 120,000 weights, trained
    for 1,000 steps on three photographs. Shares of `contrast`: 0.25, 0.15 and 0.87, and 2.3 before the first step.
    Shares of `mapping`: 0.16, 0.07 and 0.11. With the initial weights of that encoder, `contrast` has 0.02, 0.04
    and 0.13, and `mapping` 0.05, 0.09 and 0.25. The share depends on the encoder: measure it with yours. With the
    paper's 0.1, those of `contrast` are 127, 74 and 433, and 3.4, 8.4 and 26 with L1. `response` has about 1.

    Args:
        weight: of `contrast`.
        mapping: weight of `mapping`.
        response: weight of `response`.
        loss: the distance of SRs in `response`.
        encoder: the file; required.
        negatives: SRs of the history for each image, one of LR without noise.
        decay: share of the history that an update keeps.
        period: share of the training between two updates, at least a step.
        softmax: of the student's scores; `twice` as in the authors' code.
    """

    kind = "relation"
    source = "Zhou et al., AAAI 2025, arXiv:2412.08939"
    formula = (
        r"\mathcal{L} = \ell(S, y) + w_r\, d(S, T) + w\, C + w_m\, \operatorname{KL}(q^T \Vert q^S)",
        r"C = \sum_l \frac{\lambda_l\, p_l}{\sum_k n_{lk}}",
        r"p_l = \operatorname{MAE}(E_l(S), E_l(T))",
        r"n_{lk} = \operatorname{MAE}(E_l(S), E_l(H(x_k)))",
        r"\theta_H \leftarrow \alpha\, \theta_H + (1 - \alpha)\, \theta_S",
    )
    symbols = (
        "w_r: `response`",
        "w_m: `mapping`",
        r"\operatorname{KL}: Kullback–Leibler divergence, a mean over positions",
        "C: the contrast",
        "l: feature map of the encoder",
        "E_l: feature map l of an image",
        r"\lambda_l: 1 for the last map, 1/4, 1/8, … for those before it",
        "H: the history, without gradient",
        "x_k: LR, and LR with noise",
        "q^S: softmax of the scores of the codes, of the student's SR",
        "q^T: the same of the teacher's SR",
        r"\theta_H: weights of the history",
        r"\theta_S: weights of the student",
        r"\alpha: `decay`",
    )
    needs = ("sr",)

    weight: Weight = 0.0002
    mapping: Weight = 0.003
    response: Weight = 1.0
    loss: PixelLoss = "mse"
    encoder: EncoderFile = field(default="", metadata=REQUIRED)
    negatives: Annotated[int, Field(ge=2, le=64)] = 5
    decay: Share = 0.1
    period: Share = 0.004
    softmax: Literal["once", "twice"] = "once"

    def __post_init__(self) -> None:
        """State why the codes differ for equal networks if the softmax is applied twice."""
        if self.softmax == "twice" and self.mapping:
            object.__setattr__(
                self, "never_zero", "the second softmax is applied to the student's codes only"
            )

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return the history: a copy of the student, which `after_step` moves."""
        return deepcopy(student).requires_grad_(False)

    def after_step(self, adapter: nn.Module, student: nn.Module, done: int, steps: int) -> None:
        """Move the history towards the student every `period`, 2 and 3 periods from 0.4 and 0.8 of training on."""
        every = max(1, round(self.period * steps)) * (1 + (done - 1) * 5 // (2 * steps))
        if done % every == 0:
            update_average(adapter, student, self.decay)

    def check_features(self, features: Sequence[Tensor]) -> None:
        """Check that an encoder returns feature maps, and codes unless `mapping` is 0."""
        codes = features[-1]
        if self.mapping and (len(features) < 2 or codes.ndim < 2 or codes.shape[1] < 2):
            shapes = ", ".join("×".join(map(str, one.shape)) for one in features)
            raise SrkdError(
                f"dckd needs an encoder that returns feature maps and then a score of each code: {shapes} is none",
                "without codes: --set params.dckd.mapping=0",
            )

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec`, `response`, `contrast` and, unless its weight is 0, `mapping`."""
        encoder = encoders.load(self.encoder, step.hr.device)
        with torch.no_grad():
            inputs = [step.lr, *(noisy(step.lr, step.generator) for _ in range(self.negatives - 1))]
            with step.autocast():
                made: Tensor = adapter(torch.cat(inputs)).sr
            teacher, others = [*encoder(step.teacher.sr)], [*encoder(made)]
        student = [*encoder(step.student.sr)]
        terms = {
            "rec": step.rec,
            "response": self.response * PIXEL_LOSSES[self.loss](step.student.sr, step.teacher.sr),
        }
        if self.mapping:
            own, target, _ = (features.pop() for features in (student, teacher, others))
            terms["mapping"] = self.mapping * divergence(own, target, twice=self.softmax == "twice")
        apart = [self._apart(*pair) for pair in zip(student, others, strict=True)]
        return terms | {"contrast": self.weight * contrast(student, teacher, apart)}

    def _apart(self, own: Tensor, others: Tensor) -> Tensor:
        """Return the sum over the negatives of the mean absolute difference from the student's features."""
        return torch.stack([F.l1_loss(own, one) for one in others.chunk(self.negatives)]).sum()


def noisy(lr: Tensor, generator: torch.Generator) -> Tensor:
    """Return LR images in [0, 1] with Gaussian noise, clipped.

    The deviation is drawn for each image between those of `NOISE`; half of the images get noise without colour.
    """
    n = (len(lr), 1, 1, 1)
    low, high = NOISE
    deviation = low + (high - low) * torch.rand(n, generator=generator)
    grey = torch.rand(n, generator=generator) < GREY
    noise = torch.randn(lr.shape, generator=generator)
    noise = deviation * torch.where(grey, noise[:, :1], noise)
    return (lr + noise.to(lr.device, non_blocking=True)).clamp(0, 1)


def divergence(student: Tensor, teacher: Tensor, *, twice: bool = False) -> Tensor:
    """Return the KL divergence of the student's distribution of codes from the teacher's, a mean over positions.

    Args:
        student, teacher: scores of the codes, (N, codes, ...).
        twice: apply softmax to the student's probabilities again.
    """
    scores = student.softmax(1) if twice else student
    pair = scores.log_softmax(1), teacher.log_softmax(1)
    return F.kl_div(*pair, reduction="none", log_target=True).sum(1).mean()
