"""Deep mutual learning (DML): two students learn from HR and from each other's SR."""

from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods.base import LATER, PIXEL_LOSSES, Losses, Method, PixelLoss, Step, Weight


@dataclass(frozen=True)
class DML(Method):
    """Each of two peers adds the distance to the other's SR, detached; there is no teacher.

    The distance is the mean squared error, or L1 as `loss`.

    Deviation: Zhang et al. compare class probabilities by KL divergence; for images it is a pixel distance.
    Deviation: both peers take their step on the same outputs; in the paper the second uses the first's new ones.
    Reading: the study mentions mutual distillation as future work only. The first peer has the same initial weights
    as every other method's student and is the one that is reported; the second has its own initial weights.
    Default: 0.4, by its gradient share (`srkd ls methods --measure`): 0.46, 0.83 and 0.32 on the demo. With the
    original paper's 1 the peer dominates HR early in training: 1.4 to 2 (medians of tenths) over the first six
    tenths of the suite demo's 1,200 steps, 0.4 to 0.6 over the last four.
    """

    kind = "mutual"
    source = "Zhang et al., CVPR 2018, arXiv:1706.00384"
    formula = (
        r"\mathcal{L} = \ell(S, y) + w\, d(S, \operatorname{sg}(P))",
        r"\mathcal{L}_P = \ell(P, y) + w\, d(P, \operatorname{sg}(S))",
    )
    symbols = ("P: SR of the peer", r"\mathcal{L}_P: loss of the peer")
    looks = False
    never_zero = "it learns from a peer, not from the teacher"
    beside = ("peer",)

    weight: Weight = 0.4
    loss: PixelLoss = field(default="mse", metadata=LATER)

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: Tensor) -> nn.Module:
        """Return the peer: the student's architecture with other initial weights.

        Raises:
            SrkdError: none of its layers can be reinitialised, so that the two would stay equal.
        """
        own = deepcopy(student).cpu()  # another device draws other initial weights from the same seed
        peer = deepcopy(own)
        for module in peer.modules():
            if callable(draw := getattr(module, "reset_parameters", None)):
                draw()
        if all(map(torch.equal, peer.parameters(), own.parameters())):
            hint = "give its layers a method reset_parameters, as torch's own have"
            raise SrkdError("dml cannot give its second student other initial weights", hint)
        return peer

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `dml`, which train the student, and `peer`, both losses of the peer."""
        with step.autocast():
            peer: Tensor = adapter(step.lr).sr
        student, distance = step.student.sr, PIXEL_LOSSES[self.loss]
        own = step.loss(peer, step.hr) + self.weight * distance(peer, student.detach())
        return {"rec": step.rec, "dml": self.weight * distance(student, peer.detach()), "peer": own}
