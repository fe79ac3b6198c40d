"""Training patches as a pure function of seed and step."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srkd_bench.config.training import TrainSpec
from srkd_bench.core.seeding import seed_of
from srkd_bench.data.image_set import ImageSet, check_patch
from srkd_bench.data.labels import LabelReader, from_levels


class Patches:
    """Random LR and HR patches of a data set; each image is drawn with equal probability.

    Images are sorted by the digests of their pixels, so that the first ones are a fixed random sample.

    Args:
        train: batch, patch and augment are used.
        seed: streams with the same seed give the same patches.
        part: the slice of each batch that is returned; the rest is not read.
        labels: of the images, whose crops are returned with each batch; or None.
        count: number of images to draw from, the first of the data set; None: all.
    """

    def __init__(
        self,
        images: ImageSet,
        train: TrainSpec,
        seed: int | str,
        part: slice = slice(None),
        labels: LabelReader | None = None,
        count: int | None = None,
    ) -> None:
        check_patch(images, train.patch)
        self.images, self.train, self.labels = images, train, labels
        self._key = seed_of("patches", seed)
        self._part, self._count = part, count or len(images)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Return LR (N, 3, patch, patch) and HR (N, 3, scale*patch, scale*patch) in [0, 1], float32.

        With `labels`, the third tensor is their crops, like HR: the same places, flips and rotations.
        """
        n, patch, scale = self.train.batch, self.train.patch, self.images.scale
        random = np.random.Generator(np.random.Philox(key=[self._key, step]))
        chosen = random.integers(self._count, size=n)
        places = random.random((n, 2))
        turns = random.integers(8, size=n) if self.train.augment else np.zeros(n, dtype=np.int64)
        chosen, places, turns = chosen[self._part], places[self._part], turns[self._part]
        lr = np.empty((len(chosen), patch, patch, 3), np.uint8)
        hr = np.empty((len(chosen), scale * patch, scale * patch, 3), np.uint8)
        levels = np.empty(hr.shape if self.labels is not None else (0,), np.int16)
        for i in range(len(chosen)):
            image = self.images.lr(chosen[i])
            rooms = (side - patch + 1 for side in image.shape[:2])
            y, x = (int(place * room) for place, room in zip(places[i], rooms, strict=True))
            lr[i] = turned(image[y : y + patch, x : x + patch], turns[i])
            y, x, side = scale * y, scale * x, scale * patch
            hr[i] = turned(self.images.hr(chosen[i])[y : y + side, x : x + side], turns[i])
            if self.labels is not None:
                levels[i] = turned(self.labels[chosen[i]][y : y + side, x : x + side], turns[i])
        pair = _tensor(lr) / 255, _tensor(hr) / 255
        return pair if self.labels is None else (*pair, from_levels(_tensor(levels)))


def turned(patch: NDArray[Any], turn: int) -> NDArray[Any]:
    """Return a square patch (H, H, 3) in one of its eight flips and rotations; 0 is the original."""
    patch = patch[::-1] if turn & 1 else patch
    patch = patch[:, ::-1] if turn & 2 else patch
    return patch.swapaxes(0, 1) if turn & 4 else patch


def _tensor(images: NDArray[Any]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)
