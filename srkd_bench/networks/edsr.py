"""EDSR (Lim et al., CVPR Workshops 2017)."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.networks.base import Architecture, Output

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a ReLU, multiplied by `res_scale` and added to the input."""

    def __init__(self, n_feats: int, res_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(n_feats, n_feats), nn.ReLU(inplace=True), _conv(n_feats, n_feats))
        self.res_scale = res_scale

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_feats, h, w) to the same shape."""
        residual: Tensor = self.body(x)
        return x + (residual if self.res_scale == 1 else residual * self.res_scale)


class EDSR(Architecture):
    """Enhanced deep residual network (Lim et al., CVPRW 2017, arXiv:1707.02921).

    Parameters have the names that EDSR-PyTorch gives them and work on its range 0..255, so that its files load
    as they are; images go in and come out in [0, 1].

    Under autocast the residual blocks and the upsampler follow it; head, last layer and the sum along the
    blocks stay in float32, which costs nothing and keeps bfloat16 within a thousandth of a dB.
    """

    spec: ModelSpec
    draws = False
    mean: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        n, scale = spec.n_feats, spec.scale
        self.spec = spec
        self.head = nn.Sequential(_conv(3, n))
        self.body = nn.Sequential(
            *[ResBlock(n, spec.res_scale) for _ in range(spec.n_resblocks)], _conv(n, n)
        )
        upsampler: list[nn.Module] = []
        for factor in (2, 2) if scale == 4 else (scale,):
            upsampler += [_conv(n, factor**2 * n), nn.PixelShuffle(factor)]
        self.tail = nn.Sequential(nn.Sequential(*upsampler), _conv(n, 3))
        self.register_buffer("mean", 255 * torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def forward(self, lr: Tensor, taps: Sequence[float] = ()) -> Output:
        """Super-resolve a batch.

        Args:
            lr: (N, 3, h, w) in [0, 1].
            taps: depths in (0, 1] to read features at: the output of block `round(depth * n_resblocks)`.
        Returns:
            SR (N, 3, scale*h, scale*w) in float32, not clipped, and the features (N, n_feats, h, w) by tap.
        """
        wanted = {tap: max(1, round(tap * self.spec.n_resblocks)) for tap in taps}
        feats: dict[int, Tensor] = {}
        x = head = _shallow(self.head, self.mean, lr)
        for i, block in enumerate(self.body, start=1):
            x = block(x)
            if i in wanted.values():
                feats[i] = x
        sr = _upscaled(self.tail, self.mean, head + x)
        return Output(sr, {tap: feats[i] for tap, i in wanted.items()})

    @property
    def halo(self) -> int:
        """How many LR pixels around it one pixel looks at: head, body, upsampler, last layer."""
        return 2 * self.spec.n_resblocks + 5

    @property
    def pixel_bytes(self) -> float:
        """The upsampler's output before and after its pixels are shuffled is the largest thing held."""
        return 8 * self.spec.n_feats * self.spec.scale**2

    def lend_tail(self) -> "Tail":
        """Return a copy of what comes after the last block."""
        return Tail(self)


class Tail(nn.Module):
    """What an EDSR does after its last block, in a copy; the global skip is this network's own.

    Args:
        network: shares nothing with the copy.
    """

    mean: Tensor

    def __init__(self, network: EDSR) -> None:
        super().__init__()
        self.head, self.last, self.tail = copy.deepcopy((network.head, network.body[-1], network.tail))
        self.register_buffer("mean", network.mean.clone(), persistent=False)

    def forward(self, lr: Tensor, feats: Tensor) -> Tensor:
        """Map LR (N, 3, h, w) in [0, 1] and features (N, n_feats, h, w) to SR in float32, not clipped."""
        return _upscaled(self.tail, self.mean, _shallow(self.head, self.mean, lr) + self.last(feats))


def _shallow(head: nn.Module, mean: Tensor, lr: Tensor) -> Tensor:
    with _float32(lr):
        shallow: Tensor = head(255 * lr.contiguous(memory_format=torch.channels_last) - mean)
    return shallow


def _upscaled(tail: nn.Sequential, mean: Tensor, deep: Tensor) -> Tensor:
    upsampled: Tensor = tail[0](deep)
    with _float32(deep):
        sr: Tensor = (tail[1](upsampled.float()) + mean) / 255
    return sr


def _float32(x: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off; where none is on, do nothing, so that exported graphs stay plain."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
