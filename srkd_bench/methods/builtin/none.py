"""No distillation: the baseline of all comparisons, and the training of teachers."""

from dataclasses import dataclass

from torch import nn

from srkd_bench.methods.base import Losses, Method, Step


@dataclass(frozen=True)
class NoDistillation(Method):
    """The loss against HR alone."""

    kind = "none"
    source = "Lim et al., CVPRW 2017, arXiv:1707.02921"
    formula = (r"\mathcal{L} = \ell(S, y)",)
    looks = False
    stacks = True

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return the loss against HR."""
        return {"rec": step.rec}
