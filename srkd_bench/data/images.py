"""Read images; MATLAB's bicubic `imresize`, bit-exact; luma."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.Image import Transpose

from srkd_bench.core.errors import SrkdError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
}
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MAX_PIXELS = 50_000_000  # Pillow takes up to 18 bytes a pixel, for a WebP: this keeps it below 1 GB
SCALES = (2, 3, 4)
SSIM_WINDOW = 11  # pixels a side
# TIFF's and EXIF's tags.
_BITS, _ORIENTATION, _TILE_WIDTH, _TILE_LENGTH, _SAMPLE_FORMAT = 258, 274, 322, 323, 339
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def read_rgb(source: Path | BinaryIO, name: str) -> NDArray[np.uint8]:
    """Read an image as 8-bit RGB, upright by its EXIF orientation.

    Grey, palette and CMYK images are converted, an opaque alpha channel is dropped. Images whose conversion to
    8-bit RGB is ambiguous are rejected: partly transparent ones and those with more than 8 bits. Of several frames
    the first is read. Reading takes less than 1 GB, even for a malicious file.

    Args:
        source: a path or an open file; its content determines which of `FORMATS` it is.
        name: the image's name in messages.
    Returns:
        (H, W, 3) uint8.
    Raises:
        SrkdError: it cannot be read, has more than `MAX_PIXELS` or is rejected.
    """
    return np.array(_read(source, name))


def _read(source: Path | BinaryIO, name: str) -> Image.Image:
    """Return the image as RGB; everything else is freed when this function ends."""
    with opened(source, name) as image:
        if is_transparent(image):
            raise unreadable(name, "partly transparent", "flatten it onto a background first")
        image.info.pop("transparency", None)
        return upright(image, "RGB")


@contextmanager
def opened(source: Path | BinaryIO, name: str) -> Iterator[Image.Image]:
    """Open an image and read its pixels; reject images that cannot be read safely or correctly.

    Args:
        source, name: as in `read_rgb`.
    Raises:
        SrkdError: it cannot be read, has more than `MAX_PIXELS`, more than 8 bits a channel, signed values or a
            transparent value that Pillow misreads; or the block fails on it.
    """
    try:
        # Pillow's warnings are advice: an image is read or refused.
        with warnings.catch_warnings(action="ignore"), Image.open(source, formats=[*FORMATS]) as image:
            _check(image, name)
            image.load()  # turns a TIFF itself
            yield image
    except SrkdError:
        raise
    except UnidentifiedImageError:
        raise unreadable(name, "unknown format", f"srkd reads {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        reason = f"more than {MAX_PIXELS // 10**6} megapixels"
        raise unreadable(name, reason, "cut it into smaller images first") from None
    except Exception as error:  # Pillow's exceptions for broken files have no common class
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise unreadable(name, reason, "is the file complete? copy or download it again") from error


def _check(image: ImageFile.ImageFile, name: str) -> None:
    tags = getattr(image, "tag_v2", {})
    tile = tags.get(_TILE_WIDTH, 1) * tags.get(_TILE_LENGTH, 1)  # unpacked whole, however small the image
    if max(image.width * image.height, tile) > MAX_PIXELS:
        raise Image.DecompressionBombError
    if _is_deep(image):
        raise unreadable(name, "more than 8 bits a channel", "convert it to 8 bits first")
    if 2 in tags.get(_SAMPLE_FORMAT, ()):
        raise unreadable(name, "signed pixel values", "convert it to unsigned ones first")
    # Pillow scales grey of 2 and 4 bits, but not the value that stands for transparent.
    if "transparency" in image.info and re.search("L;[24]", str(image.tile)):
        raise unreadable(name, "partly transparent", "flatten it onto a background first")


def upright(image: Image.Image, mode: str) -> Image.Image:
    """Return a loaded image in another mode, rotated by its EXIF orientation."""
    # Not ImageOps.exif_transpose: it rewrites the EXIF data and fails on other, unusual tags.
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    converted = image if image.mode == mode else image.convert(mode)
    return converted if turn is None else converted.transpose(turn)


def _is_deep(image: ImageFile.ImageFile) -> bool:
    # Pillow opens 16-bit colour as RGB and silently drops the low bytes. Only the raw mode reveals it, and in a
    # TIFF with separate channel planes only a tag.
    bits = getattr(image, "tag_v2", {}).get(_BITS, (1,))
    return max(bits) > 8 or image.mode[0] in "IF" or re.search(";16[BLN]", str(image.tile)) is not None


def is_transparent(image: Image.Image) -> bool:
    """Return whether any pixel of a loaded image is not opaque."""
    if not image.has_transparency_data:
        return False
    alpha = image if "A" in image.getbands() else image.convert("RGBA")
    return alpha.getchannel("A").getextrema() != (255, 255)


def unreadable(name: str, reason: str, hint: str) -> SrkdError:
    """Return the error for an image that cannot be read."""
    return SrkdError(f"cannot read image {name!r}: {reason}", hint)


def is_image(path: PurePath) -> bool:
    """Return whether a path inside a folder or archive has an image's suffix, in any case, and is not hidden."""
    hidden = any(name.startswith(".") or name == "__MACOSX" for name in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def find_images(folder: Path, *, nested: bool = False) -> list[Path]:
    """Return the image files of a folder in order, without hidden files and folders.

    Args:
        nested: search the folders inside it too.
    Raises:
        SrkdError: the folder cannot be read.
    """
    try:
        inside = [*folder.rglob("*")] if nested else [*folder.iterdir()] if folder.is_dir() else []
        return sorted(path for path in inside if is_image(path.relative_to(folder)) and path.is_file())
    except OSError as error:
        raise SrkdError(f"cannot read folder '{folder}': {error.strerror}") from None


def least_side(scale: int) -> int:
    """Return the minimum side of an HR image in pixels: SSIM's window must fit inside the border."""
    return -(-(SSIM_WINDOW + 2 * scale) // scale) * scale


def cut(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Cut an image (H, W, C) at the bottom and right to a multiple of `scale`.

    Raises:
        ValueError: nothing is left.
    """
    height, width = image.shape[:2]
    if min(height, width) < scale:
        raise ValueError(f"an image of {width}x{height} pixels is too small for scale {scale}")
    return image[: height - height % scale, : width - width % scale]


def downscale(image: NDArray[np.uint8], scale: int, *, replicate: bool = False) -> NDArray[np.uint8]:
    """Shrink an image as MATLAB's `imresize(image, 1/scale)` does: bicubic, antialiased, bit-exact.

    Args:
        image: (H, W, C) uint8; benchmarks `cut` it first.
        scale: one of `SCALES`.
        replicate: repeat the edge pixel beyond the border, as older MATLAB did; else mirror the image.
    Returns:
        (ceil(H / scale), ceil(W / scale), C) uint8.
    Raises:
        ValueError: not such an image or scale.
    Source: MATLAB's `imresize`; the kernel is Keys', 1981, with a = -0.5.
    """
    return _resize(image, shrink=scale, grow=1, replicate=replicate)


def upscale(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Enlarge an image as MATLAB's `imresize(image, scale)` does: bicubic, bit-exact.

    Args:
        image: (H, W, C) uint8.
        scale: one of `SCALES`.
    Returns:
        (H * scale, W * scale, C) uint8.
    Raises:
        ValueError: not such an image or scale.
    """
    return _resize(image, shrink=1, grow=scale, replicate=False)


def _resize(image: NDArray[np.uint8], *, shrink: int, grow: int, replicate: bool) -> NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim != 3 or not image.size:
        raise ValueError(f"expected a uint8 image (H, W, C), got {image.dtype} {image.shape}")
    if shrink * grow not in SCALES:
        raise ValueError(f"expected a scale of {SCALES}, got {shrink * grow}")
    for _ in range(2):  # rows first, then columns, each rounded to uint8, as MATLAB does
        # float32 rounds as MATLAB's float64 does: for scale 2 and 4 the weights are multiples of 1/4096, so all
        # sums are exact; for 3 they are multiples of 1/81, so no sum is close to a half, where rounding changes.
        weights = _weights(len(image), shrink, grow, replicate)
        rows = weights @ image.reshape(len(image), -1).astype(np.float32)
        rounded = (rows + 0.5).clip(0, 255).astype(np.uint8)
        image = rounded.reshape(-1, *image.shape[1:]).swapaxes(0, 1)
    return np.ascontiguousarray(image)


def _weights(size: int, shrink: int, grow: int, replicate: bool) -> csr_array:
    """Return the (new size, size) matrix that resizes along one side."""
    from scipy.sparse import csr_array  # imported here: reports import this module without scipy

    centres = (np.arange(-(-size * grow // shrink)) + 0.5) * shrink / grow - 0.5
    first = np.floor(centres).astype(int) - 2 * shrink
    taps = first[:, None] + np.arange(4 * shrink + 2)
    values = _cubic((taps - centres[:, None]) / shrink) / shrink  # the stretched kernel antialiases
    if replicate:
        taps = taps.clip(0, size - 1)
    else:
        taps %= 2 * size  # mirrored repeatedly if the image is smaller than the kernel
        taps = np.minimum(taps, 2 * size - 1 - taps)
    starts = np.arange(0, taps.size + 1, taps.shape[1])
    matrix = csr_array((values.astype(np.float32).ravel(), taps.ravel(), starts), (len(taps), size))
    matrix.eliminate_zeros()
    return matrix


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return near * (x <= 1) + far * ((x > 1) & (x <= 2))


def luma(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """Return BT.601's Y, not rounded: (H, W) in 16..235 of an image (H, W, 3) in 0..255."""
    red, green, blue = (rgb[..., channel].astype(np.float64) for channel in range(3))
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
