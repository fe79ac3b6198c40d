"""Augmented distillation (AugKD): also distil on zoomed-in crops of HR and on zoomed-out LR images."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srkd_bench.methods.base import (
    LATER,
    PIXEL_LOSSES,
    Losses,
    Method,
    PixelLoss,
    Step,
    Weight,
    originally,
)

PROBABILITY = 0.3  # of each change of a zoomed-in image


@dataclass(frozen=True)
class AugKD(Method):
    """Add two batches to each step, derived from the batch, on which student and teacher are compared.

    Zoomed in: crops of HR with LR's size, used as LR. HR is a grid of scale × scale such crops; `crops` of them
    are drawn for the batch. The student gets each image inverted in colour, flipped down, flipped across and
    transposed, each with probability 0.3; its SR is changed back before it is compared with the teacher's SR of
    the original. `turn: false` leaves the images unchanged.
    Zoomed out: LR downscaled by the scale, whose ground truth is LR. The student's SR is compared with the
    teacher's, and with LR by the suite's loss, as its other SR is with HR (`truth`).
    A step takes three forward passes of student and teacher: on the batch, on `crops` times as many crops, and on
    smaller images.

    Deviation: the authors take two optimizer steps a batch, the second for the zoomed images; here it is one.
    Deviation: the authors undo flips and transposition in the order in which they made them, which is wrong for
    two of the eight: a transposition with exactly one flip. Here the order is reversed.
    Deviation: weights are relative to HR's of 1. The default is the authors' setting of EDSR at ×2, 5 : 1. Theirs
    for EDSR at ×3 and ×4 has `crops: 1`; SwinIR `crops: 1, zoom_out: false`; RCAN at ×3 `crops: 1` and both
    weights 0.5; RCAN at ×2 and ×4 `crops: 1, zoom_out: false, turn: false` and both weights 1.
    Deviation: LR is downscaled by torch's bicubic with antialiasing and rounded to 8 bits. That is MATLAB's
    kernel, but at the border it renormalises over existing pixels instead of mirroring. The authors do not round.
    Deviation: distances are mean squared errors unless `train.loss` is `l1`; the authors' are L1.
    Default: 0.2, as the authors' for EDSR; the gradient share has not been measured.
    Reading: srkd's earlier form, from the paper alone, is one crop off the grid, all images of a batch flipped
    and transposed alike, zoomed-out ones too, without inversion and without `truth`. The suite `bsds-more` names
    it: `crops: 0, changes: batch, truth: 0.0` and both weights 0.25, with a gradient share of 0.71, 0.67 and 0.72
    on the demo.
    """

    kind = "response"
    source = "Zhang et al., ICLR 2025, arXiv:2309.14162"
    formula = (
        r"\mathcal{L} = \ell(S(x), y) + w_r\, d(S(x), T(x)) + \mathcal{L}_z",
        r"\mathcal{L}_z = w\, (d_i + d_o) + w_t\, \ell(S(x_o), x)",
        r"d_i = d\left(g^{-1}(S(g(x_i))),\, T(x_i)\right)",
        r"d_o = d\left(S(x_o),\, T(x_o)\right)",
    )
    symbols = (
        r"\mathcal{L}_z: loss of the zoomed images",
        "x: LR",
        "x_i: crops of HR as LR (zoomed in)",
        "x_o: downscaled LR (zoomed out)",
        "g: inversion of colours, flips and transposition",
        "w_r: `response`",
        "w_t: `truth`",
    )
    needs = ("sr", "network")
    min_patch = 4  # the largest scale, by which LR is downscaled
    never_zero = "the student sees images changed, and a network's SR of those is not its SR changed"

    weight: Weight = 0.2
    response: Weight = 0.2
    turn: bool = True
    loss: PixelLoss = field(default="mse", metadata=LATER)
    crops: Annotated[int, Field(ge=0, le=16)] = field(default=2, metadata=originally(0))
    changes: Literal["image", "batch"] = field(default="image", metadata=originally("batch"))
    truth: Weight = field(default=1.0, metadata=originally(0.0))
    zoom_out: bool = field(default=True, metadata=LATER)

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec`, `response` for the batch, `zoom_in`, `zoom_out`, and `truth` for zoomed-out LR."""
        terms = {
            "rec": step.rec,
            "response": self.response * self._distance(step.student.sr, step.teacher.sr),
            "zoom_in": self.weight * self._zoomed_in(step),
        }
        return terms | (self._zoomed_out(step) if self.zoom_out else {})

    def _zoomed_in(self, step: Step) -> Tensor:
        if self.crops:
            images = grid_crops(step.hr, step.lr, self.crops, step.generator)
        else:
            images = random_crop(step.hr, step.lr, step.generator)
        if not self.turn or self.changes == "batch":
            return self._distance(*self._turned(step, images))
        changes = Changes.drawn(len(images), step.generator, images.device)
        student = changes.back(step.see(changes(images)).sr)
        return self._distance(student, step.teacher.see(images).sr)

    def _zoomed_out(self, step: Step) -> Losses:
        scale = step.hr.shape[-1] // step.lr.shape[-1]
        lr = multiple(step.lr, scale) if self.truth else step.lr
        smaller = zoomed_out(lr, scale)
        if self.changes == "batch":
            student, teacher = self._turned(step, smaller)
        else:
            student, teacher = step.see(smaller).sr, step.teacher.see(smaller).sr
        terms = {"zoom_out": self.weight * self._distance(student, teacher)}
        return terms | ({"truth": self.truth * step.loss(student, lr)} if self.truth else {})

    def _turned(self, step: Step, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the SR of images by the student, which gets all of them turned alike, and by the teacher."""
        turn = Turn.drawn(step.generator) if self.turn else Turn()
        return turn.back(step.see(turn(images)).sr), step.teacher.see(images).sr

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
        return cls(*torch.randint(2, (3,), generator=generator).bool().tolist())

    def __call__(self, images: Tensor) -> Tensor:
        """Transform images (N, C, H, W)."""
        images = self._flipped(images)
        return images.transpose(2, 3) if self.transpose else images

    def back(self, images: Tensor) -> Tensor:
        """Apply the inverse, in reverse order."""
        return self._flipped(images.transpose(2, 3) if self.transpose else images)

    def _flipped(self, images: Tensor) -> Tensor:
        return images.flip([dim for dim, flip in ((2, self.down), (3, self.across)) if flip])


@dataclass(frozen=True)
class Changes:
    """A change of each image of a batch: colours inverted, then flipped, then transposed.

    Args:
        chosen: (4, N, 1, 1, 1) booleans: which images are inverted, flipped down, flipped across, and transposed.
    """

    chosen: Tensor

    @classmethod
    def drawn(cls, n: int, generator: torch.Generator, device: torch.device | None = None) -> "Changes":
        """Draw the changes of n images on a device, the CPU by default, each with probability 0.3."""
        drawn = torch.rand((4, n, 1, 1, 1), generator=generator)
        return cls((drawn < PROBABILITY).to(device, non_blocking=True))

    def __call__(self, images: Tensor) -> Tensor:
        """Change square images (N, C, H, H) in [0, 1]."""
        return self._transposed(self._flipped(self._inverted(images)))

    def back(self, images: Tensor) -> Tensor:
        """Apply the inverse, in reverse order."""
        return self._inverted(self._flipped(self._transposed(images)))

    def _inverted(self, images: Tensor) -> Tensor:
        return torch.where(self.chosen[0], 1 - images, images)

    def _flipped(self, images: Tensor) -> Tensor:
        images = torch.where(self.chosen[1], images.flip(2), images)
        return torch.where(self.chosen[2], images.flip(3), images)

    def _transposed(self, images: Tensor) -> Tensor:
        return torch.where(self.chosen[3], images.transpose(2, 3), images)


def grid_crops(hr: Tensor, lr: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return crops of HR with LR's size, at different random positions of the grid, the same for all images.

    Args:
        count: of all scale² positions at most.
    Returns:
        (count * N, 3, h, w), crop by crop.
    """
    height, width = lr.shape[-2:]
    columns = hr.shape[-1] // width
    places = torch.randperm(hr.shape[-2] // height * columns, generator=generator)
    corners = [(place // columns * height, place % columns * width) for place in places[:count].tolist()]
    return torch.cat([hr[..., top : top + height, left : left + width] for top, left in corners])


def random_crop(hr: Tensor, lr: Tensor, generator: torch.Generator) -> Tensor:
    """Return a crop of HR with LR's size, at a random position."""
    height, width = lr.shape[-2:]
    top, left = (
        int(torch.randint(room + 1, (), generator=generator))
        for room in (hr.shape[-2] - height, hr.shape[-1] - width)
    )
    return hr[..., top : top + height, left : left + width]


def multiple(lr: Tensor, scale: int) -> Tensor:
    """Return LR, at least as large as the scale, without the rows and columns that exceed a multiple of it."""
    height, width = (side // scale * scale for side in lr.shape[-2:])
    return lr[..., :height, :width]


def zoomed_out(lr: Tensor, scale: int) -> Tensor:
    """Return LR downscaled by the scale, at least one pixel a side, in 8-bit levels."""
    size = [max(1, side // scale) for side in lr.shape[-2:]]
    smaller = F.interpolate(lr, size, mode="bicubic", antialias=True, align_corners=False)
    return (255 * smaller).round().clamp(0, 255) / 255
