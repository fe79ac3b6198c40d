"""RCAN (Zhang et al., ECCV 2018), and its authors' weight files."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from srkd_bench.config.network import RcanSpec
from srkd_bench.networks.architectures.residual import (
    ResidualNetwork,
    conv,
    filled,
    in_known_range,
    parted,
    upsampling,
)
from srkd_bench.networks.weight_files import Unfit, WeightFile

NAMES = "RCAN (names such as sub_mean.bias and body.0.body.0.body.3.conv_du.0.weight)"
_SQUEEZE = "body.0.body.0.body.3.conv_du.0.weight"


class ChannelAttention(nn.Module):
    """Multiply each channel by a factor in (0, 1), computed from the means of all channels over the whole image."""

    def __init__(self, n_feats: int, reduction: int) -> None:
        super().__init__()
        self.conv_du = nn.Sequential(
            nn.Conv2d(n_feats, n_feats // reduction, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_feats // reduction, n_feats, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_feats, h, w) to the same shape."""
        factors: Tensor = self.conv_du(x.mean((2, 3), keepdim=True))
        return x * factors


class Block(nn.Module):
    """Two 3x3 convolutions around a ReLU, then channel attention, added to the input."""

    def __init__(self, spec: RcanSpec) -> None:
        super().__init__()
        n = spec.n_feats
        self.body = nn.Sequential(
            conv(n, n), nn.ReLU(inplace=True), conv(n, n), ChannelAttention(n, spec.reduction)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_feats, h, w) to the same shape."""
        residual: Tensor = self.body(x)
        return x + residual


class Group(nn.Module):
    """`n_resblocks` blocks and a 3x3 convolution, added to the input."""

    def __init__(self, spec: RcanSpec) -> None:
        super().__init__()
        blocks = (Block(spec) for _ in range(spec.n_resblocks))
        self.body = nn.Sequential(*blocks, conv(spec.n_feats, spec.n_feats))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_feats, h, w) to the same shape."""
        residual: Tensor = self.body(x)
        return x + residual


class RCAN(ResidualNetwork):
    """Residual channel attention network (Zhang et al., ECCV 2018, arXiv:1807.02758).

    Features are read after residual groups.
    """

    spec: RcanSpec

    def __init__(self, spec: RcanSpec) -> None:
        super().__init__(spec, (Group(spec) for _ in range(spec.n_resgroups)))

    @property
    def halo(self) -> None:
        """None: channel attention averages over the whole image, so that tiles would change SR."""
        return None

    @torch.no_grad()
    def convert_to_255(self) -> None:
        """Convert a network of range 0..1 to the same function on 0..255.

        The input of the sigmoid keeps its range: the first layer of channel attention divides by 255 instead.
        """
        attention = {name: value for name, value in self.named_parameters() if ".conv_du." in name}
        kept = {name: value.clone() for name, value in attention.items()}
        super().convert_to_255()
        for name, value in attention.items():
            value.copy_(kept[name] / (255 if name.endswith("conv_du.0.weight") else 1))


def detect(file: WeightFile) -> RCAN | None:
    """Read a state dict with the names of RCAN's authors, which EDSR-PyTorch shares.

    The size is read from the shapes. A network of range 0..1 is converted to range 0..255. A file without
    `sub_mean` may be of a variant that does not subtract the mean: it is read only if the user states its model or
    range.
    """
    state, shift = parted(file.state)
    stated = file.hints.model if isinstance(file.hints.model, RcanSpec) else None
    if _SQUEEZE not in state or not (shift or stated or file.hints.range):
        return None
    spec = stated or _spec_of(state)
    return None if spec is None else in_known_range(load(spec, state, file.path), shift, file)


def load(spec: RcanSpec, state: Mapping[str, Tensor], path: Path) -> RCAN:
    """Return an RCAN with the weights of a file that works on 0..255.

    Raises:
        SrkdError: they do not fit.
    """
    if spec.n_resgroups * spec.n_resblocks > len(state):  # building what a few names claim could take minutes
        raise Unfit(f"{path.name} does not fit {spec}: it has only {len(state)} weights")
    return filled(RCAN, spec, state, path)


def _spec_of(state: Mapping[str, Tensor]) -> RcanSpec | None:
    """Return the size of a network with the authors' names; None if it is another."""

    def count(pattern: str) -> int:
        return sum(bool(re.fullmatch(pattern, name)) for name in state)

    try:
        size = upsampling(state)
        raw = {
            "arch": "rcan",
            "n_resgroups": count(r"body\.\d+\.body\.0\.body\.0\.weight"),
            "n_resblocks": count(r"body\.0\.body\.\d+\.body\.0\.weight"),
            "reduction": size["n_feats"] // state[_SQUEEZE].shape[0],
        }
        return RcanSpec.model_validate(size | raw)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None
