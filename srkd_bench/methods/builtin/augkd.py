"""Augmented distillation (AugKD): also distil on zoomed-in crops of HR and on zoomed-out LR images."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.methods.base import LATER, PIXEL_LOSSES, Losses, Method, PixelLoss, Step, Weight


@dataclass(frozen=True)
class AugKD(Method):
    """Add two batches without HR to each step, derived from the batch, on which student and teacher are compared.

    Zoomed in: a crop of HR with LR's size, used as LR; at the same position in all images of a batch, whose patches
    are already random. Zoomed out: LR downscaled by the scale. The student gets both flipped, transposed or both,
    and its SR is transformed back before it is compared with the teacher's SR of the original images.
    A step takes three forward passes of student and teacher, one of them on smaller images, and one optimizer step.

    Deviation: distances are mean squared errors, as in the study; the paper uses L1, also against HR.
    Deviation: LR is downscaled by torch's bicubic with antialiasing and rounded to 8 bits. That is MATLAB's kernel,
    but at the border it renormalises over existing pixels instead of mirroring, and it rounds once.
    Reading: both zoomed images are used at each step, with the same weight; images are flipped and transposed, but
    their colours are not changed. `turn: false` gives them to the student unchanged.
    Default: 0.25 for each zoomed image and for the batch's own SR as in HKD (`response`): a gradient share
    (`srkd ls methods --measure`) of 0.71, 0.67 and 0.72 on the demo. With the paper's weights of 1 the teacher
    dominates HR: 2.5 to 2.8 over 400 steps.
    """

    kind = "response"
    source = "Zhang et al., preprint (DUKD) 2023, arXiv:2309.14162"
    never_zero = "the student sees images turned, and a network's SR of those is not its SR turned"

    weight: Weight = 0.25
    response: Weight = 0.25
    turn: bool = True
    loss: PixelLoss = field(default="mse", metadata=LATER)

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec`, `response` for the batch, `zoom_in` and `zoom_out`."""
        return {
            "rec": step.rec,
            "response": self.response * self._distance(step.student.sr, step.teacher.sr),
            "zoom_in": self.weight * self._compared(step, zoomed_in(step.hr, step.lr, step.generator)),
            "zoom_out": self.weight * self._compared(step, zoomed_out(step.lr, _scale(step))),
        }

    def _compared(self, step: Step, images: Tensor) -> Tensor:
        turn = Turn.drawn(step.generator) if self.turn else Turn()
        return self._distance(turn.back(step.see(turn(images)).sr), step.teacher.see(images).sr)

    def _distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return PIXEL_LOSSES[self.loss](student, teacher)


@dataclass(frozen=True)
class Turn:
    """One of the eight flips and rotations of an image: flipped first, then transposed."""

    across: bool = False
    down: bool = False
    transpose: bool = False

    @classmethod
    def drawn(cls, generator: torch.Generator) -> "Turn":
        """Draw one of the eight with equal probability."""
        return cls(*torch.randint(2, (3,), generator=generator, device=generator.device).bool().tolist())

    def __call__(self, images: Tensor) -> Tensor:
        """Transform images (N, C, H, W)."""
        images = self._flipped(images)
        return images.transpose(2, 3) if self.transpose else images

    def back(self, images: Tensor) -> Tensor:
        """Apply the inverse, in reverse order."""
        return self._flipped(images.transpose(2, 3) if self.transpose else images)

    def _flipped(self, images: Tensor) -> Tensor:
        return images.flip([dim for dim, flip in ((2, self.down), (3, self.across)) if flip])


def zoomed_in(hr: Tensor, lr: Tensor, generator: torch.Generator) -> Tensor:
    """Return a crop of HR with LR's size, at a random position."""
    height, width = lr.shape[-2:]
    top, left = (
        int(torch.randint(room + 1, (), generator=generator, device=generator.device))
        for room in (hr.shape[-2] - height, hr.shape[-1] - width)
    )
    return hr[..., top : top + height, left : left + width]


def zoomed_out(lr: Tensor, scale: int) -> Tensor:
    """Return LR downscaled by the scale, at least one pixel a side, in 8-bit levels."""
    size = [max(1, side // scale) for side in lr.shape[-2:]]
    smaller = F.interpolate(lr, size, mode="bicubic", antialias=True, align_corners=False)
    return (255 * smaller).round().clamp(0, 255) / 255


def _scale(step: Step) -> int:
    return step.hr.shape[-1] // step.lr.shape[-1]
