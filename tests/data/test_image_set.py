import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data import catalog, image_set
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import open_set, packed, pixels_of
from srkd_bench.data.images import cut, downscale, luma
from srkd_bench.data.ingest import adopt
from srkd_bench.data.packs import builtin_images
from srkd_bench.store.artifact_store import ArtifactStore

DATA = os.environ.get("SRKD_TEST_DATA", "")


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with a data set of three images, `trio`, in the table."""
    monkeypatch.setitem(DATASETS, "trio", DatasetSpec("test", 3, pattern=r"(^|/)trio/"))
    random = np.random.default_rng(0)
    (tmp_path / "mine" / "trio" / "HR").mkdir(parents=True)
    for i, size in enumerate([(23, 27, 3), (30, 21, 3), (26, 26, 3)]):
        Image.fromarray(random.integers(0, 256, size, np.uint8)).save(
            tmp_path / "mine" / "trio" / "HR" / f"{i}.png"
        )
    return tmp_path / "mine"


@pytest.mark.parametrize("name", ["photos", "photos-test"])
def test_the_built_in_photographs_match_the_catalog(store: ArtifactStore, name: str) -> None:
    assert packed(store, name) is None
    assert pixels_of(store, name) == DATASETS[name].pixels
    images = open_set(store, name, 2)
    assert images.pixels == DATASETS[name].pixels
    assert len(images) == DATASETS[name].count


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_is_the_matlab_bicubic_of_the_cut_hr(
    store: ArtifactStore, display: Display, three: Path, scale: int
) -> None:
    adopt(store, "trio", three, display)
    images = open_set(store, "trio", scale)
    for i in range(3):
        assert images.hr(i).shape[0] % scale == images.hr(i).shape[1] % scale == 0
        assert np.array_equal(images.lr(i), downscale(images.hr(i), scale))
    assert images.smallest[0] == 21 // scale


def test_hr_luma_is_cached_while_memory_allows(
    store: ArtifactStore, display: Display, three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(store, "trio", three, display)
    images = open_set(store, "trio", 2)
    sizes = [8 * images.hr(i).shape[0] * images.hr(i).shape[1] for i in range(3)]
    monkeypatch.setattr(image_set, "LUMA_BYTES", sizes[0] + sizes[1])
    made: list[int] = []

    def counted(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        made.append(rgb.size)
        return luma(rgb)

    monkeypatch.setattr(image_set, "luma", counted)
    for _ in range(2):
        for i in range(3):
            assert np.array_equal(images.hr_luma(i), luma(images.hr(i)))
    assert len(made) == 4  # two fit, and are made once; the third is made each time


def test_pixels_not_names_or_formats_identify_a_set(
    store: ArtifactStore, display: Display, three: Path
) -> None:
    digest = adopt(store, "trio", three, display)
    first = [open_set(store, "trio", 2).hr(i).copy() for i in range(3)]
    for i, path in enumerate(sorted((three / "trio" / "HR").iterdir())):
        Image.open(path).save(three / "trio" / "HR" / f"renamed_{9 - i}.webp", lossless=True)
        path.unlink()
    assert adopt(store, "trio", three, display) == digest
    again = open_set(store, "trio", 2)
    assert all(np.array_equal(first[i], again.hr(i)) for i in range(3))
    assert all(name.startswith("renamed") for name in again.names)


def test_a_zip_or_a_parent_folder_gives_the_same_set(
    store: ArtifactStore, display: Display, three: Path
) -> None:
    digest = adopt(store, "trio", three / "trio", display)
    (three / "other" / "HR").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(three / "other" / "HR" / "x.png")
    (three / "trio" / "LR_x2").mkdir()
    Image.new("RGB", (8, 8)).save(three / "trio" / "LR_x2" / "0.png")
    assert adopt(store, "trio", three, display) == digest
    with zipfile.ZipFile(three / "all.zip", "w") as archive:
        for path in three.rglob("*.png"):
            archive.write(path, path.relative_to(three))
    assert adopt(store, "trio", three / "all.zip", display) == digest


def test_another_set_that_is_named_hr_hides_no_images(
    store: ArtifactStore, display: Display, three: Path
) -> None:
    digest = adopt(store, "trio", three, display)
    (three / "trio" / "HR").rename(three / "trio" / "train")
    (three / "other" / "HR").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(three / "other" / "HR" / "x.png")
    assert adopt(store, "trio", three, display) == digest


def test_a_wrong_number_of_images_is_refused_and_nothing_is_kept(
    store: ArtifactStore, display: Display, three: Path
) -> None:
    (three / "trio" / "HR" / "0.png").unlink()
    with pytest.raises(IntegrityError, match="has 3 images, not 2"):
        adopt(store, "trio", three, display)
    assert packed(store, "trio") is None
    assert not (store.home / "data").exists()


def test_a_broken_image_is_named_and_nothing_is_kept(
    store: ArtifactStore, display: Display, three: Path
) -> None:
    broken = three / "trio" / "HR" / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(SrkdError, match=re.escape("HR/1.png")):
        adopt(store, "trio", three, display)
    assert packed(store, "trio") is None


def test_a_shortened_pack_is_never_read(store: ArtifactStore, display: Display, three: Path) -> None:
    adopt(store, "trio", three, display)
    pack = store.home / "data" / "trio" / "images.u8"
    pack.write_bytes(pack.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        open_set(store, "trio", 2)


def test_a_changed_pixel_is_detected_on_reading(store: ArtifactStore, display: Display, three: Path) -> None:
    adopt(store, "trio", three, display)
    open_set(store, "trio", 2)
    for pack, look in (("trio", "hr"), ("trio_x2", "lr")):
        data = store.home / "data" / pack / "images.u8"
        whole = data.read_bytes()
        data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        images = open_set(store, "trio", 2)
        getattr(images, look)(0)
        with pytest.raises(IntegrityError, match=r"image '\d' is corrupted"):
            getattr(images, look)(2)
        data.write_bytes(whole)


def test_a_changed_index_is_never_read(store: ArtifactStore, display: Display, three: Path) -> None:
    adopt(store, "trio", three, display)
    index = store.home / "data" / "trio" / "index.json"
    index.write_text(
        index.read_text(encoding="utf-8").replace('"name": "0"', '"name": "9"'), encoding="utf-8"
    )
    with pytest.raises(IntegrityError):
        open_set(store, "trio", 2)


def test_a_missing_set_gives_the_download_command(store: ArtifactStore) -> None:
    with pytest.raises(MissingError) as error:
        open_set(store, "set5", 2)
    assert error.value.hint == "srkd download set5"


def test_cutting_keeps_the_upper_left() -> None:
    image = next(iter(builtin_images(catalog.find("photos"))))[1]
    assert np.array_equal(cut(image, 3), image[:510, :510])


@pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA is not set")
@pytest.mark.parametrize("name", ["set5", "set14"])
def test_the_fields_test_sets_are_recognised(store: ArtifactStore, display: Display, name: str) -> None:
    assert adopt(store, name, Path(DATA) / name, display) == (name, DATASETS[name].pixels)
