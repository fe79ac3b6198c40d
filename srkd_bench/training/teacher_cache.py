"""Cache of the teacher's SR for the batches of a seed.

SR is rounded to the 16-bit grid of `data.labels` before students use it, so that cached and computed SR are
bit-identical. A file has one record per step, each with its number and checksum: missing, incomplete or damaged
records are recomputed.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from srkd_bench.config.base import Artifact, Precision, short
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.files import free
from srkd_bench.core.units import size
from srkd_bench.data.labels import from_levels, to_levels
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CACHE_LOCK

HEADER = struct.Struct("<QI")  # step + 1, crc32 of step and content
ROOM = 2_000_000_000  # bytes to keep free on the disk


class TeacherSR(Artifact):
    """The key of a teacher's SR of all batches of a seed.

    Args:
        teacher: digest of a `Run` or `Weights`.
        pixels: digest of the training set.
        images: number of training images, the first of the set; None: all.
        machine: torch's version, device and threads, which affect rounding.
    """

    folder = "cache"

    teacher: str
    pixels: str
    images: int | None = Field(default=None, exclude_if=lambda chosen: chosen is None)
    scale: int
    seed: int
    batch: int
    patch: int
    augment: bool
    precision: Precision
    compile: bool = Field(default=False, exclude_if=lambda chosen: not chosen)
    machine: str
    recipe: int = 1

    @property
    def name(self) -> str:
        """The file's name, which begins with the teacher's, so that both can be deleted together."""
        return f"{short(self.teacher)}-{short(self.digest)}.sr"

    @property
    def lock(self) -> str:
        """Name of the lock. All files share one, since adding a file may remove others."""
        return CACHE_LOCK


class TeacherCache:
    """The file of one `TeacherSR`; open until `close`.

    Args:
        shape: of a batch's SR, (N, 3, scale*patch, scale*patch).
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.record = HEADER.size + 2 * int(np.prod(shape))
        path.touch()
        self._file: BinaryIO | None = path.open("r+b", buffering=0)

    def read(self, step: int) -> Tensor | None:
        """Return the SR of a step's batch, float32 on the grid, or None if the record is missing or damaged."""
        if self._file is None:
            return None
        record = self._read(self._file, step, self.record)
        if len(record) < self.record or HEADER.unpack_from(record) != (step + 1, _checksum(record)):
            if self.has(step):
                self._put(bytes(HEADER.size), step)
            return None
        levels = np.frombuffer(record, "<i2", offset=HEADER.size).reshape(self.shape)
        return from_levels(torch.from_numpy(levels.astype(np.float32)))

    def has(self, step: int) -> bool:
        """Return whether a record was written for a step; only `read` verifies it."""
        if self._file is None:
            return False
        head = self._read(self._file, step, HEADER.size)
        return len(head) == HEADER.size and HEADER.unpack(head)[0] == step + 1

    def write(self, step: int, sr: Tensor) -> None:
        """Write the SR of a step's batch, unless it is not finite or the disk is full."""
        levels = to_levels(sr).cpu()
        if self._file is None or not levels.isfinite().all():
            return
        content = bytes(HEADER.size) + levels.numpy().astype("<i2").tobytes()
        head = HEADER.pack(step + 1, _checksum(content))
        self._put(head + content[HEADER.size :], step)

    def _read(self, file: BinaryIO, step: int, length: int) -> bytes:
        file.seek(step * self.record)
        return file.read(length)

    def _forget(self, step: int) -> None:
        if self.has(step):
            self._put(bytes(HEADER.size), step)

    def _put(self, content: bytes, step: int) -> None:
        assert self._file is not None
        try:
            self._file.seek(step * self.record)
            self._file.write(content)
        except OSError:  # not an error: the cache only saves time
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _checksum(record: bytes) -> int:
    return zlib.crc32(record[HEADER.size :])


def bytes_for(train: TrainSpec, scale: int) -> int:
    """Return the size of the file with the SR of all batches of a training."""
    return train.steps * (HEADER.size + 2 * int(np.prod(_shape(train, scale))))


def _shape(train: TrainSpec, scale: int) -> tuple[int, int, int, int]:
    return train.batch, 3, scale * train.patch, scale * train.patch


def open_cache(
    key: TeacherSR, train: TrainSpec, store: ArtifactStore, limit: float
) -> tuple[TeacherCache | None, str]:
    """Return the cache of a training's batches, or None with the reason.

    The least recently used caches are removed if the total would exceed `limit`, in bytes.
    """
    path, needed = store.path(key), bytes_for(train, key.scale)
    if needed > limit:
        return None, f"its SR would take {size(needed)} (--teacher-cache {limit / 1e9:g})" if limit else ""
    with store.locked([key.lock]):  # another process may remove caches, too
        path.parent.mkdir(exist_ok=True)
        _make_room(path, limit - needed)
        here = path.stat().st_size if path.exists() else 0
        if free(store.home) + here < needed + ROOM:
            return None, f"its SR would take {size(needed)}, and {size(free(store.home))} are free"
        cache = TeacherCache(path, _shape(train, key.scale))
        os.utime(path)
        return cache, ""


def _make_room(path: Path, limit: float) -> None:
    """Remove the least recently used other caches, until they take at most `limit` bytes."""
    others = (one for one in path.parent.glob("*.sr") if one != path)
    found = sorted((one.stat().st_mtime, one.stat().st_size, one) for one in others)
    taken = sum(length for _, length, _ in found)
    for _, length, one in found:
        if taken > limit:
            taken -= length
            one.unlink(missing_ok=True)
