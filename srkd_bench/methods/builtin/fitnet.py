"""Hints (FitNets): match the student's middle features to the teacher's through a regressor."""

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.methods.base import LATER, Factor, Losses, Method, Step, Weight
from srkd_bench.methods.features import channel_statistics, sample_features

MIDDLE = 0.5


@dataclass(frozen=True)
class FitNet(Method):
    """Mean squared error between the teacher's features after half of its blocks and the student's, regressed.

    Deviation: Romero et al. first train the lower half with hints and then the whole network; here the hint is a
    loss term of a single training, as in every other method.
    Deviation: EDSR has no batch norm and its features are far from unit scale; each teacher channel is
    standardised by its mean and deviation over 64 fixed training patches. So is each channel of the untrained
    student, with constant statistics; their deviation is about 22 in the suite demo.
    Reading: the study only mentions FitNets. The regressor is a 1x1 convolution, since both features have the
    same size; in the paper its kernel is as large as needed to match the sizes.
    Default: 0.0015, by its gradient share (`srkd ls methods --measure`): 0.08, 0.19 and 0.68 on the demo. A student
    trained with it has a lower share: with 0.003 it was 0.14 to 0.53 (medians of tenths) over 600 steps there.
    """

    kind = "feature"
    source = "Romero et al., ICLR 2015, arXiv:1412.06550"
    formula = (r"\mathcal{L} = \ell(S, y) + w\, \operatorname{MSE}\left(R(\hat{F}^S),\, \hat{F}^T\right)",)
    symbols = ("R: regressor, a 1×1 convolution",)
    needs = ("features",)
    taps = (MIDDLE,)
    never_zero = "the student's features pass through a regressor, which is random at first"

    weight: Weight = 0.0015
    adapter_rate: Factor = field(default=1.0, metadata=LATER)

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return the regressor, with the statistics of both networks as frozen buffers."""
        assert teacher is not None
        guided, hint = (sample_features(network, lr, self.taps)[MIDDLE] for network in (student, teacher))
        return Regressor(guided, hint)

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `fitnet`."""
        guided, hint = adapter(step.student.feats[MIDDLE], step.teacher.feats[MIDDLE])
        return {"rec": step.rec, "fitnet": self.weight * F.mse_loss(guided, hint)}


class Regressor(nn.Module):
    """A 1x1 convolution from the student's channels to the teacher's, both standardised.

    Args:
        guided, hint: samples of the student's and of the teacher's features, (N, C, h, w).
    """

    def __init__(self, guided: Tensor, hint: Tensor) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(guided.shape[1], hint.shape[1], 1)
        for name, sample in (("guided", guided), ("hint", hint)):
            mean, deviation = channel_statistics(sample)
            self.register_buffer(f"{name}_mean", mean)
            self.register_buffer(f"{name}_deviation", deviation)

    def forward(self, guided: Tensor, hint: Tensor) -> tuple[Tensor, Tensor]:
        """Return the compared features: the student's regressed ones and the teacher's, both (N, C, h, w)."""
        return self.convolution(self._standardised("guided", guided)), self._standardised("hint", hint)

    def _standardised(self, name: str, features: Tensor) -> Tensor:
        return (features - self.get_buffer(f"{name}_mean")) / self.get_buffer(f"{name}_deviation")
