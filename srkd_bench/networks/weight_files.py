"""Read weight files safely: tensors only, bounded memory."""

import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from srkd_bench.core.errors import SrkdError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
MAX_HEADER = 10**6  # bytes; 256 blocks take 120 kB
# What a state dict is pickled with. torch's own list is longer: some of it makes gigabytes of a few bytes.
_NEEDED = re.compile(
    r"collections (OrderedDict|Counter)|torch (Size|device|\w+Storage)"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)|torch\.nn\.parameter Parameter"
)
_HINT = "srkd loads tensors only, never pickled code; save the state dict, or use safetensors"
WRAPPERS = ("params_ema", "params", "state_dict")  # keys under which trainers put the state dict


@dataclass(frozen=True)
class WeightFile:
    """What a file of weights holds, and what the user says about it.

    Args:
        state: its tensors by name.
        metadata: what safetensors says about them.
        blocks, overlap: of a network that is no EDSR, as in `ForeignSpec`.
    """

    path: Path
    state: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    blocks: str | Sequence[str] = ()
    overlap: int | None = None


def read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Return the tensors in a file by name, and what safetensors says about them.

    Raises:
        SrkdError: the file can't be read, would run code, or holds something else.
    """
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
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and wrapper in state:
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SrkdError(f"'{path}' holds no state dict")
    return {str(name): value for name, value in state.items()}, {}


def _read_safetensors(path: Path, header: int) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    if header > MAX_HEADER:
        raise SrkdError(f"'{path}' holds no network: its header has {header:,} bytes")
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
            for _ in range(5):  # a magic number, a version, a system, the state, its keys; then the numbers
                yield file
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:  # mapped, it would be read as numbers
                raise SrkdError(f"cannot read weights '{path}': it is compressed", "save it with torch.save")
            if member.filename.endswith(".pkl"):
                with archive.open(member) as file:
                    yield file


def check_numbers(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are longer than their file, or not finite.

    Raises:
        SrkdError: some are.
    """
    if sum(value.nbytes for value in state.values()) > path.stat().st_size:
        raise SrkdError(f"{path.name} is broken: it is too short for its weights")
    for name, value in state.items():
        if value.is_floating_point() and not value.float().isfinite().all():
            raise SrkdError(f"{path.name} is broken: '{name[:80]}' has values that are not finite")


def fitting(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path, network: str
) -> dict[str, Tensor]:
    """Return the weights, floats in float32, after checking that a network has those and no others.

    Args:
        wanted: the network's own, which may be without memory.
    Raises:
        SrkdError: one is missing or surplus, has another shape or type, or its numbers can't be right.
    """
    for name in [*wanted, *state]:
        if name not in state or name not in wanted or state[name].shape != wanted[name].shape:
            have, want = _shape(state.get(name)), _shape(wanted.get(name))
            raise SrkdError(f"{path.name} does not fit {network}: {name[:80]!r} is {have}, should be {want}")
        if wanted[name].is_floating_point() != (state[name].dtype in FLOATS):
            kind = "no float" if wanted[name].is_floating_point() else f"not {wanted[name].dtype}"
            raise SrkdError(f"{path.name} does not fit {network}: '{name}' is {state[name].dtype}, {kind}")
    check_numbers(state, path)
    return {name: value.float() if value.dtype in FLOATS else value for name, value in state.items()}


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else "×".join(map(str, tensor.shape))
