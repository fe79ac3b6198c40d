"""Read weight files safely: tensors only, bounded memory."""

import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.resolve import NO_HINTS, Hints, NotWeights

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
MAX_HEADER = 10**6  # bytes; 256 blocks take 120 kB
# Globals that a pickled state dict needs. torch's own list is longer; some of its entries expand a few bytes to
# gigabytes.
_NEEDED = re.compile(
    r"collections (OrderedDict|Counter)|torch (Size|device|\w+Storage)"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)|torch\.nn\.parameter Parameter"
)
_HINT = "srkd loads tensors only, never pickled code; save the state dict, or use safetensors"
# Prefixes under which trainers store a network among other data; an average of its weights is preferred.
_PARTS = ("ema_model", "model_ema", "ema", "module", "model", "net_g", "netG", "generator", "network", "net")
_DEPTH = 8  # dicts within dicts, and prefixes of names
# Signatures of files without weights, their type, and how to get the weights.
_OTHERS = (
    (
        b"version https://git-lfs",
        "it is a Git LFS pointer, which stands for the file",
        "run `git lfs pull` in the clone, or download the file from the repository's web page",
    ),
    (
        b"<",
        "it is a web page",
        "download the file itself: its address has /raw/ on GitHub and /resolve/ on Hugging Face, not /blob/",
    ),
    (b"{", "it is JSON text", "name the file of weights beside it"),
    (b"\x89PNG", "it is an image", "images are measured with --sr-dir"),
    (b"\x89HDF", "it is an HDF5 file, such as Keras writes", "srkd reads weights that PyTorch saved"),
    (b"\x1f\x8b", "it is a gzip archive", "unpack it first"),
)


class Unfit(SrkdError):
    """The weights do not belong to the tried architecture."""


@dataclass(frozen=True)
class WeightFile:
    """One reading of a file of weights.

    Args:
        state: its tensors by name.
        metadata: of a safetensors file.
    """

    path: Path
    state: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    hints: Hints = NO_HINTS


