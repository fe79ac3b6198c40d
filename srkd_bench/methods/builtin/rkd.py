"""Relational distillation (RKD): match the distances between the SR images of a batch."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.methods.base import LATER, Losses, Method, Step, Weight
from srkd_bench.methods.distances import off_diagonal


@dataclass(frozen=True)
class RKD(Method):
    """Distance-wise RKD on the flattened SR of each image; `angle` is the weight of the additional angle-wise loss.

    Deviation: Park et al. compare embeddings of images; the study compares the SRs themselves, by distances only.
    Default: 0.25, by its gradient share (`srkd ls methods --measure`): 0.22, 0.17 and 0.49 on the demo; 0.33, 0.11
    and 0.96 on BSDS500. The original paper's 25, which the study uses, dominates the loss against HR in both (11 to
    95). A loss of ratios does not depend on the value range, but its share increases as errors decrease. Angles are
    off, as in the study; the paper gives them twice the weight of distances, 50.
    """

    kind = "relation"
    source = "Park et al., CVPR 2019, arXiv:1904.05068"
    formula = (
        r"\mathcal{L} = \ell(S, y) + \frac{w}{N^2} \sum_{i,j} h\left(\psi_{ij}(S) - \psi_{ij}(T)\right)",
        r"\psi_{ij}(X) = \frac{1}{\mu} \lVert X_i - X_j \rVert",
        r"\mu = \frac{1}{N (N - 1)} \sum_{k \neq m} \lVert X_k - X_m \rVert",
    )
    symbols = (
        "h: smooth L1 with β = 1",
        r"\psi_{ij}: distance of two images, relative to the mean of the batch",
    )
    needs = ("sr",)
    stacks = True
    min_batch = 2

    weight: Weight = 0.25
    angle: Weight = field(default=0.0, metadata=LATER)

    def __post_init__(self) -> None:
        """Require batches of three images if angles are compared."""
        if self.angle:
            object.__setattr__(self, "min_batch", 3)  # not a field of the frozen dataclass

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `rkd`, and `angle` if it has a weight."""
        student, teacher = step.student.sr, step.teacher.sr
        terms = {"rec": step.rec, "rkd": self.weight * distance_loss(student, teacher)}
        if self.angle:
            terms["angle"] = self.angle * angle_loss(student, teacher)
        return terms


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the smooth-L1 loss (β = 1) between two matrices of relative distances.

    The mean is over all N² entries, including the zeros of the diagonal, as in the authors' code.

    Args:
        student, teacher: SR (N, C, H, W) in any range, N at least 2.
    """
    return F.smooth_l1_loss(relative_distances(student), relative_distances(teacher))


def relative_distances(images: Tensor) -> Tensor:
    """Return the (N, N) Euclidean distances between the images, divided by the mean of those off the diagonal."""
    vectors = images.flatten(1)
    # Direct differences: the shorter |a|² + |b|² - 2ab loses all digits for images that are nearly equal.
    squares = (vectors[:, None] - vectors[None]).square().sum(2)
    others = ~torch.eye(len(images), dtype=torch.bool, device=images.device)
    distances = squares.clamp_min(1e-12).sqrt() * others
    return distances / off_diagonal(distances).mean()


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the smooth-L1 loss (β = 1) between the cosines of all angles of three images.

    The mean is over all N³ entries, as in the authors' code, including the 3N² - 2N with a repeated image, which
    are 0 or 1 in both.

    Args:
        student, teacher: SR (N, C, H, W) in any range, N at least 3.
    """
    return F.smooth_l1_loss(cosines(student), cosines(teacher))


def cosines(images: Tensor) -> Tensor:
    """Return the (N, N, N) cosines between f_i - f_j and f_k - f_j, by j, i and k.

    Cosines of equal images, whose difference has no direction, are 0 and carry no gradient. Memory is that of the
    N² differences and of N³ numbers.
    """
    vectors = images.flatten(1)
    differences = vectors[None] - vectors[:, None]
    squares = differences.square().sum(2, keepdim=True)
    directions = differences * (squares > 1e-12) / squares.clamp_min(1e-12).sqrt()
    return directions @ directions.transpose(1, 2)
