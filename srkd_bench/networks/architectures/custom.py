"""Wrap any super-resolution class so that its features can be read."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from srkd_bench.config.network import ForeignSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.base import BODY, HEAD, Architecture, Output
from srkd_bench.networks.class_import import find, source_of
from srkd_bench.networks.probing import SIZE, Allowance, largest, reach
from srkd_bench.networks.weight_files import fitting

SHOWN = 6  # paths in a hint
SCALES = (
    "scale",
    "upscale",
    "upscaling_factor",
    "scale_factor",
    "upsampling",
)  # common names of the argument


class Foreign(Architecture):
    """Any `nn.Module` that maps (N, 3, h, w) in [0, `spec.range`] to (N, 3, scale*h, scale*w).

    Args:
        pad: pads LR at its bottom and right to a size that the network supports.
        kept: the weights written to files, if not its own state dict.
    """

    spec: ForeignSpec

    def __init__(
        self,
        spec: ForeignSpec,
        network: nn.Module,
        pad: Callable[[Tensor], Tensor] = Tensor.clone,
        kept: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.spec, self.network = spec, network
        self._pad, self._kept = pad, kept

    def forward(self, lr: Tensor, taps: Sequence[float] = ()) -> Output:
        """Super-resolve a batch, see `Architecture`. In-place operations of the network do not change the results.

        Raises:
            SrkdError: SR has another shape, or features cannot be read as (N, C, h, w).
        """
        paths = self._paths(taps)
        maps: dict[str, Tensor] = {}

        def read(path: str, output: object, found: Tensor) -> None:
            # A copy: later layers may modify it in place.
            maps[path] = found[..., : lr.shape[-2], : lr.shape[-1]].to(torch.float32, copy=True)

        sr = self._sr(lr, paths.values(), read)
        return Output(sr, {tap: maps[paths[tap]] for tap in taps})

    def resume(self, tap: float, features: Tensor, lr: Tensor) -> Tensor:
        """Continue from features, see `Architecture.resume`. It costs a whole forward pass.

        The network runs on LR, and the output of the block is replaced. What else follows the block stays as it
        is: features of earlier blocks that later layers use, and what is computed in the padding.
        """
        height, width = lr.shape[-2:]

        def replace(path: str, output: object, found: Tensor) -> object:
            if found.shape == features.shape:
                return in_the_form_of(output, features.to(found.dtype, copy=True))
            whole = found.clone()
            whole[..., :height, :width] = features
            return in_the_form_of(output, whole)

        return self._sr(lr, self._paths([tap]).values(), replace)

    def _sr(self, lr: Tensor, paths: Iterable[str], act: Callable[[str, object, Tensor], object]) -> Tensor:
        """Return the SR of a pass in which a function gets the output of some modules.

        Args:
            act: gets a module's path, its output, and that as features (N, C, h, w) of the padded images; what it
                returns replaces the output, unless it is None.
        """
        given = self._pad(lr)
        if given is lr:
            given = lr.clone()
        called = set[str]()

        def watched(path: str) -> Any:
            def hook(module: nn.Module, inputs: object, output: object) -> object:
                called.add(path)
                return act(path, output, self._features(path, output, given.shape[-2:]))

            return module_at(self, path).register_forward_hook(hook)

        wanted = set(paths)
        hooks = [watched(path) for path in wanted]
        try:
            sr = self.network(given if self.spec.range == 1 else self.spec.range * given)
        finally:
            for hook in hooks:
                hook.remove()
        if missing := wanted - called:
            raise SrkdError(f"{self.spec}: module '{min(missing)}' is not called", self._hint())
        return self._checked(sr, given, lr)

    def _checked(self, sr: object, given: Tensor, lr: Tensor) -> Tensor:
        s, (height, width) = self.spec.scale, lr.shape[-2:]
        wanted = torch.Size([len(lr), 3, s * given.shape[-2], s * given.shape[-1]])
        if not isinstance(sr, Tensor) or sr.shape != wanted:
            got = _shape(sr) if isinstance(sr, Tensor) else f"a {type(sr).__name__}"
            raise SrkdError(
                f"{self.spec} maps {_shape(given)} to {got}, not to {_shape(wanted)}",
                f"an architecture here takes and gives RGB and enlarges by {s}",
            )
        sr = sr[..., : s * height, : s * width].float()
        return sr if self.spec.range == 1 else sr / self.spec.range

    def _paths(self, taps: Sequence[float]) -> dict[float, str]:
        blocks = self.spec.blocks
        if taps and not isinstance(blocks, list):
            raise ValueError(f"the blocks of {self.spec} are not detected yet")
        if taps and not blocks:
            raise SrkdError(
                f"no features of {self.spec} can be read: it has no list of equal blocks", self._hint()
            )
        if ends := {HEAD, BODY} & set(taps):
            where = "head" if HEAD in ends else "body's last convolution"
            raise SrkdError(
                f"features of {self.spec} after its {where} cannot be read",
                "only those of its blocks can, at depths in (0, 1]",
            )
        return {tap: blocks[max(1, round(tap * len(blocks))) - 1] for tap in taps}

    def _features(self, path: str, output: object, size: torch.Size) -> Tensor:
        found = feature_map(output, size)
        if found is None:
            raise SrkdError(
                f"{self.spec}: '{path}' gives {described(output)}, which is not a feature map of"
                f" {size[0]}×{size[1]} pixels", self._hint()
            )  # fmt: skip
        return found

    def _hint(self) -> str:
        paths = ", ".join(readable_paths(survey(self)))
        return f"name modules by `blocks`, from shallow to deep, such as [{paths}]"

    @cached_property
    def _reach(self) -> int | None:
        return reach(lambda lr: self(lr).sr, self.spec.scale, self._device)

    @property
    def _device(self) -> torch.device:
        return next((weight.device for weight in self.parameters()), torch.device("cpu"))

    @property
    def halo(self) -> int | None:
        """The tile overlap in its spec, or its measured receptive field; None if that is too large to measure."""
        return self._reach if self.spec.overlap is None else self.spec.overlap

    @cached_property
    def pixel_bytes(self) -> float:
        """Three times the largest activation: for a layer's input, its output, and a skip connection."""
        return 3 * largest(lambda lr: self(lr).sr, self._device)

    def weights(self) -> dict[str, Tensor]:
        """Return the network's weights under its own names."""
        return dict(self.network.state_dict() if self._kept is None else self._kept)


