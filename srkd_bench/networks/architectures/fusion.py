"""A network that fuses the SRs of several networks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from srkd_bench.config.network import FusionSpec
from srkd_bench.networks.architectures.edsr import ResBlock
from srkd_bench.networks.architectures.residual import conv, upsampler
from srkd_bench.networks.base import BODY, HEAD, Architecture, Output
from srkd_bench.networks.weight_files import WeightFile, fitting

_FUSED = "fused."  # prefix of the names of the fused networks' weights, before their number


class Fusion(Architecture):
    """The mean of several networks' SRs, plus a correction by residual blocks that read all of them.

    The networks' weights and modes are constant. The last layer begins with zeros, so that an untrained fusion is
    the mean. As in MTKD (arXiv:2404.09571), the SRs are concatenated, and a pixel unshuffle reduces them to LR
    size; MTKD then uses Swin transformer blocks on DCT coefficients, without a skip connection.

    Args:
        fused: the networks of `spec.fused`, in the same order.
    """

    spec: FusionSpec
    draws = False

    def __init__(self, spec: FusionSpec, fused: Sequence[Architecture]) -> None:
        super().__init__()
        n, scale = spec.n_feats, spec.scale
        self.spec = spec
        self.fused = nn.ModuleList(fused).requires_grad_(False).eval()
        self.head = nn.Sequential(nn.PixelUnshuffle(scale), conv(3 * len(fused) * scale**2, n))
        self.body = nn.Sequential(*(ResBlock(n, 1.0) for _ in range(spec.n_resblocks)), conv(n, n))
        last = conv(n, 3)
        for weight in last.parameters():
            nn.init.zeros_(weight)
        self.tail = nn.Sequential(upsampler(n, scale), last)

    def forward(self, lr: Tensor, taps: Sequence[float] = ()) -> Output:
        """Super-resolve a batch, see `Architecture.forward`. Features are those of the fusion's own blocks."""
        srs = self._srs(lr)
        wanted = {tap: self._position(tap) for tap in taps}
        x = head = self._shallow(srs)
        feats = {0: head.float()}
        for i, block in enumerate(self.body, start=1):
            x = block(x)
            if i in wanted.values():
                feats[i] = x.float()
        sr = srs.mean(0) + self.tail(head + x).float()
        return Output(sr, {tap: feats[i] for tap, i in wanted.items()})

    def resume(self, tap: float, features: Tensor, lr: Tensor) -> Tensor:
        """Return the SR (N, 3, scale*h, scale*w) for LR images if the features at a tap are replaced."""
        srs, position = self._srs(lr), self._position(tap)
        head = self._shallow(srs) if position else features
        sr: Tensor = srs.mean(0) + self.tail(head + self.body[position:](features)).float()
        return sr

    @property
    def _networks(self) -> list[Architecture]:
        return [network for network in self.fused if isinstance(network, Architecture)]

    @torch.no_grad()
    def _srs(self, lr: Tensor) -> Tensor:
        """Return the SRs of all networks, (networks, N, 3, scale*h, scale*w)."""
        return torch.stack([network(lr).sr for network in self._networks])

    def _shallow(self, srs: Tensor) -> Tensor:
        shallow: Tensor = self.head(srs.transpose(0, 1).flatten(1, 2) - 0.5)
        return shallow

    def _position(self, tap: float) -> int:
        """Return how many layers of the body come before a tap."""
        blocks = len(self.body) - 1
        ends = {HEAD: 0, BODY: blocks + 1}
        return ends[tap] if tap in ends else max(1, round(tap * blocks))

    def train(self, mode: bool = True) -> "Fusion":
        """Set the mode of the layers that are trained; the fused networks stay in evaluation mode."""
        super().train(mode)
        self.fused.eval()
        return self

    @property
    def halo(self) -> int | None:
        """Radius of the receptive field in LR pixels; None if one of the networks needs whole images."""
        around = [network.halo for network in self._networks]
        known = [one for one in around if one is not None]
        return 2 * self.spec.n_resblocks + 5 + max(known) if len(known) == len(around) else None

    @property
    def pixel_bytes(self) -> float:
        """Peak memory per LR pixel: of the largest network, and of the fusion's upsampler and its SRs."""
        scale, count = self.spec.scale, len(self.fused)
        own = (8 * self.spec.n_feats + 3 * 3 * 4 * count) * scale**2
        return max(own, *(network.pixel_bytes for network in self._networks))

    def weights(self) -> dict[str, Tensor]:
        """Return the weights written to a file, those of the fused networks included."""
        found = {name: value for name, value in self.state_dict().items() if not name.startswith(_FUSED)}
        for i, network in enumerate(self._networks):
            found |= {f"{_FUSED}{i}.{name}": value for name, value in network.weights().items()}
        return found


def fused_state(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the state of a fusion's networks, by the names that they have in it."""
    return {f"{_FUSED}{i}.{name}": value for i, one in enumerate(states) for name, value in one.items()}


def parted(state: Mapping[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    """Return the weights of each fused network in a file of a fusion, by the network's own names."""
    found: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for i, one in enumerate(found):
        prefix = f"{_FUSED}{i}."
        one |= {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return found


def load(spec: FusionSpec, fused: Sequence[Architecture], file: WeightFile) -> Fusion:
    """Return a fusion of networks with its own weights from a file.

    Raises:
        SrkdError: they do not fit.
    """
    model = Fusion(spec, fused)
    shapes = {name: value for name, value in model.state_dict().items() if not name.startswith(_FUSED)}
    own = {name: value for name, value in file.state.items() if not name.startswith(_FUSED)}
    model.load_state_dict(fitting(own, shapes, file.path, str(spec)), strict=False)
    return model.eval()
