"""Malicious or broken images: read correctly, or rejected before they use much memory."""

import io
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from srkd_bench.core.errors import SrkdError
from srkd_bench.data.images import MAX_PIXELS, read_rgb
from tests.data.test_images import chunk, png, random_image, refused, saved, tiff
from tests.fuzz import within


def test_a_flipped_bit_of_a_png_is_found() -> None:
    whole = png(3, 2, 8, bytes(20)).getvalue()
    for place in range(8, len(whole) - 12):
        broken = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        with suppress(SrkdError):
            np.testing.assert_array_equal(read_rgb(io.BytesIO(broken), "x.png"), np.zeros((2, 3, 3)))


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_bomb_beside_the_pixels_is_refused(kind: bytes) -> None:
    start = b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0"
    bomb = chunk(kind, start + zlib.compress(bytes(64 * 10**6)))
    with within(megabytes=20):
        assert "too large" in refused(png(1, 1, 8, bytes(4), more=bomb)).message
    many = chunk(kind, start + zlib.compress(bytes(10**6))) * 70
    if kind != b"iCCP":
        assert "Too much memory" in refused(png(1, 1, 8, bytes(4), more=many)).message


def test_a_bomb_in_the_tile_of_a_small_tiff_is_refused() -> None:
    tiles = {"t322": [20_000], "t323": [20_000], "t324": [8], "t325": [8]}
    assert "more than 50 megapixels" in refused(tiff([bytes(6)] * 3, **tiles)).message


@pytest.mark.parametrize(
    ("kind", "mode"), [("WEBP", "RGB"), ("PNG", "RGBA"), ("JPEG", "CMYK"), ("TIFF", "RGBA")]
)
def test_the_largest_image_takes_less_than_1_gb(kind: str, mode: str) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    blank = Image.new(mode, (3000, 2000))
    if mode == "RGBA":
        blank.putalpha(255)
    options = {"exif": turned, "progressive": True, "lossless": True, "method": 0, "compression": "tiff_lzw"}
    file = saved(blank, kind, **options)
    del blank
    with within(megabytes=1000 * 6_000_000 // MAX_PIXELS):
        assert read_rgb(file, "x.png").shape == (3000, 2000, 3)


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (2**31, 1)])
def test_invalid_sizes_are_rejected(size: tuple[int, int]) -> None:
    refused(png(*size, 8, b""))


@pytest.mark.filterwarnings("error")
def test_valid_images_cause_no_warnings() -> None:
    assert "megapixels" in refused(png(10_000, 9_500, 8, b"")).message
    palette = saved(Image.fromarray(random_image(5, 7)).convert("P"), transparency=b"\xff" * 256)
    assert read_rgb(palette, "x.png").shape == (5, 7, 3)
