"""Distances between SR images, in pixels or wavelet coefficients; pairs of different images of a batch."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from srkd_bench.config.base import Loss
from srkd_bench.methods.base import PIXEL_LOSSES

# What `distance` compares; the type of a hyper-parameter.
Domain = Literal["pixels", "wavelet"]
LEVELS = 4  # of the wavelet transform, as in MTKD


def distance(student: Tensor, teacher: Tensor, loss: Loss, domain: Domain = "pixels") -> Tensor:
    """Return the distance between two batches of SR.

    With `wavelet`, it is the sum of the distances between the detail coefficients of each level of a Haar
    transform, and between the approximations of the last one. The transform is linear: it is applied to the
    difference.

    Args:
        student, teacher: (N, C, H, W) in [0, 1].
        loss: applied to each level; a mean over all its elements.
    """
    measure = PIXEL_LOSSES[loss]
    if domain == "pixels":
        return measure(student, teacher)
    approximation, levels = haar(student - teacher)
    parts = [measure(part, torch.zeros_like(part)) for part in (*levels, approximation)]
    return torch.stack(parts).sum()


def haar(images: Tensor, levels: int = LEVELS) -> tuple[Tensor, list[Tensor]]:
    """Return the orthonormal Haar transform of images: approximations of the last level, and details by level.

    An odd height or width is extended by a row or column of zeros at each level, as in pytorch_wavelets' mode
    `zero`.

    Args:
        images: (N, C, H, W).
    Returns:
        (N, C, h, w) of the last level, and for each level, from fine to coarse, (N, C, 3, h, w): differences of
        rows, of columns, and of both.
    """
    details: list[Tensor] = []
    for _ in range(levels):
        images = F.pad(images, (0, images.shape[-1] % 2, 0, images.shape[-2] % 2))
        top, bottom = images[..., ::2, :], images[..., 1::2, :]
        low, high = top + bottom, top - bottom
        rows = high[..., ::2] + high[..., 1::2]
        columns = low[..., ::2] - low[..., 1::2]
        both = high[..., ::2] - high[..., 1::2]
        details.append(torch.stack((rows, columns, both), dim=2) / 2)
        images = (low[..., ::2] + low[..., 1::2]) / 2
    return images, details


def contrast(student: Sequence[Tensor], teacher: Sequence[Tensor], apart: Sequence[Tensor]) -> Tensor:
    """Return Σ_i w_i L1(S_i, T_i) / A_i over the feature maps of an encoder, with CSD's weights.

    w is 1 for the last map and 1/4, 1/8, 1/16, 1/32, … for those before it.

    Args:
        student, teacher: features (N, ...) from shallow to deep.
        apart: A_i, the distance of the student's features from those of negatives.
    """
    loss = student[0].new_zeros(())
    for depth, (own, positive, away) in enumerate(zip(student, teacher, apart, strict=True)):
        above = len(student) - 1 - depth
        weight = 1.0 if above == 0 else 0.5 ** (above + 1)
        loss = loss + weight * F.l1_loss(own, positive) / (away + 1e-7)
    return loss


def off_diagonal(pairs: Tensor) -> Tensor:
    """Return the elements off the diagonal of a matrix (N, N), row by row: (N, N - 1).

    A Boolean index would give the same, but its size is only known to the device, for which the host would wait.
    """
    count = len(pairs)
    return pairs.flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)
