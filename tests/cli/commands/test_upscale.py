from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from srkd_bench.data.images import SUFFIXES
from srkd_bench.data.images import upscale as bicubic
from srkd_bench.evaluation.inference import upscale
from srkd_bench.evaluation.scoring import network
from srkd_bench.networks.stored import load
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.data.test_images import png, random_image, saved
from tests.support.finished_runs import pair


@pytest.fixture
def run(tmp_path: Path) -> str:
    return pair(tmp_path / "home")[0].digest[:10]


def sr_of(rgb: NDArray[np.uint8], tmp_path: Path) -> NDArray[np.uint8]:
    model = load(pair(tmp_path / "again")[0], ArtifactStore(tmp_path / "again"))
    return network(model, device=torch.device("cpu"))("", rgb)


def test_a_folder_of_every_kind_of_image_is_upscaled(srkd: Srkd, run: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    image, alpha = random_image(9, 7), random_image(9, 7)[..., 0]
    rgb, grey = Image.fromarray(image), Image.fromarray(image).convert("L")
    clear, misty = rgb.copy(), grey.copy()
    clear.putalpha(Image.fromarray(alpha))
    misty.putalpha(Image.fromarray(alpha))
    turned = Image.Exif()
    turned[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb.save(folder / "rgb.png", icc_profile=profile)
    grey.save(folder / "grey.png", icc_profile=profile)  # no profile for grey
    clear.save(folder / "clear.webp", lossless=True, exact=True)
    misty.save(folder / "misty.png")
    rgb.save(folder / "turned.png", exif=turned)
    rgb.quantize(16).save(folder / "palette.png")
    for suffix in SUFFIXES:  # every one, whatever its case
        rgb.save(folder / f"{suffix.strip('.')}{suffix.upper()}")
    code, out, _ = srkd("upscale", "in", "--run", run, "-o", "out")
    assert (code, out) == (0, "")
    made = {path.name: Image.open(path) for path in (tmp_path / "out").iterdir()}
    modes = {name.removesuffix("_x2.png"): one.mode for name, one in made.items()}
    assert modes == dict.fromkeys((suffix.strip(".") for suffix in SUFFIXES), "RGB") | {
        "rgb": "RGB",
        "turned": "RGB",
        "palette": "RGB",
        "clear": "RGBA",
        "grey": "L",
        "misty": "LA",
    }
    sr = sr_of(image, tmp_path)
    np.testing.assert_array_equal(np.array(made["rgb_x2.png"]), sr)
    np.testing.assert_array_equal(np.array(made["clear_x2.png"])[..., :3], sr)
    large = bicubic(alpha[..., None], 2)[..., 0]
    for name in ("clear_x2.png", "misty_x2.png"):
        np.testing.assert_array_equal(np.array(made[name].getchannel("A")), large)
    grey_sr = Image.fromarray(sr_of(np.repeat(np.array(grey)[..., None], 3, axis=2), tmp_path)).convert("L")
    for name in ("grey_x2.png", "misty_x2.png"):
        np.testing.assert_array_equal(np.array(made[name].getchannel("L")), np.array(grey_sr))
    assert made["turned_x2.png"].size == (18, 14)
    assert made["rgb_x2.png"].info["icc_profile"] == profile
    assert "icc_profile" not in made["grey_x2.png"].info


def test_existing_files_are_never_overwritten_and_finished_ones_reused(
    srkd: Srkd, run: str, tmp_path: Path
) -> None:
    Image.fromarray(random_image(4, 4)).save(tmp_path / "a.png")
    target = tmp_path / "a_x2.png"
    target.write_bytes(b"mine")
    code, _, messages = srkd("upscale", "a.png", "--run", run, "-o", ".")
    assert code == 1
    assert "'a_x2.png' would be overwritten" in messages
    assert target.read_bytes() == b"mine"
    assert srkd("upscale", "a.png", "--run", run, "-o", ".", "--force")[0] == 0
    made = target.stat().st_mtime_ns
    code, _, messages = srkd("upscale", "a.png", "--run", run, "-o", ".")
    assert (code, target.stat().st_mtime_ns) == (0, made)
    assert "Skipped 1 images" in messages
    Image.fromarray(random_image(5, 4)).save(tmp_path / "a.png")  # another image by the same name
    assert srkd("upscale", "a.png", "--run", run, "-o", ".")[0] == 1


def test_unreadable_files_are_reported_at_the_end_and_the_others_upscaled(
    srkd: Srkd, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscale, "MAX_SR_PIXELS", 4 * 100)
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "deep.png").write_bytes(png(1, 1, 16, bytes(7)).getvalue())
    (tmp_path / "cmyk.jpg").write_bytes(saved(Image.new("CMYK", (4, 4)), "JPEG").getvalue())
    Image.new("RGB", (11, 10)).save(tmp_path / "large.png")
    Image.new("RGB", (10, 10)).save(tmp_path / "whole.png")
    code, _, messages = srkd("upscale", ".", "--run", run, "-o", "out")
    assert code == 6
    for reason in ("unknown format", "more than 8 bits", "CMYK colours", "its SR would have more than"):
        assert reason in messages
    assert "4 of 5 images were not upscaled" in messages
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole_x2.png"]
    assert srkd("upscale", "deep.png", "--run", run, "-o", "out")[0] == 1


def test_two_images_of_one_name_are_rejected_before_work(srkd: Srkd, run: str, tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    code, _, messages = srkd("upscale", ".", "--run", run, "-o", "out")
    assert code == 1
    assert "would both become 'a_x2.png'" in messages
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run", "0123"], "no finished run '0123'"),
        ([], "no network is named"),
        (["--run", "0", "--weights", "x.pt"], "a run and --weights cannot be combined"),
        (["--weights", "x.pt"], "no weights file 'x.pt'"),
    ],
)
def test_a_missing_network_is_one_error(srkd: Srkd, words: list[str], message: str) -> None:
    code, _, messages = srkd("upscale", ".", *words, "-o", "out")
    assert code in (1, 3)
    assert message in messages


