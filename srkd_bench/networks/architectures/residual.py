"""Networks of residual blocks before one upsampler, such as EDSR and RCAN, and their authors' weight files."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.network import BuiltInSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.base import BODY, HEAD, Architecture, Output
from srkd_bench.networks.weight_files import WeightFile, fitting

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
_SHIFTS = ("sub_mean.", "add_mean.")
_RANGES: tuple[Literal[1, 255], ...] = (1, 255)
_CLEAR = 1.0  # required PSNR difference in dB between the two value ranges, on a photograph


class ResidualNetwork(Architecture):
    """Head, residual body with a skip connection around it, upsampler and last layer.

    Parameters have EDSR-PyTorch's names and work on its range 0..255, so that its files load unchanged; input and
    output images are in [0, 1].

    Under autocast the residual blocks and the upsampler use reduced precision; head, last layer and the sum along
    the blocks stay in float32, which costs no time and keeps bfloat16 within 0.001 dB.

    Args:
        blocks: of the body; each maps (N, n_feats, h, w) to the same shape. They are built after the head: the
            initial weights of a seed depend on this order.
    """

    spec: BuiltInSpec
    draws = False
    reentrant = True
    mean: Tensor

    def __init__(self, spec: BuiltInSpec, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        n, scale = spec.n_feats, spec.scale
        self.spec = spec
        self.head = nn.Sequential(conv(3, n))
        self.body = nn.Sequential(*blocks, conv(n, n))
        self.tail = nn.Sequential(upsampler(n, scale), conv(n, 3))
        self.register_buffer("mean", 255 * torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def forward(self, lr: Tensor, taps: Sequence[float] = ()) -> Output:
        """Super-resolve a batch.

        Args:
            lr: (N, 3, h, w) in [0, 1].
            taps: depths in (0, 1] to read features at: the output of block `round(depth * blocks)`; `HEAD` or
                `BODY`.
        Returns:
            SR (N, 3, scale*h, scale*w) in float32, not clipped, and the features (N, n_feats, h, w) by tap.
        """
        wanted = {tap: self._position(tap) for tap in taps}
        x = head = _shallow(self.head, self.mean, lr)
        feats = {0: head}
        for i, block in enumerate(self.body, start=1):
            x = block(x)
            if i in wanted.values():
                feats[i] = x.float()
        sr = _upscaled(self.tail, self.mean, head + x)
        return Output(sr, {tap: feats[i] for tap, i in wanted.items()})

    def resume(self, tap: float, features: Tensor, lr: Tensor) -> Tensor:
        """Continue from features, see `Architecture.resume`. It costs the head and the layers after the tap."""
        position = self._position(tap)
        head = _shallow(self.head, self.mean, lr) if position else features
        return _upscaled(self.tail, self.mean, head + self.body[position:](features))

    def _position(self, tap: float) -> int:
        """Return how many layers of the body come before a tap."""
        blocks = len(self.body) - 1
        ends = {HEAD: 0, BODY: blocks + 1}
        return ends[tap] if tap in ends else max(1, round(tap * blocks))

    @property
    def pixel_bytes(self) -> float:
        """Peak memory per LR pixel: the upsampler's output before and after the pixel shuffle is the largest."""
        return 8 * self.spec.n_feats * self.spec.scale**2

    @torch.no_grad()
    def convert_to_255(self) -> None:
        """Convert a network of range 0..1 to the same function on 0..255: only biases depend on the range."""
        for name, value in self.named_parameters():
            if name.endswith(".bias"):
                value.mul_(255)


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
    """Switch autocast off; do nothing if it is off already, so that exported graphs stay simple."""
    kind = x.device.type
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if on else nullcontext()


