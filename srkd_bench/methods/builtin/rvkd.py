"""Review distillation (RVKD): match features of four levels, fused from deep to shallow."""

from dataclasses import dataclass, field
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srkd_bench.methods.base import LATER, Factor, Losses, Method, Share, Step, Weight
from srkd_bench.methods.features import channel_statistics, sample_features


@dataclass(frozen=True)
class RVKD(Method):
    """ReviewKD on four levels of the residual body: attention-based fusion (ABF) and hierarchical context loss.

    Deviation: EDSR has no batch norm and its features are far from unit scale, which the output of ABF's last batch
    norm cannot reach; each teacher channel is standardised by its mean and deviation over 64 fixed training
    patches. `raw` compares with the unscaled features.
    Deviation: the fusions have `mid` channels, 64; in ReviewKD min(512, channels of the student's deepest level),
    which `mid: 0` gives. That is 16, four times narrower, for a student of 16 filters.
    Deviation: the paper fuses the stages of a classifier, which halve the size from one to the next; EDSR's levels
    have equal sizes, so that nothing is resized.
    Reading: the study does not state which features; they are read after 1/4, 2/4, 3/4 and 4/4 of the blocks.
    Default: 0.0015, raised linearly over the first 8 % of training; by its gradient share (`srkd ls methods
    --measure`): 0.11, 0.29 and 0.64 on the demo; 0.17, 0.09 and 0.76 on BSDS500. The study's 1 dominates the loss
    against HR on a student not trained with it (60 to 500): standardised features differ by about 1, pixels by
    0.001.
    """

    kind = "feature"
    source = "Chen et al., CVPR 2021, arXiv:2104.09044"
    formula = (
        r"\mathcal{L} = \ell(S, y) + w \sum_{l} H\left(\operatorname{ABF}_l(F^S),\, \hat{F}^T_l\right)",
        r"H(A, B) = \frac{\sum_{k} 2^{-k}\, H_k}{\sum_{k} 2^{-k}}",
        r"H_k = \operatorname{MSE}(\operatorname{pool}_k A,\, \operatorname{pool}_k B)",
    )
    symbols = (
        "w: `weight`, raised linearly over the `warmup`",
        r"\operatorname{ABF}_l: fusion of level l with the deeper levels",
        r"\operatorname{pool}_k: no pooling for k = 0, then average pooling to 4, 2 and 1 pixels a side",
    )
    needs = ("features",)
    taps = (0.25, 0.5, 0.75, 1.0)
    never_zero = "the student's features pass through fusions, which are random at first"

    weight: Weight = 0.0015
    mid: Annotated[int, Field(ge=0, le=4096)] = 64
    warmup: Share = 0.08
    raw: bool = False
    adapter_rate: Factor = field(default=1.0, metadata=LATER)

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return the fusions, with the teacher's statistics as frozen buffers."""
        assert teacher is not None
        guided, hints = sample_features(student, lr[:1], self.taps), sample_features(teacher, lr, self.taps)
        channels = [guided[tap].shape[1] for tap in self.taps]
        return Review(
            channels, self.mid or min(512, channels[-1]), [hints[tap] for tap in self.taps], raw=self.raw
        )

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `rvkd`, summed over the levels."""
        guided, hints = adapter(
            [step.student.feats[tap] for tap in self.taps], [step.teacher.feats[tap] for tap in self.taps]
        )
        loss = torch.stack([context_loss(g, h) for g, h in zip(guided, hints, strict=True)]).sum()
        rise = min(1.0, step.progress / self.warmup) if self.warmup else 1.0
        return {"rec": step.rec, "rvkd": self.weight * rise * loss}


class Review(nn.Module):
    """A fusion for each level, and the standardised features of the teacher.

    Args:
        channels: of the student's features, from shallow to deep.
        levels: sample of the teacher's features (N, C, h, w), from shallow to deep.
    """

    def __init__(self, channels: list[int], mid: int, levels: list[Tensor], *, raw: bool) -> None:
        super().__init__()
        last = len(levels) - 1
        self.fusions = nn.ModuleList(
            Fusion(inputs, mid, level.shape[1], fuse=i < last)
            for i, (inputs, level) in enumerate(zip(channels, levels, strict=True))
        )
        for i, level in enumerate(levels):
            mean, deviation = channel_statistics(level)
            self.register_buffer(f"mean{i}", torch.zeros_like(mean) if raw else mean)
            self.register_buffer(f"deviation{i}", torch.ones_like(mean) if raw else deviation)

    def forward(self, guided: list[Tensor], hints: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the student's fused features and the teacher's standardised ones, level by level."""
        fused: list[Tensor] = []
        deeper: Tensor | None = None
        for fusion, features in zip(reversed(self.fusions), reversed(guided), strict=True):
            output, deeper = fusion(features, deeper)
            fused.insert(0, output)
        return fused, [
            (hint - self.get_buffer(f"mean{i}")) / self.get_buffer(f"deviation{i}")
            for i, hint in enumerate(hints)
        ]


class Fusion(nn.Module):
    """ABF: the student's level, mixed with the deeper ones by a learned attention map each."""

    def __init__(self, inputs: int, mid: int, outputs: int, *, fuse: bool) -> None:
        super().__init__()
        narrow, widen = (
            nn.Conv2d(inputs, mid, 1, bias=False),
            nn.Conv2d(mid, outputs, 3, padding=1, bias=False),
        )
        for convolution in (narrow, widen):
            nn.init.kaiming_uniform_(convolution.weight, a=1)
        self.enter = nn.Sequential(narrow, nn.BatchNorm2d(mid))
        self.attention = nn.Sequential(nn.Conv2d(2 * mid, 2, 1), nn.Sigmoid()) if fuse else None
        self.leave = nn.Sequential(widen, nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the features to compare with the teacher, (N, outputs, h, w), and those for the next level."""
        mixed = self.enter(features)
        if self.attention is not None and deeper is not None:
            deeper = F.interpolate(deeper, mixed.shape[-2:], mode="nearest")
            attention = self.attention(torch.cat([mixed, deeper], dim=1))
            mixed = mixed * attention[:, :1] + deeper * attention[:, 1:]
        return self.leave(mixed), mixed


def context_loss(guided: Tensor, hint: Tensor) -> Tensor:
    """Return the hierarchical context loss: MSE at full size and pooled to 4, 2 and 1, halved each time.

    Pooled sizes not smaller than the features are skipped; the weights used sum to 1.

    Args:
        guided, hint: (N, C, h, w).
    """
    loss, total, weight = F.mse_loss(guided, hint), 1.0, 1.0
    for size in (4, 2, 1):
        if size < guided.shape[-2]:
            weight /= 2
            pooled = F.adaptive_avg_pool2d(guided, size), F.adaptive_avg_pool2d(hint, size)
            loss = loss + weight * F.mse_loss(*pooled)
            total += weight
    return loss / total
