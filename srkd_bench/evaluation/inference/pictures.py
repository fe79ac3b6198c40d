"""Read and write photographs with alpha channels, grey values and colour profiles."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from srkd_bench.data import images
from srkd_bench.data.images import opened, unreadable, upright

Pixels = NDArray[np.uint8]
MAX_PROFILE = 10**6  # bytes; Pillow's limit for the one of a PNG
BAND = 256  # rows
CONTEXT = 4  # rows around a band that its bicubic pixels depend on


@dataclass(frozen=True)
class Picture:
    """An image with its alpha channel and colour profile.

    Args:
        pixels: (H, W, C) uint8; C is 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGB and alpha.
        profile: the ICC profile; empty if there is none.
    """

    pixels: Pixels
    profile: bytes = b""

    @property
    def alpha(self) -> Pixels | None:
        """Opacity, (H, W, 1), if there is an alpha channel."""
        return self.pixels[..., -1:] if self.pixels.shape[2] in (2, 4) else None

    @property
    def rgb(self) -> Pixels:
        """The input of a network, (H, W, 3): grey becomes three equal channels."""
        grey = self.pixels.shape[2] < 3
        return np.repeat(self.pixels[..., :1], 3, axis=2) if grey else self.pixels[..., :3]


def read(path: Path) -> Picture:
    """Read an image, upright by its EXIF orientation, with its alpha channel and its colour profile.

    Black-and-white becomes grey, a palette its colours; a single transparent value becomes an alpha channel.
    CMYK is rejected, since PNG does not support it, and so are images that `images.opened` rejects. Of several
    frames the first is read. Reading takes less than 1 GB, even for a malicious file.

    Raises:
        SrkdError: it cannot be read or is rejected.
    """
    image, profile = _read(path)
    pixels = np.array(image)
    return Picture(pixels if pixels.ndim == 3 else pixels[..., None], profile)


def _read(path: Path) -> tuple[Image.Image, bytes]:
    """Return the image as L, LA, RGB or RGBA, and its profile; the rest is freed when this function ends."""
    with opened(path, path.name) as image:
        if image.mode == "CMYK":
            hint = "PNG does not support it: convert the image to RGB by its colour profile"
            raise unreadable(path.name, "CMYK colours", hint)
        mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
        mode += "A" if image.has_transparency_data else ""
        return upright(image, mode), _profile(image.info.get("icc_profile"), mode)


def _profile(found: object, mode: str) -> bytes:
    """Return a colour profile if it suits the pixel format; others would make programs show wrong colours."""
    if not isinstance(found, bytes) or not 128 <= len(found) <= MAX_PROFILE:
        return b""
    space = b"GRAY" if mode.startswith("L") else b"RGB "
    return found if found[16:20] == space and found[36:40] == b"acsp" else b""


def enlarged(picture: Picture, sr: Pixels, scale: int) -> Picture:
    """Return a picture of the SR that a network gave for its `rgb`.

    Grey is the luma of the SR, in full range (ITU-R BT.601); alpha is enlarged by MATLAB's bicubic.

    Args:
        sr: (scale*H, scale*W, 3) uint8.
    """
    layers = [sr if picture.pixels.shape[2] >= 3 else np.array(Image.fromarray(sr).convert("L"))[..., None]]
    if picture.alpha is not None:
        layers.append(_upscale(picture.alpha, scale))
    return Picture(np.concatenate(layers, axis=2) if len(layers) > 1 else layers[0], picture.profile)


def _upscale(image: Pixels, scale: int) -> Pixels:
    """Compute `images.upscale` in bands, which take less memory."""
    height, width, channels = image.shape
    large = np.empty((scale * height, scale * width, channels), np.uint8)
    for top in range(0, height, BAND):
        above = min(CONTEXT, top)
        part = images.upscale(image[top - above : top + BAND + CONTEXT], scale)[scale * above :]
        large[scale * top : scale * (top + BAND)] = part[: scale * BAND]
    return large


def to_png(picture: Picture, **texts: str) -> bytes:
    """Return a PNG file of a picture, with its profile and some texts in it."""
    image = Image.fromarray(picture.pixels[..., 0] if picture.pixels.shape[2] == 1 else picture.pixels)
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=info, icc_profile=picture.profile or None)
    return file.getvalue()


def text_of(path: Path, key: str) -> str:
    """Return one of the texts that `to_png` put into a file; empty where there is none."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=["PNG"]) as image:
            return str(image.info.get(key, ""))
    except Exception:  # a broken or foreign file: not written by srkd
        return ""
