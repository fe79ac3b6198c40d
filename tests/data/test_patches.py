from collections.abc import Callable

import numpy as np
import pytest
import torch

from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.packs import Image
from srkd_bench.data.patches import Patches, turned
from srkd_bench.store.artifact_store import ArtifactStore

TRAIN = TrainSpec(batch=16, patch=12, steps=1)


def test_patches_are_a_pure_function_of_seed_and_step(store: ArtifactStore) -> None:
    images = open_set(store, "photos", 2)
    first, second = Patches(images, TRAIN, 0), Patches(images, TRAIN, 0)
    forward = [first.batch(step)[1] for step in range(4)]
    backward = [second.batch(step)[1] for step in reversed(range(4))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not torch.equal(forward[0], forward[1])
    assert not torch.equal(forward[0], Patches(images, TRAIN, 1).batch(0)[1])


def test_patches_of_a_part_of_the_images_are_those_of_a_set_of_these_images(store: ArtifactStore) -> None:
    images, fewer = open_set(store, "photos", 2), open_set(store, "photos", 2)
    fewer.names = fewer.names[:3]
    for step in range(3):
        drawn = Patches(images, TRAIN, 0, count=3).batch(step)
        wanted = Patches(fewer, TRAIN, 0).batch(step)
        assert all(torch.equal(a, b) for a, b in zip(drawn, wanted, strict=True))
    everything, unlimited = Patches(images, TRAIN, 0, count=len(images)), Patches(images, TRAIN, 0)
    assert torch.equal(everything.batch(0)[1], unlimited.batch(0)[1])
    assert not torch.equal(drawn[1], unlimited.batch(2)[1])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_lr_patch_matches_its_hr_patch(store: ArtifactStore, scale: int) -> None:
    images = open_set(store, "photos", scale)
    plain = TRAIN.model_copy(update={"augment": False})
    lr, hr = Patches(images, plain, 0).batch(0)
    assert lr.shape == (16, 3, 12, 12)
    assert hr.shape == (16, 3, 12 * scale, 12 * scale)
    assert 0 <= lr.min() <= hr.max() <= 1
    for a, b in zip(lr, hr, strict=True):
        where = [
            (i, y, x)
            for i in range(len(images))
            for y, x in np.argwhere(
                (images.lr(i)[:-11, :-11] == (a[:, 0, 0] * 255).round().byte().numpy()).all(-1)
            )
            if np.array_equal(
                images.lr(i)[y : y + 12, x : x + 12], (a * 255).round().byte().permute(1, 2, 0).numpy()
            )
        ]
        wanted = (b * 255).round().byte().permute(1, 2, 0).numpy()
        side = 12 * scale
        assert any(
            np.array_equal(images.hr(i)[y * scale : y * scale + side, x * scale : x * scale + side], wanted)
            for i, y, x in where
        )


def test_all_eight_flips_and_rotations_differ_and_occur(store: ArtifactStore) -> None:
    patch = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert len({turned(patch, turn).tobytes() for turn in range(8)}) == 8
    assert np.array_equal(turned(patch, 0), patch)
    images = open_set(store, "photos", 2)
    plain = Patches(images, TRAIN.model_copy(update={"augment": False}), 0).batch(0)
    both = Patches(images, TRAIN, 0).batch(0)
    seen = set()
    for flat_lr, flat_hr, lr, hr in zip(*plain, *both, strict=True):
        for turn in range(8):
            pair = [turned(one.permute(1, 2, 0).numpy(), turn) for one in (flat_lr, flat_hr)]
            if np.array_equal(pair[0], lr.permute(1, 2, 0)):
                assert np.array_equal(pair[1], hr.permute(1, 2, 0))
                seen.add(turn)
                break
        else:
            pytest.fail("a patch is no turn of the plain one")
    assert len(seen) > 4


def test_a_patch_that_does_not_fit_names_the_image(store: ArtifactStore) -> None:
    with pytest.raises(SrkdError, match="larger than image 'coins'"):
        Patches(open_set(store, "photos", 2), TRAIN.model_copy(update={"patch": 152}), 0)


def test_a_part_of_a_batch_equals_the_slice_and_reads_no_other_image(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches = Patches(open_set(store, "photos", 2), TRAIN, 0)
    whole = patches.batch(3)
    read: list[int] = []
    for name in ("lr", "hr"):
        plain = getattr(ImageSet, name)

        def counted(images: ImageSet, i: int, plain: Callable[[ImageSet, int], Image] = plain) -> Image:
            read.append(i)
            return plain(images, i)

        monkeypatch.setattr(ImageSet, name, counted)
    part = Patches(patches.images, TRAIN, 0, slice(4, 12)).batch(3)
    assert all(torch.equal(a[4:12], b) for a, b in zip(whole, part, strict=True))
    assert len(read) == 2 * 8
