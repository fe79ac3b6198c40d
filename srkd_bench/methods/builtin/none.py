"""No distillation: the control that every other row is measured against, and how a teacher is trained."""

from dataclasses import dataclass

from torch import nn

from srkd_bench.methods.base import Losses, Method, Step


@dataclass(frozen=True)
class NoDistillation(Method):
    """The loss against HR alone."""

    kind = "none"
    source = "Lim et al., CVPRW 2017, arXiv:1707.02921"
    looks = False

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return the loss against HR."""
        return {"rec": step.rec}
