"""Pairing of a folder's SR images with a data set, and rejected folders."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.images import SUFFIXES, upscale
from srkd_bench.data.ingest import adopt
from srkd_bench.evaluation.scoring import score
from srkd_bench.evaluation.sr_images import folder_of, pair
from srkd_bench.store.artifact_store import ArtifactStore
from tests.data.test_folders import make


@pytest.fixture
def images(store: ArtifactStore, display: Display, tmp_path: Path) -> ImageSet:
    """Give a set of three smooth images: baby, bird and img_082."""
    folder = make(tmp_path / "hr", 40)
    for number, name in enumerate(("baby", "bird", "img_082")):
        small = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
        Image.fromarray(small).resize((47, 41), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    (folder / "0.png").unlink()
    return open_set(store, adopt(store, "trio", folder, display).name, 2)


def put(folder: Path, images: ImageSet, pattern: str, suffix: str = ".png") -> Path:
    """Save bicubic SR of each image, called by a pattern such as `RCAN_{}`."""
    for i, name in enumerate(images.names):
        save(upscale(images.lr(i), 2), folder / f"{pattern.format(name)}{suffix}")
    return folder


def save(image: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.mark.parametrize(
    "pattern", ["{}", "{}_x2", "{}x2", "{}_SR", "RCAN_{}", "{}-sr", "{}_x2_SR", "results/{}", "my {} (1)"]
)
def test_sr_images_are_paired_by_names_with_extra_words(
    images: ImageSet, tmp_path: Path, pattern: str
) -> None:
    pairing = pair(put(tmp_path / "sr", images, pattern), images)
    assert {name: file.stem for name, file in pairing.files.items()} == {
        name: pattern.format(name).rpartition("/")[2] for name in images.names
    }
    assert pairing.by_content == []
    assert len(pairing.lines) == (0 if pattern in ("{}", "results/{}") else 3)


def test_pairing_ignores_case_and_prefers_the_longest_name(images: ImageSet, tmp_path: Path) -> None:
    folder = put(tmp_path / "sr", images, "{}")
    (folder / "baby.png").rename(folder / "Baby.png")
    assert pair(folder, images).files["baby"].name == "Baby.png"


def test_edsrs_output_folder_with_sr_lr_and_hr_is_supported(images: ImageSet, tmp_path: Path) -> None:
    folder = put(tmp_path / "sr", images, "{}_SR")
    for i, name in enumerate(images.names):
        save(np.array(images.lr(i)), folder / f"{name}_LR.png")
        save(np.array(images.hr(i)), folder / f"{name}_HR.png")
    assert {file.name for file in pair(folder, images).files.values()} == {
        f"{name}_SR.png" for name in images.names
    }


@pytest.mark.parametrize("other", ["HR/baby.png", "baby_b.png"])
def test_two_candidate_files_for_one_image_are_rejected(images: ImageSet, tmp_path: Path, other: str) -> None:
    folder = put(tmp_path / "sr", images, "{}_x2")
    save(np.array(images.hr(images.names.index("baby"))), folder / other)
    with pytest.raises(SrkdError, match="2 SR images for 'baby'") as error:
        pair(folder, images)
    assert other in error.value.message
    assert "baby_x2.png" in error.value.message


def test_without_a_matching_name_the_file_closest_to_bicubic_is_used(
    images: ImageSet, tmp_path: Path
) -> None:
    folder = put(tmp_path / "sr", images, "{}")
    for number, name in enumerate(images.names):
        (folder / f"{name}.png").rename(folder / f"{101085 + number}.png")
    pairing = pair(folder, images)
    assert {name: file.stem for name, file in pairing.files.items()} == {
        name: str(101085 + number) for number, name in enumerate(images.names)
    }
    assert pairing.notes == ["3 SR images were paired by content, not by name"]
    assert all(line.endswith(", by content") for line in pairing.lines)
    assert score(pairing.upscale, images)


def test_two_files_with_the_same_content_are_not_paired_by_content(images: ImageSet, tmp_path: Path) -> None:
    folder = put(tmp_path / "sr", images, "{}")
    (folder / "baby.png").rename(folder / "1.png")
    (folder / "2.png").write_bytes((folder / "1.png").read_bytes())
    with pytest.raises(MissingError, match="no SR image for 'baby'"):
        pair(folder, images)


def test_a_wrong_scale_is_suggested_if_no_size_fits(images: ImageSet, tmp_path: Path) -> None:
    folder = put(tmp_path / "sr", images, "{}")
    hr = images._hr[images.names.index("baby")]
    save(hr[:39, :45], folder / "baby.png")
    with pytest.raises(SrkdError, match="SR of 'baby'") as error:
        score(pair(folder, images).upscale, images)
    assert error.value.hint == "this is its size at ×3: --scale 3"
    (folder / "baby.png").rename(folder / "7.png")
    with pytest.raises(MissingError) as absent:
        pair(folder, images)
    assert absent.value.hint.endswith("is --scale right?")
    save(np.array(images.lr(images.names.index("baby"))), folder / "baby.png")
    with pytest.raises(SrkdError, match="SR of 'baby'") as error:
        score(pair(folder, images).upscale, images)
    assert "its LR image" in error.value.hint


def test_images_of_every_format_are_found_and_jpeg_is_noted(images: ImageSet, tmp_path: Path) -> None:
    for suffix in [*SUFFIXES, *map(str.upper, SUFFIXES)]:
        folder = put(tmp_path / f"sr{suffix}", images, "{}", suffix)
        (folder / f"._baby{suffix}").write_bytes(b"x")
        (folder / f"x{suffix}").mkdir()
        pairing = pair(folder, images)
        assert {file.suffix for file in pairing.files.values()} == {suffix}
        lossy = suffix.lower() in (".jpg", ".jpeg")
        assert any("JPEG" in note for note in pairing.notes) == lossy


def test_the_folder_of_a_data_set_is_found_by_its_usual_names(tmp_path: Path) -> None:
    for name in ("B100", "Set5", "urban100", "urban100@edsr"):
        (tmp_path / name).mkdir()
    found = {
        name: folder_of(tmp_path, name).name for name in ("bsd100@edsr", "set5", "urban100@edsr", "urban100")
    }
    assert found == {
        "bsd100@edsr": "B100",
        "set5": "Set5",
        "urban100@edsr": "urban100@edsr",
        "urban100": "urban100",
    }
    assert folder_of(tmp_path, "set14") == tmp_path
    (tmp_path / "SET5").mkdir()
    with pytest.raises(SrkdError, match="several folders"):
        folder_of(tmp_path, "set5@abc123")
    with pytest.raises(MissingError, match="no folder"):
        folder_of(tmp_path / "gone", "set5")
