"""EDSR, and reading and writing its weights."""

import copy
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from srkd_bench.config import ModelSpec
from srkd_bench.errors import SrkdError
from srkd_bench.method import Output, seeded

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
MAX_HEADER = 10**6  # bytes; 256 blocks take 120 kB

# What a state dict is pickled with. torch's own list is longer: some of it makes gigabytes of a few bytes.
_NEEDED = re.compile(
    r"collections (OrderedDict|Counter)|torch (Size|device|\w+Storage)"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)|torch\.nn\.parameter Parameter"
)
_HINT = "srkd loads tensors only, never pickled code; save the state dict, or use safetensors"


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


class EDSR(nn.Module):
    """Enhanced deep residual network (Lim et al., CVPRW 2017, arXiv:1707.02921).

    Parameters have the names that EDSR-PyTorch gives them and work on its range 0..255, so that its files load
    as they are; images go in and come out in [0, 1].

    Under autocast the residual blocks and the upsampler follow it; head, last layer and the sum along the
    blocks stay in float32, which costs nothing and keeps bfloat16 within a thousandth of a dB.
    """

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


def build(spec: ModelSpec, *seed: int | str) -> EDSR:
    """Return a network whose initial weights depend on the seed alone."""
    with seeded("model", *seed):
        return EDSR(spec)


def to_safetensors(model: EDSR) -> bytes:
    """Return a safetensors file of the parameters, with the network's spec in its metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    return save(tensors, metadata={"srkd": model.spec.model_dump_json()})


def load_weights(path: Path) -> EDSR:
    """Return the network in a file: srkd's safetensors, or a state dict with EDSR-PyTorch's names.

    Its size is read from the shapes. EDSR-PyTorch's files don't say `res_scale`: it is taken as 0.1 from 256
    filters on and as 1 below, as its authors trained them. Memory is taken only once all shapes and types fit and
    the file is long enough to hold them.

    Raises:
        SrkdError: the file can't be read, would run code, or is no EDSR.
    """
    state, metadata = _read(path)
    state = {name.removeprefix("module.").removeprefix("model."): value for name, value in state.items()}
    state = {name: v for name, v in state.items() if not name.startswith(("sub_mean.", "add_mean."))}
    spec = _spec_of(state, metadata, path)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in EDSR(spec).state_dict().items()}
    for name in [*shapes, *state]:
        if name not in state or name not in shapes or state[name].shape != shapes[name]:
            have, want = (_shape(one.get(name)) for one in ({k: v.shape for k, v in state.items()}, shapes))
            raise SrkdError(f"{path.name} does not fit {spec}: {name[:80]!r} is {have}, should be {want}")
        if state[name].dtype not in FLOATS:
            raise SrkdError(f"{path.name} does not fit {spec}: '{name}' is {state[name].dtype}, no float")
    if sum(value.nbytes for value in state.values()) > path.stat().st_size:
        raise SrkdError(f"{path.name} is broken: it is too short for its weights")
    state = {name: value.float() for name, value in state.items()}
    for name, value in state.items():
        if not value.isfinite().all():
            raise SrkdError(f"{path.name} is broken: '{name}' has values that are not finite")
    model = EDSR(spec)
    model.load_state_dict(state)
    return model.eval()


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    try:
        with path.open("rb") as file:
            start = file.read(9)
        if start[8:] == b"{":  # a pickle or zip has something else there
            return _read_safetensors(path, header=int.from_bytes(start[:8], "little"))
        if path.suffix == ".safetensors":
            reason, hint = "it is no safetensors file", "if torch saved it, let its name end in .pt"
            raise SrkdError(f"cannot read weights '{path}': {reason}", hint)
        packed = start.startswith(b"PK\3\4")
        _check_pickle(path, packed)
        # A mapped file can't give more bytes than it has, whatever it says.
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=packed)
    except SrkdError:
        raise
    except FileNotFoundError:
        raise SrkdError(f"no weights file '{path}'") from None
    except (OSError, SafetensorError, RuntimeError, zipfile.BadZipFile) as error:
        raise SrkdError(
            f"cannot read weights '{path}': {(str(error) or type(error).__name__)[:100]!r}"
        ) from None
    except Exception as error:  # what unpickling raises has no common class
        raise SrkdError(f"'{path}' is not a plain file of weights ({type(error).__name__})", _HINT) from None
    for wrapper in ("params_ema", "params", "state_dict"):
        if isinstance(state, dict) and wrapper in state:
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SrkdError(f"'{path}' holds no state dict")
    return {str(name): value for name, value in state.items()}, {}


def _read_safetensors(path: Path, header: int) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    if header > MAX_HEADER:
        raise SrkdError(f"'{path}' is no EDSR: its header has {header:,} bytes")
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _check_pickle(path: Path, packed: bool) -> None:
    """Refuse what needs more than tensors, before any of it is called."""
    for file in _pickles(path, packed):
        for opcode, name, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL" and not _NEEDED.fullmatch(str(name)):
                wants = f"it wants {str(name)[:80]!r}"
                raise SrkdError(f"'{path}' is not a plain file of weights ({wants})", _HINT)


def _pickles(path: Path, packed: bool) -> Iterator[IO[bytes]]:
    if not packed:
        with path.open("rb") as file:
            for _ in range(
                5
            ):  # a magic number, a version, a system, the state, its keys; then come the numbers
                yield file
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:  # mapped, it would be read as numbers
                raise SrkdError(f"cannot read weights '{path}': it is compressed", "save it with torch.save")
            if member.filename.endswith(".pkl"):
                with archive.open(member) as file:
                    yield file


def _spec_of(state: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> ModelSpec:
    try:
        if "srkd" in metadata:
            return ModelSpec.model_validate_json(metadata["srkd"])
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
        hint = "it needs EDSR-PyTorch's names: head.0.weight, body.0.body.0.weight, …"
        raise SrkdError(f"'{path}' is no EDSR", hint) from None


def _shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else "×".join(map(str, shape))
