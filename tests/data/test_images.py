import io
import math
import os
import re
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.images import (
    SCALES,
    SSIM_WINDOW,
    cut,
    downscale,
    find_images,
    least_side,
    luma,
    read_rgb,
    upscale,
)
from srkd_bench.evaluation.metrics import WINDOW, measure

DATA = os.environ.get("SRKD_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA does not point to the real images")


def random_image(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    width: int,
    height: int,
    bits: int,
    rows: bytes,
    *,
    colour: int = 2,
    interlaced: int = 0,
    more: bytes = b"",
) -> io.BytesIO:
    """Return a handmade PNG: Pillow cannot write 16-bit colour or a false header."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    content = chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + header + more + content)


def tiff(strips: list[bytes], **tags: list[int]) -> io.BytesIO:
    """Return a TIFF of 3x2 pixels in RGB, its channels apart; tags in `tags` are called `t258`."""
    found = {256: [3], 257: [2], 258: [8] * 3, 262: [2], 277: [3], 284: [2], 339: [1] * 3}
    found |= {273: [0] * len(strips), 279: [len(strip) for strip in strips]}
    found |= {int(tag[1:]): values for tag, values in tags.items()}
    place = 8 + 2 + 12 * len(found) + 4
    found[273] = [place + sum(map(len, strips[:number])) for number in range(len(strips))]
    place += sum(map(len, strips))
    entries, rest = b"", b""
    for tag, values in sorted(found.items()):
        data = struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHI", tag, 4, len(values))
        entries += data if len(values) == 1 else struct.pack("<I", place + len(rest))
        rest += data if len(values) > 1 else b""
    directory = struct.pack("<H", len(found)) + entries + bytes(4)
    return io.BytesIO(struct.pack("<2sHI", b"II", 42, 8) + directory + b"".join(strips) + rest)


def refused(file: io.BytesIO) -> SrkdError:
    with pytest.raises(SrkdError, match=r"^cannot read image 'x\.png': ") as caught:
        read_rgb(file, "x.png")
    return caught.value


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
def test_reading_gives_the_pixels_of_every_lossless_format(kind: str, tmp_path: Path) -> None:
    image = random_image(5, 7)
    path = tmp_path / "image"
    Image.fromarray(image).save(path, kind, lossless=True)
    np.testing.assert_array_equal(read_rgb(path, "x.png"), image)


def test_reading_gives_a_jpeg_as_pillow_decodes_it() -> None:
    file = saved(Image.fromarray(random_image(16, 16)), "JPEG")
    np.testing.assert_array_equal(read_rgb(file, "x.png"), np.array(Image.open(file)))


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_becomes_three_equal_channels(mode: str) -> None:
    grey = Image.fromarray(random_image(5, 7)).convert(mode)
    expected = np.stack([np.array(grey.convert("L"))] * 3, axis=-1)
    np.testing.assert_array_equal(read_rgb(saved(grey), "x.png"), expected)


def test_a_palette_becomes_its_colours() -> None:
    palette = Image.fromarray(random_image(5, 7)).convert("P")
    np.testing.assert_array_equal(read_rgb(saved(palette), "x.png"), np.array(palette.convert("RGB")))


def test_cmyk_becomes_rgb() -> None:
    red = Image.new("CMYK", (3, 2), (0, 255, 255, 0))
    np.testing.assert_array_equal(read_rgb(saved(red, "TIFF"), "x.png"), np.full((2, 3, 3), (255, 0, 0)))


def test_an_opaque_alpha_channel_is_dropped() -> None:
    image = random_image(5, 7)
    opaque = Image.fromarray(image).convert("RGBA")
    np.testing.assert_array_equal(read_rgb(saved(opaque), "x.png"), image)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_transparent_pixel_is_refused_by_name(mode: str) -> None:
    image = Image.new(mode, (3, 2))
    image.putalpha(Image.fromarray(np.array([[255, 255, 254]] * 2, dtype=np.uint8)))
    error = refused(saved(image))
    assert "partly transparent" in error.message
    assert "flatten" in error.hint


def test_a_transparent_colour_of_a_palette_is_refused() -> None:
    palette = Image.fromarray(random_image(5, 7)).convert("P")
    transparent = palette.getpixel((0, 0))
    assert "partly transparent" in refused(saved(palette, transparency=transparent)).message


def test_the_orientation_in_exif_is_applied() -> None:
    image = random_image(5, 7)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    upright = read_rgb(saved(Image.fromarray(image), exif=turned), "x.png")
    np.testing.assert_array_equal(upright, np.rot90(image, -1))


@pytest.mark.parametrize(("dtype", "kind"), [(np.uint16, "PNG"), (np.uint16, "TIFF"), (np.float32, "TIFF")])
def test_grey_of_more_than_8_bits_is_refused(dtype: type, kind: str) -> None:
    error = refused(saved(Image.fromarray(np.zeros((2, 3), dtype)), kind))
    assert "more than 8 bits" in error.message
    assert "8 bits" in error.hint


def test_16_bit_colour_is_refused_though_pillow_opens_it() -> None:
    assert "more than 8 bits" in refused(png(2, 1, 16, b"\0" + bytes(12))).message


def test_planar_channels_are_read_and_rejected_if_deep_or_signed() -> None:
    image = random_image(2, 3)
    channels = [image[..., channel].tobytes() for channel in range(3)]
    np.testing.assert_array_equal(read_rgb(tiff(channels), "x.png"), image)
    deep = [bytes(12)] * 3
    assert "more than 8 bits" in refused(tiff(deep, t258=[16] * 3)).message
    refused(tiff([bytes(24)] * 3, t258=[32] * 3))
    refused(tiff([bytes(24)] * 3, t258=[32] * 3, t339=[3] * 3))
    grey = {"t277": [1], "t258": [8], "t262": [1]}
    assert "signed" in refused(tiff(channels[:1], **grey, t339=[2])).message
    assert read_rgb(tiff(channels[:1], **grey), "x.png").shape == (2, 3, 3)


def test_an_interlaced_png_is_read() -> None:
    image = random_image(2, 3)
    passes = [image[:1, :1], image[:1, 2:], image[:1, 1:2], image[1:]]  # of Adam7, for 3x2 pixels
    rows = b"".join(b"\0" + part.tobytes() for part in passes)
    np.testing.assert_array_equal(read_rgb(png(3, 2, 8, rows, interlaced=1), "x.png"), image)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_grey_is_refused_at_every_depth(bits: int) -> None:
    rows = b"\0" + bytes([1 << 8 - bits])
    opaque = read_rgb(png(1, 1, bits, rows, colour=0), "x.png")
    np.testing.assert_array_equal(opaque, np.full((1, 1, 3), 255 // (2**bits - 1)))
    transparent = png(1, 1, bits, rows, colour=0, more=chunk(b"tRNS", b"\0\1"))
    assert "partly transparent" in refused(transparent).message


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), (shade, shade, shade)) for shade in (40, 80)]
    file = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read_rgb(file, "x.png"), np.full((4, 4, 3), 40))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied_once(orientation: int, kind: str) -> None:
    image = np.kron(random_image(2, 3), np.ones((8, 8, 1), np.uint8))
    side = image.swapaxes(0, 1)
    upright = [image, image[:, ::-1], image[::-1, ::-1], image[::-1], side]
    upright += [side[:, ::-1], side[::-1, ::-1], side[::-1]]
    turned = Image.Exif()
    turned[0x0112] = orientation
    options = {"exif": turned, "lossless": True, "quality": 100, "subsampling": 0}
    found = read_rgb(saved(Image.fromarray(image), kind, **options), "x.png").astype(int)
    np.testing.assert_allclose(found, upright[orientation - 1], atol=5 if kind == "JPEG" else 0)


def test_an_invalid_tag_next_to_the_orientation_is_ignored() -> None:
    odd = struct.pack(">2sHIHHHIHH", b"MM", 42, 8, 2, 0x0112, 3, 1, 6, 0) + struct.pack(">HHII", 512, 5, 1, 0)
    image = random_image(2, 3)
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    file = png(3, 2, 8, rows, more=chunk(b"eXIf", odd + bytes(4)))
    np.testing.assert_array_equal(read_rgb(file, "x.png"), np.rot90(image, -1))


def test_trailing_bytes_are_ignored() -> None:
    for kind in ("PNG", "JPEG", "BMP", "WEBP"):
        file = saved(Image.fromarray(random_image(16, 16)), kind, lossless=True)
        expected = read_rgb(file, "x.png")
        np.testing.assert_array_equal(
            read_rgb(io.BytesIO(file.getvalue() + b"GIF89a" * 99), "x.png"), expected
        )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_a_truncated_file_is_refused_by_name(kind: str) -> None:
    whole = saved(Image.fromarray(random_image(64, 64)), kind).getvalue()
    assert "copy or download" in refused(io.BytesIO(whole[: len(whole) // 2])).hint


@pytest.mark.parametrize(("width", "height"), [(10_000, 5_001), (20_000, 20_000)])
def test_a_huge_image_is_refused_by_its_header(width: int, height: int) -> None:
    assert "more than 50 megapixels" in refused(png(width, height, 8, b"")).message


@pytest.mark.parametrize("content", [b"", b"not an image", saved(Image.new("RGB", (2, 2)), "GIF").getvalue()])
def test_other_formats_are_refused(content: bytes) -> None:
    error = refused(io.BytesIO(content))
    assert error.message.endswith("unknown format")
    assert "PNG, JPEG" in error.hint


def test_a_missing_file_is_named_as_given(tmp_path: Path) -> None:
    with pytest.raises(SrkdError, match=r"^cannot read image 'x\.png': No such file or directory$"):
        read_rgb(tmp_path / "elsewhere.png", "x.png")


def test_cut_leaves_a_multiple_of_the_scale_at_the_top_left() -> None:
    image = random_image(11, 9)
    np.testing.assert_array_equal(cut(image, 4), image[:8, :8])
    np.testing.assert_array_equal(cut(image, 3), image[:9, :9])


def test_cut_refuses_an_image_smaller_than_the_scale() -> None:
    with pytest.raises(ValueError, match="9x3 pixels"):
        cut(random_image(3, 9), 4)


@needs_data
@pytest.mark.parametrize(
    ("dataset", "scale", "border"),
    [
        ("set5", 2, "symmetric"),
        ("set5", 3, "symmetric"),
        ("set5", 4, "symmetric"),
        ("set5", 2, "replicate"),
        ("set14", 2, "replicate"),
    ],
)
def test_downscaling_is_bit_identical_to_matlab(dataset: str, scale: int, border: str) -> None:
    folder = Path(str(DATA)) / dataset
    paths = sorted((folder / f"LR_x{scale}_{border}").iterdir())
    assert len(paths) == int(dataset.removeprefix("set"))
    for path in paths:
        hr = cut(read_rgb(folder / "HR" / path.name, path.name), scale)
        lr = downscale(hr, scale, replicate=border == "replicate")
        np.testing.assert_array_equal(lr, read_rgb(path, path.name), err_msg=path.name)


def imresize(image: NDArray[np.uint8], factor: Fraction, replicate: bool) -> NDArray[np.uint8]:
    """Return the result of MATLAB's `imresize` by definition, in exact fractions, one output line at a time."""

    def cubic(x: Fraction) -> Fraction:
        x = abs(x)
        if x <= 1:
            return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
        return -Fraction(1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2 if x <= 2 else Fraction(0)

    narrow = min(factor, Fraction(1))
    for axis in (0, 1):
        lines = np.moveaxis(image, axis, 0).astype(object)
        resized = []
        for x in range(1, math.ceil(len(lines) * factor) + 1):  # counted from 1, as in MATLAB
            centre = x / factor + Fraction(1, 2) * (1 - 1 / factor)
            total: NDArray[np.object_] = np.zeros_like(lines[0])
            for tap in range(math.floor(centre - 2 / narrow), math.ceil(centre + 2 / narrow) + 1):
                source = tap - 1
                while not replicate and not 0 <= source < len(lines):
                    source = -1 - source if source < 0 else 2 * len(lines) - 1 - source
                source = min(max(source, 0), len(lines) - 1)
                total = total + narrow * cubic(narrow * (centre - tap)) * lines[source]
            resized.append([min(max(math.floor(v + Fraction(1, 2)), 0), 255) for v in total.ravel()])
        rounded = np.array(resized, dtype=np.uint8).reshape(-1, *lines.shape[1:])
        image = np.moveaxis(rounded, 0, axis)
    return image


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (13, 11)])
def test_resizing_equals_the_exact_definition(height: int, width: int, scale: int) -> None:
    image = random_image(height, width)
    shrunk = Fraction(1, scale)
    np.testing.assert_array_equal(downscale(image, scale), imresize(image, shrunk, False))
    np.testing.assert_array_equal(downscale(image, scale, replicate=True), imresize(image, shrunk, True))
    np.testing.assert_array_equal(upscale(image, scale), imresize(image, Fraction(scale), False))


