"""EDSR (Lim et al., CVPR Workshops 2017), and its weight files of other projects."""

import copy
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.base import BODY, HEAD, Architecture, Output
from srkd_bench.networks.weight_files import WeightFile, fitting

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
NAMES = "EDSR (names such as head.0.weight and body.0.body.0.weight, or conv_first.weight and body.0.conv1.weight)"
_NAME = re.compile(r"(head\.0|body\.\d+(\.body\.[02])?|tail\.0\.[02]|tail\.1)\.(weight|bias)")
_SHIFTS = ("sub_mean.", "add_mean.")
_RANGES: tuple[Literal[1, 255], ...] = (1, 255)
_CLEAR = 1.0  # required PSNR difference in dB between the two value ranges, on a photograph


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

    Parameters have EDSR-PyTorch's names and work on its range 0..255, so that its files load unchanged; input and
    output images are in [0, 1].

    Under autocast the residual blocks and the upsampler use reduced precision; head, last layer and the sum along
    the blocks stay in float32, which costs no time and keeps bfloat16 within 0.001 dB.
    """

    spec: ModelSpec
    draws = False
    reentrant = True
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
            taps: depths in (0, 1] to read features at: the output of block `round(depth * n_resblocks)`; `HEAD` or
                `BODY`.
        Returns:
            SR (N, 3, scale*h, scale*w) in float32, not clipped, and the features (N, n_feats, h, w) by tap.
        """
        blocks = self.spec.n_resblocks
        ends = {HEAD: 0, BODY: blocks + 1}
        wanted = {tap: ends[tap] if tap in ends else max(1, round(tap * blocks)) for tap in taps}
        x = head = _shallow(self.head, self.mean, lr)
        feats = {0: head}
        for i, block in enumerate(self.body, start=1):
            x = block(x)
            if i in wanted.values():
                feats[i] = x.float()
        sr = _upscaled(self.tail, self.mean, head + x)
        return Output(sr, {tap: feats[i] for tap, i in wanted.items()})

    @property
    def halo(self) -> int:
        """Radius of the receptive field in LR pixels: head, body, upsampler, last layer."""
        return 2 * self.spec.n_resblocks + 5

    @property
    def pixel_bytes(self) -> float:
        """Peak memory per LR pixel: the upsampler's output before and after the pixel shuffle is the largest."""
        return 8 * self.spec.n_feats * self.spec.scale**2

    def lend_tail(self) -> "Tail":
        """Return a copy of the layers after the last block."""
        return Tail(self)


class Tail(nn.Module):
    """A copy of the layers of an EDSR after its last block, including its global skip connection.

    Args:
        network: the original, which shares no weights with the copy.
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
    """Switch autocast off; do nothing if it is off already, so that exported graphs stay simple."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def detect(file: WeightFile) -> EDSR | None:
    """Read a state dict with EDSR-PyTorch's or BasicSR's names.

    The size is read from the shapes. The files do not contain `res_scale`: unless the user sets it, it is 0.1 from
    256 filters on and 1 below, as in EDSR's paper. A network of range 0..1 is converted to range 0..255, which
    changes its biases only.
    """
    shift = {name: value for name, value in file.state.items() if name.startswith(_SHIFTS)}
    state = _as_edsr_pytorch({name: file.state[name] for name in file.state if name not in shift})
    spec = (
        file.hints.model if isinstance(file.hints.model, ModelSpec) else _spec_of(state, file.hints.res_scale)
    )
    if spec is None or 2 * sum(bool(_NAME.fullmatch(name)) for name in state) < len(state):
        return None
    model = load(spec, state, file.path)
    model.file_range = _range_of(model, shift, file)
    return _from_range(model, model.file_range)


def load(spec: ModelSpec, state: Mapping[str, Tensor], path: Path) -> EDSR:
    """Return an EDSR with the weights of a file that works on 0..255.

    Raises:
        SrkdError: they do not fit.
    """
    with torch.device("meta"):
        shapes = EDSR(spec).state_dict()
    fitted = fitting(state, shapes, path, str(spec))
    model = EDSR(spec)
    model.load_state_dict(fitted)
    return model.eval()


def _as_edsr_pytorch(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of BasicSR's EDSR by EDSR-PyTorch's names, others as they are."""
    if not {"conv_first.weight", "conv_after_body.weight", "conv_last.weight"} <= state.keys():
        return dict(state)
    blocks = sum(name.startswith("body.") and name.endswith(".conv1.weight") for name in state)
    names = {
        r"conv_first\.": "head.0.",
        r"body\.(\d+)\.conv1\.": r"body.\1.body.0.",
        r"body\.(\d+)\.conv2\.": r"body.\1.body.2.",
        r"conv_after_body\.": f"body.{blocks}.",
        r"upsample\.": "tail.0.",
        r"conv_last\.": "tail.1.",
    }

    def renamed(name: str) -> str:
        for theirs, ours in names.items():
            if re.match(theirs, name):
                return re.sub(f"^{theirs}", ours, name)
        return name

    return {renamed(name): value for name, value in state.items()}


def _spec_of(state: Mapping[str, Tensor], res_scale: float | None) -> ModelSpec | None:
    """Return the size of a network with EDSR-PyTorch's names; None if it is another."""
    try:
        n_feats = state["head.0.weight"].shape[0]
        factor = state["tail.0.0.weight"].shape[0] // n_feats
        raw = {
            "n_feats": n_feats,
            "n_resblocks": sum(bool(re.fullmatch(r"body\.\d+\.body\.0\.weight", name)) for name in state),
            "res_scale": res_scale or (0.1 if n_feats >= 256 else 1.0),
            "scale": 4 if "tail.0.2.weight" in state else {4: 2, 9: 3}[factor],
        }
        return ModelSpec.model_validate(raw)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None


def _range_of(model: EDSR, shift: Mapping[str, Tensor], file: WeightFile) -> Literal[1, 255]:
    """Return the value range of the network in a file: 1 or 255.

    It is read from the mean that `sub_mean` subtracts, otherwise given by the user or determined by a trial.
    """
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


def _from_range(model: EDSR, known: Literal[1, 255]) -> EDSR:
    """Convert an EDSR of a value range to one of the range 0..255."""
    if known == 1:
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name.endswith(".bias"):
                    value.mul_(255)
    return model


@torch.no_grad()
def _range_by_trial(model: EDSR, path: Path) -> Literal[1, 255]:
    """Determine the value range with which a network restores a photograph clearly better.

    Raises:
        SrkdError: no range is clearly better, or both are worse than bicubic.
    """
    from skimage.data import astronaut

    hr = torch.from_numpy(astronaut()[60:180, 160:280]).permute(2, 0, 1)[None] / 255
    lr = F.interpolate(hr, scale_factor=1 / model.spec.scale, mode="bicubic", antialias=True).clamp(0, 1)
    bicubic = _psnr(F.interpolate(lr, scale_factor=model.spec.scale, mode="bicubic"), hr)
    of_255 = _psnr(model(lr).sr, hr)
    of_1 = _psnr(_from_range(copy.deepcopy(model), 1)(lr).sr, hr)
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
