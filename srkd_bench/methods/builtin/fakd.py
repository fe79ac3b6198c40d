"""Feature affinity distillation (FAKD): match the similarity of pixels in feature maps, and the SR."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods.base import LATER, PIXEL_LOSSES, Depth, Losses, Method, PixelLoss, Step, Weight, Width
from srkd_bench.networks.base import BODY, HEAD


@dataclass(frozen=True)
class FAKD(Method):
    """Cosines between all pairs of a feature map's pixels (its affinity), and the teacher's SR as in HKD.

    Deviation: the paper's loss is 0.5·L1(S, HR) + 0.5·L1(S, T) + 10·Σ L1(A_S, A_T). Here the loss against HR is the
    suite's, with weight 1, which corresponds to weights of 1 : 1 : 20 (Adam ignores the common factor). The
    authors' images are in 0..255, while affinities do not depend on the range: in [0, 1] the weights are
    1 : 1 : 20/255.
    Deviation: the SRs are compared by mean squared error in suites that compare with HR so, and with half of HR's
    weight. The paper's form is `response: 1`, `weight: 0.078` in a suite with `train.loss: l1`; the gradient share
    of 20 was 40 to 170 there.
    Deviation: an affinity has an entry for each pair of pixels. If a map has more than `positions` pixels, a random
    subset is drawn at each step; each matrix takes N · positions² · 4 bytes, and about ten exist at a time. So
    576 (24 × 24) costs 0.1 GB for a batch of 8; all pixels of a patch of 48 would cost 1.7 GB.
    Deviation: levels are read after 1/3, 2/3 and 3/3 of the blocks, rounded to the nearest; the authors round down:
    blocks 5, 10 and 16 of 16, and 10, 21 and 32 of 32, which `first: 0.3125`, `second: 0.65` give.
    Deviation: the authors' third level is the upsampler's input, after the body's last convolution and the global
    skip connection, which they add in place after storing the features. `skip: true` reads it, in EDSR and
    RCAN only.
    Default: 0.0006 for affinities, which do not decrease as errors do: with MSE against HR, a weight of 1 had a
    gradient share of 9 to 100 over 400 steps of the demo (means over parts of it, increasing). The SRs have 0.5,
    half of the authors' 1 beside HR. Both together have 0.50, 0.52 and 0.77 on the demo (`srkd ls methods
    --measure`).
    """

    kind = "feature"
    source = "He et al., ICIP 2020, doi:10.1109/ICIP40778.2020.9190917"
    formula = (
        r"\mathcal{L} = \ell(S, y) + w_r\, d(S, T) + w \sum_{l} a_l",
        r"a_l = \operatorname{MAE}\left(A(F^S_l),\, A(F^T_l)\right)",
        r"A_{pq}(F) = \frac{F_p \cdot F_q}{\lVert F_p \rVert\, \lVert F_q \rVert}",
    )
    symbols = ("w_r: `response`", "A: affinity of the pixels p and q")
    needs = ("sr", "features")
    taps = (1 / 3, 2 / 3, 1.0)

    weight: Weight = 0.0006
    response: Weight = 0.5
    loss: PixelLoss = "mse"
    positions: Width = 576
    first: Depth = field(default=1 / 3, metadata=LATER)
    second: Depth = field(default=2 / 3, metadata=LATER)
    skip: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        """Set the taps.

        Raises:
            SrkdError: the levels are not in order.
        """
        if not self.first < self.second < 1:
            raise SrkdError(
                f"params.fakd: first ({self.first:g}) must be less than second ({self.second:g}), and both than 1",
                f"their defaults: {1 / 3:.4g} and {2 / 3:.4g}",
            )
        taps = (HEAD, self.first, self.second, BODY) if self.skip else (self.first, self.second, 1.0)
        object.__setattr__(self, "taps", taps)  # not a field of the frozen dataclass

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec`, `response` for the SRs and `fakd` for the affinities, summed over the levels."""
        pixels = step.lr.shape[-2] * step.lr.shape[-1]
        chosen: Tensor | None = None
        if pixels > self.positions:
            drawn = torch.randperm(pixels, generator=step.generator)[: self.positions]
            chosen = drawn.to(step.lr.device, non_blocking=True)
        pairs = zip(self._levels(step.student.feats), self._levels(step.teacher.feats), strict=True)
        levels = [affinity_loss(guided, hint, chosen) for guided, hint in pairs]
        return {
            "rec": step.rec,
            "response": self.response * PIXEL_LOSSES[self.loss](step.student.sr, step.teacher.sr),
            "fakd": self.weight * torch.stack(levels).sum(),
        }

    def _levels(self, feats: dict[float, Tensor]) -> list[Tensor]:
        last = feats[HEAD] + feats[BODY] if self.skip else feats[1.0]
        return [feats[self.first], feats[self.second], last]


def affinity_loss(guided: Tensor, hint: Tensor, chosen: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference of two affinities.

    Args:
        guided, hint: features (N, C, h, w); C may differ.
        chosen: indices of the pixels to use, row by row; all by default.
    """
    return F.l1_loss(affinity(guided, chosen), affinity(hint, chosen))


def affinity(features: Tensor, chosen: Tensor | None = None) -> Tensor:
    """Return the (N, P, P) cosines between the pixels' vectors of channels.

    Source: `spatial_similarity` of the authors' code.
    """
    vectors = features.flatten(2)
    unit = F.normalize(vectors if chosen is None else vectors[:, :, chosen], dim=1, eps=1e-7)
    return unit.transpose(1, 2) @ unit
