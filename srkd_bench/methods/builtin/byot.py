"""Self-distillation (BYOT): early exits of the student learn from HR and from its final output."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.methods.base import (
    LATER,
    PIXEL_LOSSES,
    Factor,
    Losses,
    Method,
    PixelLoss,
    Share,
    Step,
    Weight,
)


@dataclass(frozen=True)
class BYOT(Method):
    """Be your own teacher: each exit's SR is compared with HR and with the student's own SR, detached.

    An exit is a 3x3 convolution to the SR's pixels, divided by 255, and added to the bicubically enlarged LR.
    EDSR's features have its range 0..255 and keep the image along the body, so that one convolution can predict the
    residual to bicubic. Exits are discarded after training; they are small, so that the body has to learn. In the
    suite demo's first batch their mean squared error is 0.007 each, the student's own 0.056.

    Deviation: Zhang et al. compare class probabilities, by cross entropy and KL divergence; here the suite's loss
    against HR and a pixel distance are used, the mean squared error or L1 as `loss`. Their third term, on
    features, is omitted.
    Default: 1, with alpha 0.3 as in public code of the paper: 0.7 against HR and 0.3 against the deepest.
    Its gradient share (`srkd ls methods --measure`) is 0.40, 0.28 and 0.57 on the demo; in training it is 0.14 to
    0.43 (medians of tenths) over 1,200 steps there.
    Reading: the study mentions self-distillation as future work only. Exits follow 1/4, 2/4 and 3/4 of the blocks.
    """

    kind = "self"
    source = "Zhang et al., ICCV 2019, arXiv:1905.08094"
    formula = (
        r"\mathcal{L} = \ell(S, y) + w \sum_{l} \mathcal{L}_l",
        r"\mathcal{L}_l = (1 - \alpha)\, \ell(E_l, y) + \alpha\, d(E_l, \operatorname{sg}(S))",
    )
    symbols = ("E_l: SR of the exit at level l",)
    taps = (0.25, 0.5, 0.75)
    looks = False
    never_zero = "it learns from the student's own exits, not from the teacher"

    weight: Weight = 1.0
    alpha: Share = 0.3
    loss: PixelLoss = field(default="mse", metadata=LATER)
    adapter_rate: Factor = field(default=1.0, metadata=LATER)

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return the exits."""
        with torch.no_grad():
            output = student(lr[:1], self.taps)
        scale = output.sr.shape[-1] // lr.shape[-1]
        return Exits([output.feats[tap].shape[1] for tap in self.taps], scale)

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec`, `exits` (against HR) and `byot` (against the student's SR), summed over the exits."""
        exits = adapter(step.lr, [step.student.feats[tap] for tap in self.taps])
        deepest = step.student.sr.detach()
        against_hr = torch.stack([step.loss(sr, step.hr) for sr in exits]).sum()
        against_deepest = torch.stack([PIXEL_LOSSES[self.loss](sr, deepest) for sr in exits]).sum()
        return {
            "rec": step.rec,
            "exits": self.weight * (1 - self.alpha) * against_hr,
            "byot": self.weight * self.alpha * against_deepest,
        }


class Exits(nn.Module):
    """A small tail for each depth.

    Args:
        channels: of the student's features, from shallow to deep.
    """

    def __init__(self, channels: list[int], scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.tails = nn.ModuleList(nn.Conv2d(n, 3 * scale**2, 3, padding=1) for n in channels)

    def forward(self, lr: Tensor, feats: list[Tensor]) -> list[Tensor]:
        """Return an SR (N, 3, scale*h, scale*w), about [0, 1], for each depth's features (N, C, h, w)."""
        enlarged = F.interpolate(lr, scale_factor=self.scale, mode="bicubic")
        return [
            enlarged + F.pixel_shuffle(tail(one), self.scale) / 255
            for tail, one in zip(self.tails, feats, strict=True)
        ]
