"""The interface of a network: forward pass, features, tail."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from srkd_bench.config.network import NetworkSpec


@dataclass(frozen=True)
class Output:
    """The output of a network for a batch.

    Args:
        sr: (N, 3, scale*h, scale*w) float32, about [0, 1], not clipped.
        feats: (N, n_feats, h, w) float32 by tap, a depth in (0, 1].
    """

    sr: Tensor
    feats: dict[float, Tensor]


class Architecture(nn.Module, ABC):
    """A network that maps LR to SR, identified by its spec.

    Attributes:
        spec: what it is built from.
        draws: whether it may draw random numbers during training (dropout).
        file_range: value range of the original file of an EDSR or RCAN.
    """

    spec: NetworkSpec
    draws: ClassVar[bool] = True
    file_range: Literal[1, 255] = 255

    @abstractmethod
    def forward(self, lr: Tensor, taps: Sequence[float] = ()) -> Output:
        """Super-resolve a batch.

        Args:
            lr: (N, 3, h, w) in [0, 1].
            taps: depths in (0, 1] to read features at: the output of block `round(depth * blocks)`.
        Returns:
            SR (N, 3, scale*h, scale*w) in float32, not clipped, and the features (N, C, h, w) in float32 by tap.
        """

    @property
    @abstractmethod
    def halo(self) -> int | None:
        """Radius of the receptive field in LR pixels; None if the network needs whole images."""

    @property
    @abstractmethod
    def pixel_bytes(self) -> float:
        """Peak memory per LR pixel during a forward pass, in bytes."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights written to a file of this network, by name."""
        return dict(self.state_dict())


@contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 for convolutions on CUDA inside the block; PyTorch's default is TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