def read(path: Path, hints: Hints = NO_HINTS) -> list[WeightFile]:
    """Return the possible readings of a file, the likeliest first: its dicts of tensors, with and without prefixes.

    Raises:
        SrkdError: the file cannot be read, would run code, or does not hold weights.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
        if start[8:9] == b"{" and not _is_text(start[:8]):  # a pickle or zip has other bytes there
            state, metadata = _read_safetensors(path, header=int.from_bytes(start[:8], "little"))
            states = [state] if "srkd" in metadata else list(_without_prefixes(state))
            return [WeightFile(path, one, metadata, hints) for one in states]
        _check_kind(path, start)
        packed = start.startswith(b"PK\3\4")
        _check_pickle(path, packed)
        # A memory-mapped file cannot return more bytes than it has, whatever its header claims.
        held: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=packed)
    except SrkdError:
        raise
    except FileNotFoundError:
        raise SrkdError(f"no weights file '{path}'") from None
    except zipfile.BadZipFile:
        raise SrkdError(
            f"cannot read weights '{path}': it is incomplete or damaged", "download or copy it again"
        ) from None
    except (OSError, SafetensorError, RuntimeError) as error:
        raise SrkdError(
            f"cannot read weights '{path}': {(str(error) or type(error).__name__)[:100]!r}"
        ) from None
    except Exception as error:  # errors of unpickling have no common class
        raise SrkdError(f"'{path}' is not a plain file of weights ({type(error).__name__})", _HINT) from None
    states = [one for state in _states(held) for one in _without_prefixes(state)]
    if not states:
        raise SrkdError(f"'{path}' holds no state dict", _keys(held))
    return [WeightFile(path, state, hints=hints) for state in states]


def _check_kind(path: Path, start: bytes) -> None:
    """Reject a file whose first bytes are not those of a weights file."""
    refused, text = f"cannot read weights '{path}': ", start.strip()
    if not text:
        raise NotWeights(f"{refused}it is empty", "download or copy it again")
    for begin, what, hint in _OTHERS:
        if text.startswith(begin):
            raise NotWeights(refused + what, hint)
    if _is_text(start):
        raise NotWeights(f"{refused}it is text: {text[:60].decode()!a}", "download the weights themselves")
    if path.suffix == ".safetensors":
        raise SrkdError(f"{refused}it is not a safetensors file", "if torch saved it, rename it to .pt")


def _is_text(start: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\n\r" for byte in start)


def _states(held: object) -> list[dict[str, Tensor]]:
    """Return the dicts of tensors within a checkpoint: the largest first, of equal ones averaged weights first."""
    found: list[tuple[str, dict[str, Tensor]]] = []
    seen: set[int] = set()
    todo: list[tuple[str, object, int]] = [("", held, 0)]
    while todo:
        place, one, depth = todo.pop()
        if not isinstance(one, dict) or id(one) in seen or depth > _DEPTH:
            continue
        seen.add(id(one))
        if tensors := {str(name): value for name, value in one.items() if isinstance(value, Tensor)}:
            found.append((place, tensors))
        todo += [(f"{place}.{name}", value, depth + 1) for name, value in one.items()]

    def rank(entry: tuple[str, dict[str, Tensor]]) -> tuple[int, bool]:
        return -sum(value.numel() for value in entry[1].values()), "ema" not in entry[0]

    return [tensors for _, tensors in sorted(found, key=rank)]


def _without_prefixes(state: Mapping[str, Tensor], depth: int = 0) -> Iterator[dict[str, Tensor]]:
    """Return a state dict unchanged, then without a prefix shared by all names or by those of a network."""
    yield dict(state)
    first = {name.partition(".")[0] for name in state}
    shared = len(first) == 1 and all("." in name for name in state)
    for prefix in [f"{one}." for one in (first if shared else _PARTS)]:
        inner = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
        if inner and depth < _DEPTH:
            yield from _without_prefixes(inner, depth + 1)


def _keys(held: object) -> str:
    """Describe the content of a checkpoint without tensors, as a hint."""
    if not isinstance(held, dict):
        return f"it holds a {type(held).__name__}; save the state dict: torch.save(model.state_dict(), FILE)"
    names = ", ".join(ascii(str(name)[:40]) for name in list(held)[:8])
    return f"its keys: {names or 'none'}" + (", …" if len(held) > 8 else "")


def _read_safetensors(path: Path, header: int) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    if header > MAX_HEADER:
        raise SrkdError(f"'{path}' holds no network: its header has {header:,} bytes")
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _check_pickle(path: Path, packed: bool) -> None:
    """Reject a pickle that needs more than tensors, before anything in it is called."""
    if packed:
        _check_archive(path)
    for file in _pickles(path, packed):
        for opcode, name, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL" and not _NEEDED.fullmatch(str(name)):
                wants = f"it wants {str(name)[:80]!r}"
                raise SrkdError(f"'{path}' is not a plain file of weights ({wants})", _HINT)


def _check_archive(path: Path) -> None:
    """Reject an archive that torch.save did not write."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if not any(name.endswith("data.pkl") for name in names):
        raise NotWeights(
            f"cannot read weights '{path}': it is a zip archive of other files", "unpack it first"
        )
    if any("/code/" in name for name in names):
        hint = "save its state dict: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')"
        raise NotWeights(f"cannot read weights '{path}': it is a TorchScript program", hint)


def _pickles(path: Path, packed: bool) -> Iterator[IO[bytes]]:
    if not packed:
        with path.open("rb") as file:
            for _ in range(5):  # magic number, version, system, state and its keys; then the tensors' data
                yield file
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:  # memory-mapped, it would be read as tensor data
                raise SrkdError(f"cannot read weights '{path}': it is compressed", "save it with torch.save")
            if member.filename.endswith(".pkl"):
                with archive.open(member) as file:
                    yield file


def check_numbers(state: Mapping[str, Tensor], path: Path) -> None:
    """Reject weights that are longer than their file or not finite.

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
    """Return the weights, floats in float32, after checking that they match a network's exactly.

    Args:
        wanted: the network's own, which may be on the meta device.
    Raises:
        SrkdError: one is missing or surplus, has another shape or type, or invalid values.
    """
    for name in [*wanted, *state]:
        if name not in state or name not in wanted or state[name].shape != wanted[name].shape:
            have, want = _shape(state.get(name)), _shape(wanted.get(name))
            raise Unfit(f"{path.name} does not fit {network}: {name[:80]!r} is {have}, should be {want}")
        if wanted[name].is_floating_point() != (state[name].dtype in FLOATS):
            kind = "no float" if wanted[name].is_floating_point() else f"not {wanted[name].dtype}"
            raise SrkdError(f"{path.name} does not fit {network}: '{name}' is {state[name].dtype}, {kind}")
    check_numbers(state, path)
    return {name: value.float() if value.dtype in FLOATS else value for name, value in state.items()}


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else "×".join(map(str, tensor.shape))
