"""Relational distillation (RKD): the batch's images lie to each other as in the teacher's SR."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.method import Losses, Method, Step, Weight


@dataclass(frozen=True)
class RKD(Method):
    """Distance-wise RKD on the flattened SR of each image.

    Deviation: Park et al. compare embeddings of images; the study compares the SRs themselves, distances alone.
    Default: 25, as in the original paper; a loss of ratios needs no other weight for another range.
    """

    kind = "relation"
    source = "Park et al., CVPR 2019, arXiv:1904.05068"
    min_batch = 2

    weight: Weight = 25.0

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `rkd`."""
        return {"rec": step.rec, "rkd": self.weight * distance_loss(step.student.sr, step.teacher.sr)}


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the smooth-L1 loss (β = 1) between two matrices of relative distances.

    The mean runs over all N² entries; the diagonal's zeros count, as in the authors' code.

    Args:
        student, teacher: SR (N, C, H, W) in any range, N at least 2.
    """
    return F.smooth_l1_loss(relative_distances(student), relative_distances(teacher))


def relative_distances(images: Tensor) -> Tensor:
    """Return the (N, N) Euclidean distances between the images, over the mean of those off the diagonal."""
    vectors = images.flatten(1)
    # Direct differences: the shorter |a|² + |b|² - 2ab loses all digits for images that are nearly alike.
    squares = (vectors[:, None] - vectors[None]).square().sum(2)
    others = ~torch.eye(len(images), dtype=torch.bool, device=images.device)
    distances = squares.clamp_min(1e-12).sqrt() * others
    return distances / distances[others].mean()
