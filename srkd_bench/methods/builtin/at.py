"""Attention transfer (AT): match the spatial attention maps of student and teacher."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.methods.base import Losses, Method, Step, Weight


@dataclass(frozen=True)
class AT(Method):
    """Activation-based attention maps, the squared features' mean over channels, on four levels of the body.

    Deviation: the paper's weight is 1000, added to cross entropy. Added to the mean squared error of images in
    [0, 1], the gradient share ‖∇ at‖ / ‖∇ rec‖ is then 30 to 95 over 100 steps of the suite demo's student.
    Default: 0.25, by its gradient share (`srkd ls methods --measure`): 0.07, 0.19 and 0.82 on the demo. A student
    trained with it has a lower share: with weight 2 it was 0.21 to 0.73 (medians of tenths) over 600 steps there.
    The mean is over the pixels of maps of norm 1, so larger patches need a larger weight.
    Reading: the study names attention maps in passing. Levels are after 1/4, 2/4, 3/4 and 4/4 of the blocks.
    """

    kind = "feature"
    source = "Zagoruyko and Komodakis, ICLR 2017, arXiv:1612.03928"
    formula = (
        r"\mathcal{L} = \ell(S, y) + w \sum_{l} \operatorname{MSE}\left(Q(F^S_l),\, Q(F^T_l)\right)",
        r"Q(F) = \frac{A}{\lVert A \rVert}, \quad A = \frac{1}{C} \sum_{c=1}^{C} F_c^2",
    )
    symbols = ("Q: attention map", "C: number of channels")
    needs = ("features",)
    taps = (0.25, 0.5, 0.75, 1.0)

    weight: Weight = 0.25

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `at`, summed over the levels."""
        guided, hints = step.student.feats, step.teacher.feats
        levels = [F.mse_loss(attention(guided[tap]), attention(hints[tap])) for tap in self.taps]
        return {"rec": step.rec, "at": self.weight * torch.stack(levels).sum()}


def attention(features: Tensor) -> Tensor:
    """Return the attention map of features: (N, C, h, w) in any range to (N, h*w) of norm 1."""
    return F.normalize(features.square().mean(1).flatten(1))
