"""Cross-network distillation (CrossKD): the teacher's frozen tail super-resolves the student's features."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from srkd_bench.methods.base import (
    LATER,
    PIXEL_LOSSES,
    Factor,
    Losses,
    Method,
    PixelLoss,
    Step,
    Weight,
)
from srkd_bench.methods.features import sample_features


@dataclass(frozen=True)
class CrossKD(Method):
    """The student's last features go through a trained 1×1 convolution and the teacher's frozen tail.

    The result is compared with the teacher's SR. The student's own tail learns from HR only, which avoids
    conflicting targets; this is the paper's idea.

    Deviation: the paper is about detectors, where a part of the head is crossed. Here the teacher continues from
    the student's features after its last block: last convolution of the body, its own global skip, upsampler. Fang
    et al. (Dual Cross Knowledge Distillation, 2022) chain EDSRs in a similar way.
    Deviation: the numbers of channels differ, so a 1×1 convolution maps between them, trained at the student's
    learning rate times `adapter_rate`. It starts as the identity on shared channels: a student that equals its
    teacher has zero loss.
    Deviation: the authors' `align_scale` gives each channel of the student's features the teacher's mean and
    deviation over the batch before the teacher's head. `align` does so after the 1×1 convolution; it is off by
    default.
    Deviation: the distance is a pixel distance, the mean squared error or L1 as `loss`; the paper's are a focal
    loss and an IoU loss.
    Default: 1; its gradient share (`srkd ls methods --measure`) is 0.15, 0.22 and 0.56 on the demo. In training it
    was 0.05 to 0.23 over 400 steps there (means over parts of it), increasing until the end.
    """

    kind = "response"
    source = "Wang et al., CVPR 2024, arXiv:2306.11369"
    formula = (r"\mathcal{L} = \ell(S, y) + w\, d\left(\tau_T(C(F^S)),\, T\right)",)
    symbols = (r"\tau_T: tail of the teacher, frozen", "C: 1×1 convolution")
    needs = ("sr", "network")
    taps = (1.0,)
    resumes = ("teacher",)

    weight: Weight = 1.0
    loss: PixelLoss = field(default="mse", metadata=LATER)
    align: bool = field(default=False, metadata=LATER)
    adapter_rate: Factor = field(default=1.0, metadata=LATER)

    def __post_init__(self) -> None:
        """Require the teacher's features if the student's are aligned with them."""
        if self.align:
            object.__setattr__(self, "needs", ("sr", "features", "network"))

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return the 1×1 convolution."""
        assert teacher is not None
        hint, guided = (sample_features(network, lr[:1], self.taps) for network in (teacher, student))
        return Cross(guided[1.0].shape[1], hint[1.0].shape[1])

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `crosskd`."""
        with step.autocast():
            wide = adapter(step.student.feats[1.0], step.teacher.feats[1.0] if self.align else None)
        sr = step.teacher.resume(1.0, wide)
        return {"rec": step.rec, "crosskd": self.weight * PIXEL_LOSSES[self.loss](sr, step.teacher.sr)}


class Cross(nn.Module):
    """Map the student's features to the teacher's channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(inputs, outputs, 1)
        nn.init.dirac_(self.widen.weight)
        nn.init.zeros_(self.widen.bias)  # type: ignore[arg-type]  # it has one
        self.register_load_state_dict_pre_hook(_without_tail)  # type: ignore[no-untyped-call]

    def forward(self, feats: Tensor, like: Tensor | None = None) -> Tensor:
        """Map features (N, inputs, h, w) to (N, outputs, h, w).

        Args:
            like: the teacher's features (N, outputs, h, w), if the student's are to be aligned with them.
        """
        wide: Tensor = self.widen(feats)
        return wide if like is None else aligned(wide, like)


def _without_tail(module: nn.Module, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
    """Remove the copy of the teacher's tail from a checkpoint that an earlier version wrote."""
    for name in [name for name in state if name.startswith(f"{prefix}tail.")]:
        del state[name]


def aligned(features: Tensor, like: Tensor) -> Tensor:
    """Return features with the mean and deviation of others in each channel, over batch and pixels.

    Args:
        features, like: (N, C, h, w).
    Source: `align_scale` of the authors' code.
    """
    features = features.float()
    deviation, mean = torch.std_mean(features, dim=(0, 2, 3), keepdim=True)
    wanted_deviation, wanted_mean = torch.std_mean(like, dim=(0, 2, 3), keepdim=True)
    return (features - mean) / (deviation + 1e-6) * wanted_deviation + wanted_mean
