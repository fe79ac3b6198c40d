"""Feature statistics on a sample of training patches."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def sample_features(network: nn.Module, lr: Tensor, taps: Sequence[float]) -> dict[float, Tensor]:
    """Return a network's features of sample patches, (N, C, h, w) by tap, without gradient."""
    with torch.no_grad():
        parts = [network(part, taps).feats for part in torch.split(lr, 8)]
    return {tap: torch.cat([part[tap] for part in parts]) for tap in taps}


def channel_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the deviation of each channel of (N, C, h, w), as (1, C, 1, 1) each.

    Deviations are at least 1e-6, so that division is safe.
    """
    deviation, mean = torch.std_mean(features, dim=(0, 2, 3), keepdim=True)
    return mean, deviation.clamp_min(1e-6)
