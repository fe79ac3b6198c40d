"""Measure the receptive field and memory use of a network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from srkd_bench.core.errors import SrkdError

FARTHEST = 96  # LR pixels; networks with a larger receptive field process whole images
SIZE = (32, 48)  # size of a trial in LR pixels: divisible by windows of 8 and 16, height differs from width
ALIKE = 1e-4  # of SR in [0, 1]


class _Results(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is half typed
    """Record the size of every computed tensor, in bytes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self.largest = self.total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.see(tensor.nbytes)
        return result

    def see(self, size: int) -> None:
        self.largest, self.total = max(self.largest, size), self.total + size


class Allowance(_Results):  # type: ignore[no-untyped-call]  # likewise
    """Limit the memory for building a network to a multiple of its weights, since files may claim any size.

    Args:
        weights: bytes.
    """

    def __init__(self, weights: int) -> None:
        super().__init__()
        self.limit = 32 * weights + 2**28

    def see(self, size: int) -> None:
        """Count created tensors, including views and results of in-place operations.

        Raises:
            SrkdError: the limit is exceeded.
        """
        super().see(size)
        if self.total > self.limit:
            raise SrkdError("a network that is far larger than its weights is not built")


@torch.no_grad()
def largest(run: Callable[[Tensor], Tensor], device: torch.device) -> float:
    """Return the bytes per LR pixel of a network's largest activation."""
    with _Results() as results:
        run(torch.rand(1, 3, *SIZE, device=device))
    return float(results.largest) / (SIZE[0] * SIZE[1])


@torch.no_grad()
def reach(run: Callable[[Tensor], Tensor], scale: int, device: torch.device) -> int | None:
    """Return the radius of the receptive field in LR pixels; None if it varies or is too large.

    A NaN pixel reveals it, since NaN propagates to every dependent pixel. Then a crop at an odd position must give
    the same SR as inside the whole image; networks with windows or strides fail this test.
    """
    generator = torch.Generator().manual_seed(0)
    far = 0
    for corner in (0, FARTHEST):
        lr = torch.rand(1, 3, FARTHEST + 1, FARTHEST + 1, generator=generator).to(device)
        lr[..., corner, corner] = torch.nan
        touched = run(lr).isnan().any(1)[0].nonzero() // scale
        if not len(touched):
            return None
        far = max(far, int((touched - corner).abs().max()))
    if far >= FARTHEST:
        return None
    lr = torch.rand(1, 3, 2 * far + 36, 2 * far + 36, generator=generator).to(device)
    whole, part = run(lr), run(lr[..., 1:, 3:])
    inner = whole[..., scale * (1 + far) :, scale * (3 + far) :]
    return far if (inner - part[..., scale * far :, scale * far :]).abs().max() <= ALIKE else None
