"""Build networks from specs; read and write their weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import overload

import torch
from pydantic import TypeAdapter
from safetensors.torch import save
from torch import Tensor

from srkd_bench.config.network import ForeignSpec, ModelSpec, NetworkSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.seeding import seeded
from srkd_bench.networks import custom, spandrel
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.edsr import EDSR
from srkd_bench.networks.inspection import looked_over
from srkd_bench.networks.resolve import RECOGNISED
from srkd_bench.networks.weight_files import WeightFile, check_numbers, fitting, read


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
        if not spandrel.has_seen(spec) and spec.digest in RECOGNISED:
            load_weights(RECOGNISED[spec.digest], spec.blocks, spec.overlap)
        return spandrel.again(spec)
    with seeded("model", *seed):
        return EDSR(spec) if isinstance(spec, ModelSpec) else custom.build(spec)


def to_safetensors(model: Architecture) -> bytes:
    """Return a safetensors file of the weights, with the network's spec in its metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.weights().items()}
    if isinstance(model, custom.Foreign):  # its weights may share memory, which safetensors doesn't know
        tensors = {name: value.clone() for name, value in tensors.items()}
    return save(tensors, metadata={"srkd": model.spec.model_dump_json()})


def load_weights(path: Path, blocks: str | Sequence[str] = (), overlap: int | None = None) -> Architecture:
    """Return the network in a file of weights, as the first of `DETECTORS` that knows its format reads it.

    Memory is taken only once all shapes and types fit and the file is long enough to hold them.

    Args:
        blocks, overlap: of a network that spandrel recognises, as in `ForeignSpec`.
    Raises:
        SrkdError: the file can't be read, would run code, or holds no network that is known here.
    """
    state, metadata = read(path)
    file = WeightFile(path, state, metadata, blocks, overlap)
    for detect in DETECTORS:
        if (model := detect(file)) is not None:
            return model
    raise SrkdError(f"'{path}' is no EDSR", spandrel.unrecognised())


@lru_cache(maxsize=1)
def network_of(path: Path, sha256: str, blocks: str | tuple[str, ...], overlap: int | None) -> Architecture:
    """Return the network in a file, looked over. The last one is kept for the next call; nobody may change it.

    Args:
        sha256: of the file's content.
    """
    model = load_weights(path, blocks, overlap)
    return looked_over(model) if isinstance(model, custom.Foreign) and model.spec.counts is None else model


def _srkd(file: WeightFile) -> Architecture | None:
    """Read a file that srkd wrote: safetensors with the network's spec in its metadata."""
    if "srkd" not in file.metadata:
        return None
    spec = spec_in(file.metadata, file.path)
    if isinstance(spec, ModelSpec):
        return _edsr(spec, file.state, file.path)
    check_numbers(file.state, file.path)
    if spec.recognised:
        blocks, overlap = file.blocks or spec.blocks, file.overlap or spec.overlap
        return spandrel.detect(replace(file, blocks=blocks, overlap=overlap))
    return custom.load(spec, file.state, file.path)


def _edsr_pytorch(file: WeightFile) -> EDSR | None:
    """Read a state dict with EDSR-PyTorch's names, as it is or with the prefixes that trainers add.

    The size is read from the shapes. The files don't say `res_scale`: it is taken as 0.1 from 256 filters on and as
    1 below, as EDSR's authors trained them.
    """
    state = {name.removeprefix("module.").removeprefix("model."): value for name, value in file.state.items()}
    state = {name: v for name, v in state.items() if not name.startswith(("sub_mean.", "add_mean."))}
    spec = _edsr_of(state)
    return None if spec is None else _edsr(spec, state, file.path)


# Tried in this order. A detector returns the network in a file, or None if the file is of another format; it raises
# an SrkdError if the format is its own and the file is damaged.
DETECTORS: tuple[Callable[[WeightFile], Architecture | None], ...] = (_srkd, _edsr_pytorch, spandrel.detect)


def _edsr(spec: ModelSpec, state: Mapping[str, Tensor], path: Path) -> EDSR:
    with torch.device("meta"):
        shapes = EDSR(spec).state_dict()
    fitted = fitting(state, shapes, path, str(spec))
    model = EDSR(spec)
    model.load_state_dict(fitted)
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
