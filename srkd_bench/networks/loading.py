"""Build networks from specs; read and write their weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import overload

from pydantic import TypeAdapter
from safetensors.torch import save

from srkd_bench.config.network import ForeignSpec, FusionSpec, ModelSpec, NetworkSpec, RcanSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.seeding import seeded
from srkd_bench.networks.architectures import custom, edsr, fusion, rcan, spandrel
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.architectures.fusion import Fusion
from srkd_bench.networks.architectures.rcan import RCAN
from srkd_bench.networks.architectures.residual import filled
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.inspection import inspected
from srkd_bench.networks.resolve import NO_HINTS, RECOGNISED, Hints
from srkd_bench.networks.weight_files import Unfit, WeightFile, check_numbers, read


@overload
def build(spec: ModelSpec, *seed: int | str) -> EDSR: ...


@overload
def build(spec: NetworkSpec, *seed: int | str) -> Architecture: ...


def build(spec: NetworkSpec, *seed: int | str) -> Architecture:
    """Build a network whose initial weights depend on the seed only; spandrel's networks have those of their file.

    Raises:
        SrkdError: its class cannot be found, or does not accept the arguments.
    """
    if isinstance(spec, ForeignSpec) and spec.recognised:
        if not spandrel.has_seen(spec) and spec.digest in RECOGNISED:
            blocks = spec.blocks if isinstance(spec.blocks, str) else tuple(spec.blocks)
            load_weights(RECOGNISED[spec.digest], Hints(blocks, spec.overlap))
        return spandrel.again(spec)
    if isinstance(spec, FusionSpec):
        fused = [build(one, "fused", i, *seed) for i, one in enumerate(spec.fused)]
        with seeded("model", *seed):
            return Fusion(spec, fused)
    with seeded("model", *seed):
        if isinstance(spec, ForeignSpec):
            return custom.build(spec)
        return EDSR(spec) if isinstance(spec, ModelSpec) else RCAN(spec)


def to_safetensors(model: Architecture) -> bytes:
    """Return a safetensors file of the weights, with the network's spec in its metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.weights().items()}
    if isinstance(
        model, custom.Foreign | Fusion
    ):  # weights may share memory, which safetensors does not support
        tensors = {name: value.clone() for name, value in tensors.items()}
    return save(tensors, metadata={"srkd": model.spec.model_dump_json()})


def load_weights(path: Path, hints: Hints = NO_HINTS) -> Architecture:
    """Return the network in a weights file, read by the first of `DETECTORS` that recognises it.

    Memory is allocated only after all shapes and types match and the file is long enough for them.

    Raises:
        SrkdError: the file cannot be read, would run code, or holds no known network.
    """
    files = read(path, hints)
    if isinstance(hints.model, ForeignSpec):
        return custom.load(hints.model, [file.state for file in files], path)
    unfit: list[SrkdError] = []
    for detect in DETECTORS:
        if unfit and hints.model is not None and detect is spandrel.detect:
            break  # the file does not fit the model that the user states
        for file in files:
            try:
                model = detect(file)
            except SrkdError as error:
                if "srkd" in file.metadata or not (unfit or isinstance(error, Unfit)):
                    raise
                unfit.append(error)
                continue
            if model is not None:
                _check_hints(model, hints, path)
                return model
    said = [text for error in unfit for text in (error.message, error.hint) if text]
    message, *more = dict.fromkeys(
        [*said, f"'{path}' holds no network that srkd recognises"][: len(said) or 1]
    )
    raise SrkdError(message, "; ".join([*more, _tried(files)]))


def _tried(files: Sequence[WeightFile]) -> str:
    """Return the hint for a file that no detector reads."""
    names = ", ".join(ascii(name[:40]) for name in list(files[0].state)[:3])
    return (
        f"tried: {edsr.NAMES}; {rcan.NAMES}; {spandrel.tried()}. Its weights are {names}, …; "
        "name the class of another network: --model package.module:Class"
    )


