import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from srkd_bench.config.artifacts import Labels
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.labels import (
    DONE,
    LabelDraft,
    LabelReader,
    Levels,
    finished_images,
    from_levels,
    label_bytes,
    label_shapes,
    on_grid,
    to_levels,
)
from srkd_bench.data.patches import Patches, turned
from srkd_bench.evaluation.metrics import measure
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, INDEX, LEVELS

KEY = Labels(teacher="0" * 64, pixels="1" * 64, scale=2, precision="fp32", ensemble=False)
TRAIN = TrainSpec(batch=16, patch=12, steps=1)


@pytest.fixture
def images(store: ArtifactStore) -> ImageSet:
    return open_set(store, "photos-test", 2)


def noise(images: ImageSet) -> list[Levels]:
    random = np.random.default_rng(0)
    return [random.integers(-(2**15), 2**15, shape, np.int16) for shape in label_shapes(images)]


def made(store: ArtifactStore, images: ImageSet) -> list[Levels]:
    """Put labels of noise into the store and return them."""
    draft, levels = LabelDraft(store.work(KEY), images), noise(images)
    for i, one in enumerate(levels):
        draft.write(i, one)
    with store.writing(KEY) as folder:
        draft.finish(folder)
        (folder / CARD).write_text("{}", encoding="utf-8")
    return levels


def test_labels_are_read_as_they_were_written(store: ArtifactStore, images: ImageSet) -> None:
    levels = made(store, images)
    assert not store.work(KEY).exists()
    assert (store.path(KEY) / LEVELS).stat().st_size == label_bytes(images)
    reader = LabelReader(store, KEY, images)
    assert all(np.array_equal(reader[i], one) for i, one in enumerate(levels))
    assert [one.shape for one in levels] == [images.hr(i).shape for i in range(len(images))]


def test_levels_are_what_the_grid_rounds_to() -> None:
    sr = torch.linspace(-1, 2, 1001)
    levels = to_levels(sr)
    assert torch.equal(levels, levels.round())
    assert (levels.min().item(), levels.max().item()) == (-(2**15), 2**15 - 1)
    assert torch.equal(from_levels(levels), on_grid(sr))
    inside = (sr >= -0.5) & (sr < 1.5)
    assert (on_grid(sr) - sr)[inside].abs().max() <= 2**-16


def test_a_batch_has_the_labels_of_its_patches_flipped_and_rotated_as_they_are(
    store: ArtifactStore, images: ImageSet
) -> None:
    """HR stands in for labels: their crops must then equal the HR crops, for all eight flips and rotations."""
    draft = LabelDraft(store.work(KEY), images)
    for i in range(len(images)):
        draft.write(i, images.hr(i).astype(np.int16))
    with store.writing(KEY) as folder:
        draft.finish(folder)
    patches = Patches(images, TRAIN, 0, slice(None), LabelReader(store, KEY, images))
    for step in range(3):
        lr, hr, labels = patches.batch(step)
        assert torch.equal(to_levels(labels), (255 * hr).round())
        assert labels.shape == hr.shape
        plain = Patches(images, TRAIN, 0).batch(step)
        assert torch.equal(plain[0], lr)
        assert torch.equal(plain[1], hr)
    part = Patches(images, TRAIN, 0, slice(4, 12), LabelReader(store, KEY, images)).batch(2)
    assert torch.equal(part[2], labels[4:12])
    assert turned(images.hr(0)[:4, :4].astype(np.int16), 5).dtype == np.int16


def test_finished_images_survive_and_damaged_or_half_written_ones_do_not(
    store: ArtifactStore, images: ImageSet
) -> None:
    levels, folder = noise(images), store.work(KEY)
    draft = LabelDraft(folder, images)
    for i in range(len(images) - 1):
        draft.write(i, levels[i])
    with (folder / DONE).open("a", encoding="utf-8") as log:
        log.write(json.dumps([len(images) - 1, "0" * 64]) + '\n[0, "12')  # as a power failure may leave it
    content = bytearray((folder / LEVELS).read_bytes())
    content[-1] ^= 1  # in the last image that was written
    (folder / LEVELS).write_bytes(content)
    resumed = LabelDraft(folder, images)
    assert sorted(resumed.done) == list(range(len(images) - 2))
    assert finished_images(folder).items() >= resumed.done.items()
    for i in range(len(images) - 2, len(images)):
        resumed.write(i, levels[i])
    assert sorted(LabelDraft(folder, images).done) == list(range(len(images)))
    assert finished_images(folder / "nowhere") == {}


def test_damaged_labels_are_refused(store: ArtifactStore, images: ImageSet) -> None:
    made(store, images)
    path = store.path(KEY) / LEVELS
    content = path.read_bytes()
    for damaged in (content[:10] + bytes([content[10] ^ 1]) + content[11:], content[:-2], b""):
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match=r"labels\.i16 is corrupted") as caught:
            LabelReader(store, KEY, images)
        assert caught.value.hint == "srkd store verify --repair"
    path.write_bytes(content)
    (store.path(KEY) / INDEX).write_text("{", encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"index\.json is corrupted"):
        LabelReader(store, KEY, images)


def test_labels_of_other_images_or_another_scale_are_refused(store: ArtifactStore, images: ImageSet) -> None:
    made(store, images)
    with pytest.raises(IntegrityError):
        LabelReader(store, KEY, open_set(store, "photos", 2))
    for other in ({"scale": 3}, {"precision": "bf16"}, {"pixels": "2" * 64}, {"ensemble": True}):
        with pytest.raises(MissingError):
            LabelReader(store, KEY.model_copy(update=other), images)


def test_a_full_disk_keeps_the_images_that_are_finished(
    store: ArtifactStore, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels, folder = noise(images), store.work(KEY)
    draft = LabelDraft(folder, images)
    draft.write(0, levels[0])

    def no_room(path: Path, *words: object, **more: object) -> object:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as full:
        full.setattr(Path, "open", no_room)
        with pytest.raises(SrkdError, match="No space left on device"):
            draft.write(1, levels[1])
    resumed = LabelDraft(folder, images)
    assert resumed.done == {0: hashlib.sha256(levels[0].tobytes()).hexdigest()}


def sr(seed: int) -> torch.Tensor:
    return torch.rand((4, 3, 16, 16), generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.1


def test_the_grid_has_128_levels_per_8_bit_level() -> None:
    exact = torch.tensor([-0.5, 0.0, 1 / 32768, 0.25, 1.0, 1.5 - 1 / 32768])
    assert torch.equal(on_grid(exact), exact)
    assert torch.equal(on_grid(torch.tensor([-3.0, 7.0])), torch.tensor([-0.5, 1.5 - 1 / 32768]))
    assert on_grid(torch.tensor([float("nan")])).isnan().all()
    images = sr(0)
    assert 0 < (on_grid(images) - images).abs().max() <= 2**-16
    assert torch.equal(on_grid(on_grid(images)), on_grid(images))


def test_the_grid_does_not_lower_psnr(store: ArtifactStore) -> None:
    images, network = open_set(store, "photos-test", 2), build(ModelSpec(n_feats=4, n_resblocks=4), 0)
    lr = torch.from_numpy(np.array(images.lr(0))).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        exact = network(lr).sr

    def psnr(one: torch.Tensor) -> float:
        image = one[0].mul(255).clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
        return measure(image, images.hr(0), scale=2, metrics=["psnr_y"])["psnr_y"]

    assert psnr(on_grid(exact)) == pytest.approx(psnr(exact), abs=1e-4)
