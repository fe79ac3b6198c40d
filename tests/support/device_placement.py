"""Check on which device tensors are, without hardware: torch's `meta` device stands for an accelerator."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
aten = torch.ops.aten
_COPIES = (aten.copy_, aten._to_copy, aten.to)


class _Placement(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is half typed
    """Refuse operations on tensors of two devices, and answer the host's reads: numbers are 1, tensors 0.

    `meta` itself accepts some mixtures that CUDA refuses, for example a convolution with weights on the CPU.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if func.overloadpacket in _COPIES:
            return self._copied(func, args, kwargs)
        # As on CUDA, a number on the CPU may be an operand.
        devices = {str(one.device) for one in given if one.dim() or one.device == META}
        if len(devices) > 1:
            raise RuntimeError(f"{func} mixes tensors on {' and '.join(sorted(devices))}")
        if META.type not in devices:
            return func(*args, **kwargs)
        if func is aten._local_scalar_dense.default:
            return torch.ones((), dtype=given[0].dtype).item()
        if func is aten.nonzero.default:
            return torch.zeros(given[0].numel(), given[0].dim(), dtype=torch.int64, device=META)
        return func(*_without_masks(args), **kwargs)

    @staticmethod
    def _copied(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Copy between devices; what the host reads are zeros."""
        into = func is aten.copy_.default
        source, first = (args[1], args[0]) if into else (args[0], None)
        named = [leaf for leaf in tree_leaves((args[1:], kwargs)) if isinstance(leaf, torch.device)]
        target = args[0].device if into else next(iter(named), source.device)
        if source.device == META and target != META:
            source = torch.zeros(source.shape, dtype=source.dtype)
        return func(first, source, *args[2:], **kwargs) if into else func(source, *args[1:], **kwargs)


def _without_masks(args: Sequence[Any]) -> list[Any]:
    """Return the arguments of an operation with the positions that a mask of ones selects, instead of the mask."""

    def positions(index: Any) -> list[Any]:
        if not isinstance(index, Tensor) or index.dtype != torch.bool:
            return [index]
        return [torch.zeros(index.numel(), dtype=torch.int64, device=META)] * index.dim()

    return [
        [one for index in arg for one in positions(index)] if isinstance(arg, list) else arg for arg in args
    ]


@contextmanager
def on_meta() -> Iterator[torch.device]:
    """Let the loop, evaluation and export use the `meta` device, and refuse operations that mix devices.

    `meta` lacks autocast and fused optimizers; its numbers do not exist, so the host reads constants.
    """

    def nothing(*words: object) -> AbstractContextManager[object]:
        return nullcontext()

    # srkd's functions, not torch's: the compiler, which other tests use, knows those by identity.
    with (
        patch("srkd_bench.training.learner.autocast", nothing),
        patch("srkd_bench.training.teacher.autocast", nothing),
        patch("torch.optim.optimizer._get_fused_kernels_supported_devices", lambda: ["cpu", "meta"]),
        _Placement(),  # type: ignore[no-untyped-call]  # likewise
    ):
        yield META
