"""Inspect an unknown network: scale, blocks, determinism."""

from collections import defaultdict

from torch import nn

from srkd_bench.config.network import Counts, ForeignSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.architectures.custom import Foreign, Survey, module_at, readable_paths, survey
from srkd_bench.networks.probing import SIZE


def inspected(model: Foreign) -> Foreign:
    """Return the network with a spec completed by its feature locations and its size.

    Raises:
        SrkdError: its output has a wrong shape, or the features of a module in `blocks` cannot be read.
    """
    seen = survey(model)
    counts = Counts(
        parameters=sum(weight.numel() for weight in model.network.parameters()),
        multiply_adds=seen.multiply_adds,
    )
    model.spec = model.spec.model_copy(update={"blocks": _blocks(model, seen), "counts": counts})
    return model


def _blocks(model: Foreign, seen: Survey) -> list[str]:
    wanted = model.spec.blocks
    if isinstance(wanted, list) and wanted:
        for path in wanted:
            module_at(model, path)
            if path not in seen.channels:
                raise _unreadable(model.spec, path, seen)
        return wanted
    if wanted:
        assert isinstance(wanted, str)
        found = _like(module_at(model, wanted), wanted + ".", seen)
        if not found:
            raise _unreadable(model.spec, wanted, seen)
        return found
    groups = [
        _like(module, f"{path}." if path else "", seen) for path, module in model.network.named_modules()
    ]
    return max(groups, key=lambda paths: _size(model, paths), default=[])


def _like(parent: nn.Module, prefix: str, seen: Survey) -> list[str]:
    """Return the paths of a module's readable children of the same class, size and width."""
    groups = defaultdict(list)
    for name, child in parent.named_children():
        path = prefix + name
        if path in seen.channels:
            size = sum(weight.numel() for weight in child.parameters())
            groups[type(child), size, seen.channels[path]].append((path, size))
    several = [group for (_, size, _), group in groups.items() if len(group) > 1 and size]
    found = max(several, key=lambda group: sum(size for _, size in group), default=[])
    return [path for path, _ in found]


def _size(model: Foreign, paths: list[str]) -> int:
    modules = [model.network.get_submodule(path) for path in paths]
    return sum(weight.numel() for module in modules for weight in module.parameters())


def _unreadable(spec: ForeignSpec, path: str, seen: Survey) -> SrkdError:
    if path not in seen.outputs:
        what = "is never called"
    elif path in seen.channels:
        what = "contains no equal blocks"
    else:
        what = f"gives {seen.outputs[path]} for {SIZE[0]}×{SIZE[1]} pixels, which is not a feature map"
    return SrkdError(
        f"{spec}: '{path}' {what}", f"modules that can be read: {', '.join(readable_paths(seen))}"
    )
