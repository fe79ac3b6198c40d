from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srkd_bench.data.images import MAX_PIXELS
from srkd_bench.data.images import upscale as bicubic
from srkd_bench.evaluation.inference import pictures
from tests.data.test_images import random_image, saved
from tests.fuzz import within


def test_upscaling_alpha_in_bands_equals_upscaling_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_image(23, 5)[..., :1]
    monkeypatch.setattr(pictures, "BAND", 4)
    for scale in (2, 3, 4):
        np.testing.assert_array_equal(pictures._upscale(image, scale), bicubic(image, scale))


@pytest.mark.parametrize(("kind", "mode"), [("WEBP", "RGBA"), ("PNG", "RGBA"), ("TIFF", "LA")])
def test_reading_the_largest_picture_takes_less_than_1_gb(kind: str, mode: str, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    options = {"exif": turned, "lossless": True, "method": 0, "compression": "tiff_lzw"}
    (tmp_path / "x").write_bytes(saved(Image.new(mode, (3000, 2000)), kind, **options).getvalue())
    with within(megabytes=1000 * 6_000_000 // MAX_PIXELS):
        assert pictures.read(tmp_path / "x").pixels.shape == (3000, 2000, len(mode))


def test_a_single_transparent_value_becomes_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 5, 9]], np.uint8))
    image.save(tmp_path / "x.png", transparency=5)
    np.testing.assert_array_equal(pictures.read(tmp_path / "x.png").pixels, [[[0, 255], [5, 0], [9, 255]]])
