"""Features of sample patches: their statistics, and whether networks can be resumed from them."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from srkd_bench.core.errors import SrkdError
from srkd_bench.methods.base import Resumed
from srkd_bench.networks.base import Architecture, Output


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


def check_declared(who: Resumed, resumes: Collection[Resumed]) -> None:
    """Check that a method which resumes a network says so.

    Args:
        resumes: as `Method.resumes`.
    Raises:
        SrkdError: it does not.
    """
    if who not in resumes:
        raise SrkdError(
            f"a method resumes the {who}, which its class attribute `resumes` does not name",
            f"write resumes = {(*sorted(resumes), who)}; networks that cannot be resumed are then refused",
        )


def check_resume(network: Architecture, lr: Tensor, taps: Sequence[float]) -> None:
    """Check that a network can be resumed from its features.

    Args:
        network: in evaluation mode.
        lr: (N, 3, h, w) in [0, 1].
    Raises:
        SrkdError: it has none, or the SR that it gives when it is resumed does not depend on them.
    """
    with torch.no_grad():
        output: Output = network(lr[:1], taps)
    for tap, features in output.feats.items():
        given = features.clone().requires_grad_()
        with torch.enable_grad():
            sr = network.resume(tap, given, lr[:1])
            used = torch.autograd.grad(sr.sum(), given, allow_unused=True)[0] if sr.requires_grad else None
        same = sr.is_meta or torch.allclose(
            sr, output.sr, rtol=1e-3, atol=1e-3
        )  # meta tensors have no values
        if used is None or not same:
            problem = "its SR does not depend on them" if used is None else "its own features give another SR"
            raise SrkdError(
                f"{network.spec} cannot be resumed from features at depth {tap:g}: {problem}",
                "use another method, or name other modules by `blocks`",
            )