def feature_map(output: object, size: Sequence[int]) -> Tensor | None:
    """Return a module's output as (N, C, h, w), or None if it is not a feature map of that size.

    Outputs (N, h*w, C) of transformers are reshaped; of several outputs the first is used.
    """
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    if output.ndim == 3 and output.shape[1] == size[0] * size[1]:
        return output.transpose(1, 2).reshape(len(output), -1, *size)
    return output if output.ndim == 4 and tuple(output.shape[-2:]) == tuple(size) else None


def in_the_form_of(output: object, features: Tensor) -> object:
    """Return features (N, C, h, w) as a module returned its output, from which `feature_map` read their like."""
    if isinstance(output, tuple | list):
        return type(output)([in_the_form_of(output[0], features), *output[1:]])
    assert isinstance(output, Tensor)
    return features.flatten(2).transpose(1, 2) if output.ndim == 3 else features


def module_at(model: Foreign, path: str) -> nn.Module:
    """Return a module of the network by its path.

    Raises:
        SrkdError: there is none.
    """
    try:
        return model.network.get_submodule(path)
    except AttributeError:
        names = [name for name, _ in model.network.named_children()]
        raise SrkdError(f"{model.spec} has no module '{path}'", f"it has {', '.join(names)}") from None


def described(output: object) -> str:
    """Describe the output of a module."""
    return _shape(output) if isinstance(output, Tensor) else f"a {type(output).__name__}"


def _shape(tensor: Tensor | torch.Size) -> str:
    return "×".join(map(str, tensor.shape if isinstance(tensor, Tensor) else tensor))


def build(spec: ForeignSpec) -> Foreign:
    """Return a network with fresh weights.

    Raises:
        SrkdError: no such class, its file differs from `spec.source`, or it does not accept these arguments.
    """
    if spec.recognised:
        raise SrkdError(f"{spec} is known by its weights alone", "name a class: arch: package.module:Class")
    found, path = find(spec.arch)
    if spec.source not in ("", source_of(path)):
        raise SrkdError(
            f"{path.name} has changed since this {spec} was made", "restore the old file, or train again"
        )
    params: dict[str, Any] = dict(spec.params)
    takes = inspect.signature(found).parameters
    name = next((one for one in SCALES if one in takes), None)
    if name is not None:
        params.setdefault(name, spec.scale)
    try:
        return Foreign(spec, found(**params))
    except Exception as error:  # a user's class can raise anything
        raise SrkdError(
            f"{spec.arch} cannot be built: {str(error)[:200] or type(error).__name__}",
            f"it is called with {', '.join(params) or 'nothing'}: see `params` and its __init__",
        ) from None


def load(spec: ForeignSpec, states: Sequence[Mapping[str, Tensor]], path: Path) -> Foreign:
    """Return a network with the weights of a file.

    Args:
        states: readings of the file; the one with the most names in common with the network is used.
    Raises:
        SrkdError: as `build`, or the weights do not fit.
    """
    with Allowance(max(sum(value.nbytes for value in state.values()) for state in states)):
        model = build(spec)
    wanted = model.network.state_dict()
    state = max(states, key=lambda one: len(one.keys() & wanted.keys()))
    model.network.load_state_dict(fitting(state, wanted, path, str(spec)))
    model.requires_grad_(True)
    return model.eval()


@dataclass(frozen=True)
class Survey:
    """Observations of a forward pass on a small image.

    Args:
        channels: of every module whose output can be read as features, by path.
        outputs: descriptions of the other modules' outputs.
    """

    channels: dict[str, int]
    outputs: dict[str, str]
    multiply_adds: int


@torch.no_grad()
def survey(model: Foreign) -> Survey:
    """Run a network on a small image and record its modules' outputs.

    Raises:
        SrkdError: it fails, or its SR has a wrong shape.
    """
    channels: dict[str, int] = {}
    outputs: dict[str, str] = {}

    def watch(path: str, module: nn.Module) -> object:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            found = feature_map(output, SIZE)
            outputs[path] = described(output)
            if found is not None:
                channels[path] = found.shape[1]

        return module.register_forward_hook(hook)

    hooks = [watch(path, module) for path, module in model.network.named_modules() if path]
    training = model.training
    try:
        with FlopCounterMode(display=False) as flops:
            model.eval()(torch.rand(1, 3, *SIZE))
    except SrkdError:
        raise
    except Exception as error:  # a user's class can raise anything
        raise SrkdError(
            f"{model.spec} fails on an image of {SIZE[0]}×{SIZE[1]} pixels: {str(error)[:200]}",
            "srkd calls it with one tensor (N, 3, h, w) in [0, 1]",
        ) from None
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()  # type: ignore[attr-defined]
    return Survey(channels, outputs, round(flops.get_total_flops() / 2 / (SIZE[0] * SIZE[1])))


def readable_paths(seen: Survey) -> list[str]:
    """Return the paths of modules with readable features for a hint, the outermost first."""
    return sorted(seen.channels, key=lambda path: path.count("."))[:SHOWN]
