"""EDSR; building a network of any architecture, and reading and writing its weights."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import overload

import torch
from pydantic import TypeAdapter
from safetensors.torch import save
from torch import Tensor, nn

from srkd_bench import foreign, recognition
from srkd_bench.architecture import Architecture
from srkd_bench.errors import SrkdError
from srkd_bench.method import Output, seeded
from srkd_bench.networkspec import ForeignSpec, ModelSpec, NetworkSpec
from srkd_bench.weightfile import check_numbers, fitting, read

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


@overload
def build(spec: ModelSpec, *seed: int | str) -> EDSR: ...
@overload
def build(spec: ModelSpec | ForeignSpec, *seed: int | str) -> Architecture: ...
def build(spec: ModelSpec | ForeignSpec, *seed: int | str) -> Architecture:
    """Return a network whose initial weights depend on the seed alone; one of spandrel's has those of its file.

    Raises:
        SrkdError: its class can't be found, or can't be built so.
    """
    if isinstance(spec, ForeignSpec) and spec.recognised:
        return recognition.again(spec)
    with seeded("model", *seed):
        return EDSR(spec) if isinstance(spec, ModelSpec) else foreign.build(spec)


def to_safetensors(model: Architecture) -> bytes:
    """Return a safetensors file of the weights, with the network's spec in its metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.weights().items()}
    if isinstance(model, foreign.Foreign):  # its weights may share memory, which safetensors doesn't know
        tensors = {name: value.clone() for name, value in tensors.items()}
    return save(tensors, metadata={"srkd": model.spec.model_dump_json()})


def load_weights(path: Path, blocks: str | Sequence[str] = (), overlap: int | None = None) -> Architecture:
    """Return the network in a file: srkd's safetensors, a state dict with EDSR-PyTorch's names, or any that
    spandrel recognises where it is installed.

    An EDSR's size is read from the shapes. EDSR-PyTorch's files don't say `res_scale`: it is taken as 0.1 from 256
    filters on and as 1 below, as its authors trained them. Memory is taken only once all shapes and types fit and
    the file is long enough to hold them.

    Args:
        blocks, overlap: of a network that spandrel recognises, as in `ForeignSpec`.
    Raises:
        SrkdError: the file can't be read, would run code, or holds no network that is known here.
    """
    state, metadata = read(path)
    if "srkd" in metadata:
        spec = spec_in(metadata, path)
        if isinstance(spec, ForeignSpec):
            check_numbers(state, path)
            if spec.recognised:
                return recognition.load(state, path, blocks or spec.blocks, overlap or spec.overlap)
            return foreign.load(spec, state, path)
    else:
        state = {name.removeprefix("module.").removeprefix("model."): value for name, value in state.items()}
        state = {name: v for name, v in state.items() if not name.startswith(("sub_mean.", "add_mean."))}
        found = _edsr_of(state)
        if found is None:
            return recognition.load(state, path, blocks, overlap)
        spec = found
    with torch.device("meta"):
        shapes = EDSR(spec).state_dict()
    state = fitting(state, shapes, path, str(spec))
    model = EDSR(spec)
    model.load_state_dict(state)
    return model.eval()


def spec_in(metadata: Mapping[str, str], path: Path) -> ModelSpec | ForeignSpec:
    """Return the spec that srkd wrote into a file.

    Raises:
        SrkdError: it is none.
    """
    try:
        return TypeAdapter[ModelSpec | ForeignSpec](NetworkSpec).validate_json(metadata["srkd"])
    except (KeyError, ValueError):
        raise SrkdError(f"'{path}' is no EDSR", "its metadata are none that srkd writes") from None


def _edsr_of(state: Mapping[str, Tensor]) -> ModelSpec | None:
    """Return the size of a network with EDSR-PyTorch's names; None if it is another."""
    try:
        n_feats = state["head.0.weight"].shape[0]
        factor = state["tail.0.0.weight"].shape[0] // n_feats
        raw = {
            "n_feats": n_feats,
            "n_resblocks": sum(name.endswith(".body.0.weight") for name in state),
            "res_scale": 0.1 if n_feats >= 256 else 1.0,
            "scale": 4 if "tail.0.2.weight" in state else {4: 2, 9: 3}[factor],
        }
        return ModelSpec.model_validate(raw)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None
