"""Teacher labels: the teacher's SR of every whole training image on a grid of 16 bits."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from srkd_bench.core.errors import IntegrityError
from srkd_bench.core.files import put, writable
from srkd_bench.data.image_set import ImageSet
from srkd_bench.store.layout import INDEX, LEVELS
from srkd_bench.store.manifest import REPAIR

if TYPE_CHECKING:
    from torch import Tensor

    from srkd_bench.config.artifacts import Labels
    from srkd_bench.store.artifact_store import ArtifactStore

Levels = NDArray[np.int16]
GRID = 2**15  # steps per unit: 128 between two levels of an 8-bit image
DONE = "done.jsonl"  # number and checksum of each finished image of unfinished labels


def on_grid(sr: Tensor) -> Tensor:
    """Return SR, about [0, 1], on the grid: multiples of 2^-15 in [-0.5, 1.5), float32; nan stays nan."""
    return from_levels(to_levels(sr))


def to_levels(sr: Tensor) -> Tensor:
    """Return the levels of SR on the grid, whole numbers from -2^15 to 2^15 - 1 in float32; nan stays nan."""
    return ((sr.float() - 0.5) * GRID).round().clamp(-GRID, GRID - 1)


def from_levels(levels: Tensor) -> Tensor:
    """Return the SR, float32, that levels stand for."""
    return levels.float() / GRID + 0.5


class LabelReader:
    """Finished labels in a memory map, verified when they are opened.

    Args:
        images: the training images that the labels are of.
    Raises:
        MissingError: the store has no such labels. IntegrityError: they are corrupted, or of images of other sizes.
    """

    def __init__(self, store: ArtifactStore, key: Labels, images: ImageSet) -> None:
        index, path = store.file(key, INDEX), store.file(key, LEVELS)
        self._shapes, self._offsets = label_shapes(images), _offsets(label_shapes(images))
        entries: list[dict[str, Any]] = json.loads(index.read_bytes())["images"]
        fits = [(entry["height"], entry["width"], 3) for entry in entries] == self._shapes
        if not fits or path.stat().st_size != label_bytes(images):
            raise IntegrityError(f"{path} is corrupted", REPAIR)
        self._levels: Levels = np.asarray(np.memmap(path, dtype="<i2", mode="r"))

    def __getitem__(self, i: int) -> Levels:
        """Return the labels of image `i` as levels: (H, W, 3), not writable."""
        levels: Levels = self._levels[self._offsets[i] : self._offsets[i + 1]].reshape(self._shapes[i])
        return levels


class LabelDraft:
    """Unfinished labels in a folder, which several processes may fill at once. Finished images survive a kill.

    Attributes:
        done: the checksums of the finished images by number. `refresh` adds those of other processes, and `verify`
            removes damaged ones.
    """

    def __init__(self, folder: Path, images: ImageSet) -> None:
        self._path, self._log = folder / LEVELS, folder / DONE
        self._shapes = label_shapes(images)
        self._offsets = _offsets(self._shapes)
        self._whole, self._damaged = set[tuple[int, str]](), set[tuple[int, str]]()
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        self.done: dict[int, str] = {}
        self.refresh()
        self.verify()

    def refresh(self) -> None:
        """Add the images that other processes have finished in the meantime."""
        found = finished_images(self._path.parent).items()
        known = {
            (i, sha256)
            for i, sha256 in found
            if 0 <= i < len(self._shapes) and (i, sha256) not in self._damaged
        }
        self.done = dict(known | self._whole)

    def verify(self) -> bool:
        """Compare the images of other processes with their checksums; return whether all images are finished."""
        for i, sha256 in set(self.done.items()) - self._whole:
            if self._is_whole(i, sha256):
                self._whole.add((i, sha256))
            else:
                self._damaged.add((i, sha256))
                del self.done[i]
        return len(self.done) == len(self._shapes)

    def _is_whole(self, i: int, sha256: str) -> bool:
        with self._path.open("rb") as file:
            file.seek(2 * self._offsets[i])
            content = file.read(2 * (self._offsets[i + 1] - self._offsets[i]))
        return hashlib.sha256(content).hexdigest() == sha256

    def write(self, i: int, levels: Levels) -> None:
        """Write the labels of image `i`, levels (H, W, 3).

        Raises:
            SrkdError: the disk is full or cannot be written.
        """
        assert levels.shape == self._shapes[i]
        content = levels.astype("<i2").tobytes()
        with writable(self._path, len(content)):
            with self._path.open("r+b") as file:
                file.seek(2 * self._offsets[i])
                file.write(content)
            self.done[i] = hashlib.sha256(content).hexdigest()
            self._whole.add((i, self.done[i]))
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"\n{json.dumps((i, self.done[i]))}\n")  # the line before may be half written

    def finish(self, folder: Path) -> None:
        """Put the labels, all of them finished, and their index into a folder."""
        rows = [
            {"height": height, "width": width, "sha256": self.done[i]}
            for i, (height, width, _) in enumerate(self._shapes)
        ]
        put(folder / INDEX, json.dumps({"images": rows}))
        try:  # a second link: if publishing the folder fails, the draft is still there
            os.link(self._path, folder / LEVELS)
        except OSError:
            with writable(folder):
                self._path.replace(folder / LEVELS)


def finished_images(folder: Path) -> dict[int, str]:
    """Return the checksums of the images that unfinished labels in a folder have, by number, unverified."""
    found = {}
    with suppress(OSError):
        for line in (folder / DONE).read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError):  # a line may be half written
                number, sha256 = json.loads(line)
                found[int(number)] = str(sha256)
    return found


def label_shapes(images: ImageSet) -> list[tuple[int, int, int]]:
    """Return the shape (H, W, 3) of each image's labels: that of HR, cut to a multiple of the scale."""
    sizes = (images.full_size(i) for i in range(len(images)))
    scale = images.scale
    return [(height - height % scale, width - width % scale, 3) for height, width in sizes]


def label_bytes(images: ImageSet) -> int:
    """Return the disk space that labels of all images take."""
    return 2 * _offsets(label_shapes(images))[-1]


def _offsets(shapes: list[tuple[int, int, int]]) -> list[int]:
    """Return where each image's labels begin, in levels, and where the last ones end."""
    return [0, *np.cumsum([height * width * depth for height, width, depth in shapes]).tolist()]
