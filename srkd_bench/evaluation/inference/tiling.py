"""Super-resolve large images in overlapping tiles when memory is short."""

import math
import re
from threading import Lock

import torch
from torch import Tensor

from srkd_bench.config.network import ForeignSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.base import Architecture

TILE_BYTES = 1.2e9
SMALLEST_TILE = 32  # LR pixels a side
_OUT_OF_MEMORY = re.compile(  # error messages of torch's CPU allocator, CUDA, cuDNN and cuBLAS, MPS, oneDNN
    r"DefaultCPUAllocator: (can.t allocate|not enough) memory|CUDA error: out of memory"
    r"|CU(DNN|BLAS)_STATUS_ALLOC_FAILED|MPS backend out of memory|could not create a (primitive|memory object)$"
)


class Tiled:
    """A network applied in tiles, which become smaller when memory runs out; threads may share it.

    Args:
        card: receives `tile`, the side in LR pixels, when tiles become smaller.
    """

    def __init__(self, model: Architecture, card: dict[str, object]) -> None:
        self.model, self.card = model, card
        self.whole = int(math.sqrt(TILE_BYTES / model.pixel_bytes))
        self.side: int | None = None  # the receptive field is measured only if tiles are needed
        self._shrinking = Lock()

    def __call__(self, lr: Tensor) -> Tensor:
        """Return the SR of (1, 3, h, w).

        Raises:
            SrkdError: memory runs out with tiles of the minimum size, or the network does not support tiles.
        """
        if self.side is None and max(lr.shape[-2:]) > self.whole and self.model.halo is not None:
            self.side = max(SMALLEST_TILE, self.whole - 2 * self.model.halo)
        while True:
            side = self.side
            try:
                return self.model(lr).sr if side is None else tiled(self.model, lr, side)
            except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
                if not is_out_of_memory(error):
                    raise
            with self._shrinking:
                if self.side == side:  # no other thread was faster
                    self.side = self.card["tile"] = self._smaller(side, lr)

    def _smaller(self, side: int | None, lr: Tensor) -> int:
        """Return the next smaller side of tiles for (1, 3, h, w)."""
        lacking = f"not enough memory for {self.model.spec} on"
        if self.model.halo is None:
            size = "×".join(map(str, lr.shape[:1:-1]))
            hint = "RCAN needs whole images: choose smaller ones, or another --device"
            if isinstance(self.model.spec, ForeignSpec):
                hint = "set overlap, the LR pixels around a tile, together with blocks"
            raise SrkdError(f"{lacking} a whole image of {size} pixels", hint)
        if side is not None and side <= SMALLEST_TILE:
            hint = "free some memory, or choose another --device"
            raise SrkdError(f"{lacking} tiles of {side}×{side} pixels", hint)
        if side is None:
            side = max(SMALLEST_TILE, self.whole - 2 * self.model.halo)
        shortest: int = min(side, *lr.shape[-2:])
        return max(SMALLEST_TILE, shortest // 2)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that memory ran out."""
    said = isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None
    return said or isinstance(error, (MemoryError, torch.OutOfMemoryError))


def tiled(model: Architecture, lr: Tensor, side: int) -> Tensor:
    """Return the SR of (1, 3, h, w), computed in tiles that overlap by the receptive field.

    Args:
        side: of a tile in LR pixels, without the overlap.
    Raises:
        ValueError: the network does not support tiles.
    """
    around = model.halo
    if around is None:
        raise ValueError(f"{model.spec} needs whole images")
    height, width = lr.shape[-2:]
    if height <= side + 2 * around and width <= side + 2 * around:
        return model(lr).sr  # type: ignore[no-any-return]
    s = model.spec.scale
    sr = lr.new_empty(1, 3, s * height, s * width)
    for top in range(0, height, side):
        for left in range(0, width, side):
            y, x = max(0, top - around), max(0, left - around)
            bottom, right = min(height, top + side), min(width, left + side)
            part = model(lr[..., y : bottom + around, x : right + around]).sr
            part = part[..., s * (top - y) : s * (bottom - y), s * (left - x) : s * (right - x)]
            sr[..., s * top : s * bottom, s * left : s * right] = part
    return sr