def test_a_half_is_rounded_up_and_what_is_below_zero_becomes_zero() -> None:
    image = np.zeros((16, 16, 1), np.uint8)
    image[:, 8] = 128
    # The weights of x2 are (-3, -9, 29, 111, 111, 29, -9, -3) / 256: 29 * 128 / 256 is 14.5, 111 / 2 is 55.5.
    np.testing.assert_array_equal(downscale(image, 2)[3, :, 0], [0, 0, 0, 15, 56, 0, 0, 0])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 24])
def test_a_constant_image_stays_constant(side: int, scale: int) -> None:
    image = np.broadcast_to(np.arange(256, dtype=np.uint8), (side, side + 1, 256))
    for resized in (downscale(image, scale), downscale(image, scale, replicate=True), upscale(image, scale)):
        np.testing.assert_array_equal(resized, np.broadcast_to(image[0, 0], resized.shape))


@pytest.mark.parametrize("scale", SCALES)
def test_resizing_gives_the_promised_size(scale: int) -> None:
    image = random_image(13, 8)
    assert downscale(image, scale).shape == (math.ceil(13 / scale), math.ceil(8 / scale), 3)
    assert upscale(image, scale).shape == (13 * scale, 8 * scale, 3)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_resizing_refuses_what_is_not_an_8_bit_image(image: NDArray[np.uint8]) -> None:
    for resize in (downscale, upscale):
        with pytest.raises(ValueError, match=re.escape(f"{image.dtype} {image.shape}")):
            resize(image, 2)


