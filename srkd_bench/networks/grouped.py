"""Several networks of one architecture as one network with grouped convolutions."""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from srkd_bench.networks.architectures.residual import ResidualNetwork


def grouped(networks: Sequence[ResidualNetwork], width: int) -> ResidualNetwork:
    """Return a network that evaluates networks of one architecture side by side, each on images of its own.

    It maps LR (N, 3*width, h, w), the networks' images joined along the channels, to SR (N, 3*width, H, W). The
    networks' weights and gradients become parts of its weights and gradients, so that both have the same values at
    any time. Groups without a network have weights of 0.

    Args:
        networks: at most `width`.
    """
    whole = copy.deepcopy(networks[0])
    for name, layer in [*whole.named_modules()]:
        if isinstance(layer, nn.Conv2d):
            whole.set_submodule(name, _convolution([one.get_submodule(name) for one in networks], width))
    whole.mean = whole.mean.repeat(1, width, 1, 1)
    return whole


def _convolution(layers: Sequence[nn.Module], width: int) -> nn.Conv2d:
    """Return a grouped convolution that holds the weights of these."""
    like = layers[0]
    assert isinstance(like, nn.Conv2d)
    assert like.bias is not None
    whole = nn.Conv2d(
        width * like.in_channels,
        width * like.out_channels,
        (like.kernel_size[0], like.kernel_size[1]),
        padding=(like.kernel_size[0] // 2, like.kernel_size[1] // 2),  # images keep their size
        groups=width,
        device=like.weight.device,
    )
    for name, joined in whole.named_parameters():
        joined.data.zero_()
        joined.grad = torch.zeros_like(joined)
        for number, layer in enumerate(layers):
            own = layer.get_parameter(name)
            _become_part(own, joined, slice(number * len(own), (number + 1) * len(own)))
    return whole


def _become_part(own: nn.Parameter, joined: nn.Parameter, rows: slice) -> None:
    assert joined.grad is not None
    joined.data[rows].copy_(own.data)
    own.data, own.grad = joined.data[rows], joined.grad[rows]
