"""Load the architectures that spandrel recognises."""

import copy
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srkd_bench.config.network import ForeignSpec
from srkd_bench.core.errors import SrkdError, install_hint
from srkd_bench.networks.architectures.custom import Foreign
from srkd_bench.networks.inspection import inspected
from srkd_bench.networks.probing import Allowance
from srkd_bench.networks.weight_files import FLOATS, Unfit, WeightFile, check_numbers

EXTRA = f"spandrel, which reads other architectures (not installed: {install_hint('spandrel')})"
_SEEN: dict[str, Foreign] = {}  # by digest of the spec: they cannot be built without their weights


def has_seen(spec: ForeignSpec) -> bool:
    """Return whether this process has recognised a network like this."""
    return spec.digest in _SEEN


def again(spec: ForeignSpec) -> Foreign:
    """Return a copy of a network that this process has recognised, for trials.

    Raises:
        SrkdError: this process has recognised no such network.
    """
    if not has_seen(spec):
        raise SrkdError(f"{spec} is known by its weights alone", "name a class: arch: package.module:Class")
    return copy.deepcopy(_SEEN[spec.digest])


def why_not() -> str:
    """Return why spandrel cannot be used, or an empty string."""
    try:
        import_module("spandrel")
    except Exception as error:  # torchvision raises various errors if it does not match torch
        return f"{type(error).__name__}: {error}"[:200]
    return ""


def tried() -> str:
    """Describe the attempt with spandrel on a file that it does not recognise."""
    reason = why_not()
    if not reason:
        return "spandrel (it recognises networks by the names of their weights)"
    absent = reason.startswith("ModuleNotFoundError: No module named 'spandrel'")
    return EXTRA if absent else f"spandrel, which cannot be imported here ({reason})"


def detect(file: WeightFile) -> Foreign | None:
    """Return the network that spandrel recognises in a file, inspected; None if spandrel is not installed.

    Raises:
        SrkdError: it is damaged, or does not map RGB to RGB at scale 2, 3 or 4.
    """
    if why_not():
        return None
    state, path = file.state, file.path
    check_numbers(state, path)
    _check_names(state, path)
    found = _recognised(state, path)
    if found is None:
        return None
    _check_kind(found, path)
    spec = ForeignSpec(
        arch=f"spandrel:{re.sub('[^A-Za-z0-9_]', '', found.architecture.id)}",
        blocks=blocks if isinstance(blocks := file.hints.blocks, str) else list(blocks),
        overlap=file.hints.overlap,
        scale=found.scale,
    )
    network = found.model.float().requires_grad_(True)
    bias = state.get("sub_mean.bias")
    if bias is not None and bias.float().abs().max() <= 1 and hasattr(network, "rgb_range"):
        network.rgb_range = 1  # spandrel takes 255
    model = inspected(Foreign(spec, network, _Pad(found.size_requirements), kept=state)).eval()
    _SEEN[model.spec.digest] = model
    return copy.deepcopy(model)


class _Pad:
    """Pads LR by mirroring to a size that the network supports."""

    def __init__(self, wanted: Any) -> None:
        self.wanted = wanted

    def __call__(self, lr: Tensor) -> Tensor:
        width, height = self.wanted.get_padding(lr.shape[-1], lr.shape[-2])
        mode = "reflect" if width < lr.shape[-1] and height < lr.shape[-2] else "replicate"
        return torch.nn.functional.pad(lr, (0, width, 0, height), mode) if width or height else lr


def _check_names(state: Mapping[str, Tensor], path: Path) -> None:
    """Reject gaps in numbered names: spandrel builds as many blocks as the highest number."""
    for name in state:
        if any(len(digits) > 6 or int(digits) > len(state) + 64 for digits in re.findall(r"\d+", name)):
            raise SrkdError(
                f"'{path}' is not a network: {name[:80]!r} has too large a number for {len(state):,} tensors"
            )


def _recognised(state: Mapping[str, Tensor], path: Path) -> Any | None:
    """Return spandrel's description of a state dict; None if it does not recognise the network."""
    spandrel: Any = import_module("spandrel")  # imported by name: it may not be installed
    # Some architectures write into the dict; floats of other lengths are converted on the way.
    given = {name: value.float() if value.dtype in FLOATS else value for name, value in state.items()}
    try:
        with Allowance(sum(value.nbytes for value in given.values())):
            found = spandrel.ModelLoader().load_from_state_dict(given)
    except spandrel.UnsupportedModelError:
        return None
    except SrkdError as error:
        raise SrkdError(f"'{path}' is not a network: {error.message}") from None
    except Exception as error:  # architectures raise errors of various classes when sizes do not fit
        raise Unfit(f"'{path}' looks like a network that spandrel knows, but its weights do not fit",
                    f"spandrel says: {str(error)[:200]!r}") from None  # fmt: skip
    if isinstance(found, spandrel.MaskedImageModelDescriptor):
        raise SrkdError(f"'{path}' is a network for inpainting", "a teacher enlarges RGB images by 2, 3 or 4")
    return found


def _check_kind(found: Any, path: Path) -> None:
    name, channels = found.architecture.name, {found.input_channels, found.output_channels}
    hint = "a teacher enlarges RGB images by 2, 3 or 4"
    if channels != {3}:
        kinds = {1: "grey images", 4: "RGBA images"}
        what = kinds.get(found.input_channels, f"{found.input_channels} channels")
        raise SrkdError(f"'{path}' is a {name} for {what}", hint)
    if found.scale not in (2, 3, 4):
        what = "restores images and keeps their size" if found.scale == 1 else f"enlarges by {found.scale}"
        raise SrkdError(f"'{path}' is a {name} that {what}", hint)