def _check_hints(model: Architecture, hints: Hints, path: Path) -> None:
    """Reject the user's settings of a network if they contradict its file."""
    spec = model.spec
    if hints.model is not None and spec != hints.model:
        raise SrkdError(
            f"'{path}' is {spec}, not {hints.model}", "leave out teacher.model, or give another file"
        )
    if not isinstance(spec, ForeignSpec):
        if hints.blocks or hints.overlap:
            hint = "leave out teacher.blocks and overlap"
            raise SrkdError(f"'{path}' is {spec}, which has its own blocks", hint)
        res_scale = spec.res_scale if isinstance(spec, ModelSpec) else 1.0
        if hints.range not in (None, model.file_range) or hints.res_scale not in (None, res_scale):
            raise SrkdError(
                f"'{path}' holds a network for values up to {model.file_range}, residual scale {res_scale:g}",
                "leave out --range and --res-scale",
            )
    elif hints.range or hints.res_scale:
        raise SrkdError(f"'{path}' is {spec}, whose range is known", "leave out --range and --res-scale")


@lru_cache(maxsize=1)
def network_of(path: Path, sha256: str, hints: Hints) -> Architecture:
    """Return the network in a file, inspected. The last one is cached for the next call and must not be modified.

    Args:
        sha256: of the file's content.
    """
    model = load_weights(path, hints)
    return inspected(model) if isinstance(model, custom.Foreign) and model.spec.counts is None else model


def _srkd(file: WeightFile) -> Architecture | None:
    """Read a file that srkd wrote: safetensors with the network's spec in its metadata."""
    if "srkd" not in file.metadata:
        return None
    return _of_spec(spec_in(file.metadata, file.path), file)


def _of_spec(spec: NetworkSpec, file: WeightFile) -> Architecture | None:
    """Return the network with a spec that srkd wrote, with the weights of a file."""
    if isinstance(spec, FusionSpec):
        return _fusion(spec, file)
    if isinstance(spec, ModelSpec):
        return filled(EDSR, spec, file.state, file.path)
    if isinstance(spec, RcanSpec):
        return rcan.load(spec, file.state, file.path)
    check_numbers(file.state, file.path)
    if spec.recognised:
        blocks = spec.blocks if isinstance(spec.blocks, str) else tuple(spec.blocks)
        known = replace(
            file.hints, blocks=file.hints.blocks or blocks, overlap=file.hints.overlap or spec.overlap
        )
        return spandrel.detect(replace(file, hints=known))
    return custom.load(spec, [file.state], file.path)


def _fusion(spec: FusionSpec, file: WeightFile) -> Architecture:
    fused: list[Architecture] = []
    for one, state in zip(spec.fused, fusion.parted(file.state, len(spec.fused)), strict=True):
        network = _of_spec(one, replace(file, state=state))
        if network is None:
            raise SrkdError(f"'{file.path}' contains a {one}, which cannot be read here", spandrel.tried())
        fused.append(inspected(network) if isinstance(network, custom.Foreign) else network)
    return fusion.load(spec.model_copy(update={"fused": tuple(one.spec for one in fused)}), fused, file)


# Tried in this order. A detector returns the network in a file, or None if the file is of another format; it raises
# an SrkdError if the format is its own and the file is damaged, and Unfit if another detector may recognise it.
DETECTORS: tuple[Callable[[WeightFile], Architecture | None], ...] = (
    _srkd,
    edsr.detect,
    rcan.detect,
    spandrel.detect,
)


def spec_in(metadata: Mapping[str, str], path: Path) -> NetworkSpec:
    """Return the spec that srkd wrote into a file.

    Raises:
        SrkdError: the spec is invalid.
    """
    try:
        return TypeAdapter[NetworkSpec](NetworkSpec).validate_json(metadata["srkd"])
    except (KeyError, ValueError):
        hint = "its metadata are none that srkd writes"
        raise SrkdError(f"'{path}' holds no network that srkd recognises", hint) from None