def upsampler(n_feats: int, scale: int) -> nn.Sequential:
    """Return layers that map (N, n_feats, h, w) to (N, n_feats, scale*h, scale*w)."""
    layers: list[nn.Module] = []
    for factor in (2, 2) if scale == 4 else (scale,):
        layers += [conv(n_feats, factor**2 * n_feats), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the image's size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


Network = TypeVar("Network", bound=ResidualNetwork)


def parted(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Divide a file's weights into those of the network and the layers that subtract and add DIV2K's mean."""
    shift = {name: value for name, value in state.items() if name.startswith(_SHIFTS)}
    return {name: value for name, value in state.items() if name not in shift}, shift


def upsampling(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Return `n_feats` and `scale` of a network with EDSR-PyTorch's names.

    Raises:
        LookupError, ZeroDivisionError: it is another network.
    """
    n_feats = state["head.0.weight"].shape[0]
    factor = state["tail.0.0.weight"].shape[0] // n_feats
    return {"n_feats": n_feats, "scale": 4 if "tail.0.2.weight" in state else {4: 2, 9: 3}[factor]}


def filled(network: type[Network], spec: BuiltInSpec, state: Mapping[str, Tensor], path: Path) -> Network:
    """Return a network with the weights of a file that works on 0..255.

    Raises:
        SrkdError: they do not fit.
    """
    build: type = network  # each class takes its own spec
    with torch.device("meta"):
        shapes = build(spec).state_dict()
    fitted = fitting(state, shapes, path, str(spec))
    model: Network = build(spec)
    model.load_state_dict(fitted)
    return model.eval()


def in_known_range(model: Network, shift: Mapping[str, Tensor], file: WeightFile) -> Network:
    """Return a network from its authors' file, which works on 0..1 or 0..255, as one of the range 0..255.

    The range is read from the mean that `sub_mean` subtracts, otherwise given by the user or determined by a trial.
    """
    model.file_range = _range_of(model, shift, file)
    if model.file_range == 1:
        model.convert_to_255()
    return model


def _range_of(model: ResidualNetwork, shift: Mapping[str, Tensor], file: WeightFile) -> Literal[1, 255]:
    if "sub_mean.bias" in shift:
        bias = shift["sub_mean.bias"].float().flatten()
        matrix = shift.get("sub_mean.weight", torch.eye(3)).float().flatten()
        shifts_only = matrix.shape == (9,) and torch.allclose(matrix, torch.eye(3).flatten(), atol=0.01)
        mean = torch.tensor(DIV2K_MEAN)
        for known in _RANGES:
            if shifts_only and bias.shape == (3,) and torch.allclose(-bias, known * mean, rtol=0.01):
                return known
        raise SrkdError(
            f"{file.path.name} does not subtract DIV2K's mean: sub_mean.bias is {bias[:3].tolist()}",
            "name the network's class: --model package.module:Class",
        )
    return file.hints.range or _range_by_trial(model, file.path)


@torch.no_grad()
def _range_by_trial(model: ResidualNetwork, path: Path) -> Literal[1, 255]:
    """Determine the value range with which a network restores a photograph clearly better.

    Raises:
        SrkdError: no range is clearly better, or both are worse than bicubic.
    """
    from skimage.data import astronaut

    hr = torch.from_numpy(astronaut()[60:180, 160:280]).permute(2, 0, 1)[None] / 255
    lr = F.interpolate(hr, scale_factor=1 / model.spec.scale, mode="bicubic", antialias=True).clamp(0, 1)
    bicubic = _psnr(F.interpolate(lr, scale_factor=model.spec.scale, mode="bicubic"), hr)
    of_255 = _psnr(model(lr).sr, hr)
    converted = copy.deepcopy(model)
    converted.convert_to_255()
    of_1 = _psnr(converted(lr).sr, hr)
    if max(of_1, of_255) >= bicubic and abs(of_1 - of_255) >= _CLEAR:
        return 1 if of_1 > of_255 else 255
    raise SrkdError(
        f"{path.name} does not state if its network works on values up to 1 or up to 255, and a trial on a"
        f" photograph does not show it ({of_1:.1f} and {of_255:.1f} dB, bicubic {bicubic:.1f} dB)",
        "--range 255, EDSR-PyTorch's default, or --range 1; in a suite, teacher.range. If it was trained with a "
        "residual scale, --res-scale too",
    )


def _psnr(sr: Tensor, hr: Tensor) -> float:
    return float(-10 * (sr.clamp(0, 1) - hr).square().mean().clamp(min=1e-10).log10())
