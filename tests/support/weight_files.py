"""Weights files in the format of their authors."""

import torch
from torch import Tensor, nn

from srkd_bench.networks.architectures.residual import DIV2K_MEAN


def released(model: nn.Module, range: float = 255) -> dict[str, Tensor]:
    """Return an EDSR's state dict as EDSR-PyTorch saves it, for values up to 1 or 255."""
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    state = {
        name: value * (range / 255) if name.endswith(".bias") else value for name, value in state.items()
    }
    for sign, name in ((-1, "sub_mean"), (1, "add_mean")):
        shift = {"weight": torch.eye(3).view(3, 3, 1, 1), "bias": sign * range * torch.tensor(DIV2K_MEAN)}
        state |= {f"{name}.{key}": value for key, value in shift.items()}
    return state