@pytest.mark.parametrize("scale", [0, 1, 5])
def test_resizing_refuses_other_scales(scale: int) -> None:
    for resize in (downscale, upscale):
        with pytest.raises(ValueError, match=f"got {scale}"):
            resize(random_image(8, 8), scale)


def test_luma_is_bt601_and_not_rounded() -> None:
    rgb = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [1, 2, 3]]])
    by_hand = [[16, 235, 81.481, 144.553, 40.966, 16 + 397.485 / 255]]
    np.testing.assert_allclose(luma(rgb.astype(np.uint8)), by_hand, rtol=1e-15)
    np.testing.assert_allclose(luma(rgb.astype(np.float32)), by_hand, rtol=1e-15)


def test_the_image_finder_leaves_out_hidden_files_and_folders_that_are_called_as_images(
    tmp_path: Path,
) -> None:
    for name in (
        "b.PNG",
        "a.tiff",
        "in/c.Jpg",
        "._b.png",
        ".hidden.png",
        "notes.txt",
        ".cache/d.png",
        "__MACOSX/e.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "x.png").mkdir()
    (tmp_path / "y.png").symlink_to(tmp_path / "gone.png")
    assert [path.name for path in find_images(tmp_path)] == ["a.tiff", "b.PNG"]
    assert [path.name for path in find_images(tmp_path, nested=True)] == ["a.tiff", "b.PNG", "c.Jpg"]
    assert find_images(tmp_path / "gone") == []


@pytest.mark.parametrize("scale", SCALES)
def test_the_smallest_measurable_image_fits_ssims_window(scale: int) -> None:
    assert len(WINDOW) == SSIM_WINDOW
    side = least_side(scale)
    smallest, smaller = (cut(random_image(one, one), scale) for one in (side, side - 1))
    assert set(measure(smallest, smallest, scale=scale, metrics=METRICS)) == set(METRICS)
    with pytest.raises(ValueError, match="leaves less than 11 x 11 pixels"):
        measure(smaller, smaller, scale=scale, metrics=METRICS)