def test_output_of_srkd_is_not_upscaled_again(srkd: Srkd, run: str, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    Image.fromarray(random_image(4, 4)).save(tmp_path / "f" / "a.png")
    for _ in range(3):
        assert srkd("upscale", "f", "--run", run, "-o", "f")[0] == 0
        assert srkd("upscale", "f/a.png", "f/a_x2.png", "--run", run, "-o", "f")[0] in (0, 3)
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == ["a.png", "a_x2.png"]
    assert srkd("upscale", "f", "--run", run, "-o", "again")[0] == 0  # into another folder, it is asked for
    assert (tmp_path / "again" / "a_x2_x2.png").exists()
    code, _, messages = srkd("upscale", "f/a_x2.png", "--run", run, "-o", "f")
    assert code == 3
    assert "every given image is SR that srkd wrote into 'f'" in messages


def test_hidden_files_and_folders_named_like_images_are_ignored(srkd: Srkd, run: str, tmp_path: Path) -> None:
    (tmp_path / "f" / "x.png").mkdir(parents=True)
    Image.fromarray(random_image(16, 20)).save(tmp_path / "f" / "a.TIFF")
    for name in ("._a.png", ".hidden.png"):
        (tmp_path / "f" / name).write_bytes(b"x")
    assert srkd("upscale", "f", "--run", run, "-o", "out")[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_x2.png"]
    words = ("--to", "safetensors", "-o", "x.safetensors", "--check", "f", "--json")
    code, text, _ = srkd("export", run, *words)
    assert code == 0
    assert '"images": 4' in text  # three photographs, and a.TIFF
    Image.fromarray(random_image(4, 20)).save(tmp_path / "f" / "tiny.png")
    code, _, messages = srkd("export", run, *words, "--force")
    assert code == 1
    assert "image 'tiny.png' of 'f' is 20×4 pixels, too small to be measured at ×2" in messages
