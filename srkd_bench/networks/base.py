"""The interface of a network: forward pass, features, and resuming from features."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from srkd_bench.config.network import NetworkSpec

# Taps beside the depths in (0, 1], of networks with these layers.
HEAD = 0.0  # after the head, before the first block
BODY = 2.0  # after the body's last convolution, before the global skip connection


@dataclass(frozen=True)
class Output:
    """The output of a network for a batch.

    Args:
        sr: (N, 3, scale*h, scale*w) float32, about [0, 1], not clipped.
        feats: (N, n_feats, h, w) float32 by tap: a depth in (0, 1], `HEAD` or `BODY`.
    """

    sr: Tensor
    feats: dict[float, Tensor]


class Architecture(nn.Module, ABC):
    """A network that maps LR to SR, identified by its spec.

    Attributes:
        spec: what it is built from.
        draws: whether it may draw random numbers during training (dropout).
        reentrant: whether several threads may run its forward pass at once, because the pass keeps no state.
        file_range: value range of the original file of an EDSR or RCAN.
    """

    spec: NetworkSpec
    draws: ClassVar[bool] = True
    reentrant: ClassVar[bool] = False
    file_range: Literal[1, 255] = 255

    @abstractmethod
    def forward(self, lr: Tensor, taps: Sequence[float] = ()) -> Output:
        """Super-resolve a batch.

        Args:
            lr: (N, 3, h, w) in [0, 1].
            taps: depths in (0, 1] to read features at: the output of block `round(depth * blocks)`; `HEAD` or
                `BODY`.
        Returns:
            SR (N, 3, scale*h, scale*w) in float32, not clipped, and the features (N, C, h, w) in float32 by tap.
        Raises:
            SrkdError: it has no such features.
        """

    @abstractmethod
    def resume(self, tap: float, features: Tensor, lr: Tensor) -> Tensor:
        """Return the SR that the network gives if its features at a tap are replaced.

        Gradients flow to the replacement and to the weights that are used.

        Args:
            tap: as in `forward`. Features at `HEAD` also replace the input of a global skip connection.
            features: the replacement, (N, C, h, w) as `forward` returns them; not modified.
            lr: (N, 3, h, w) in [0, 1], the images that the network works on.
        Returns:
            SR (N, 3, scale*h, scale*w) in float32, not clipped.
        Raises:
            SrkdError: it has no such features.
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
def convolutions(*, tf32: bool = False) -> Iterator[None]:
    """Make CUDA's convolutions reproducible inside the block: deterministic, and in TF32 only on request.

    PyTorch's default is TF32 with algorithms that may round differently each time.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic
    cudnn.allow_tf32, cudnn.deterministic = tf32, True
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.deterministic = before


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Update a moving average of a network's weights: decay * average + (1 - decay) * network; copy its buffers.

    Args:
        average: a module like the network.
    """
    kept, new = ([*one.parameters()] for one in (average, network))
    torch._foreach_lerp_(kept, new, 1 - decay)  # type: ignore[arg-type]  # invariant list
    for old, latest in zip(average.buffers(), network.buffers(), strict=True):
        old.copy_(latest)
