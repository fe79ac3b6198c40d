"""A trained network as a plain torch module that super-resolves tensors and images."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from srkd_bench.config.network import ForeignSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.inference import pictures
from srkd_bench.evaluation.inference.pictures import Picture
from srkd_bench.evaluation.scoring import network
from srkd_bench.networks.architectures.custom import Foreign
from srkd_bench.networks.base import Architecture

ImageLike = NDArray[np.uint8] | Image.Image | str | Path


class Upscaler(nn.Module):
    """A super-resolution network that maps LR to SR, both float32 RGB in [0, 1], including the mean shift.

    Attributes:
        model: the network with its spec and features, as methods see it.
    """

    def __init__(self, model: Architecture) -> None:
        super().__init__()
        self.model = model

    @property
    def scale(self) -> int:
        """Upscaling factor: 2, 3 or 4."""
        return self.model.spec.scale

    def forward(self, lr: Tensor) -> Tensor:
        """Return the SR of a batch, with gradients.

        Args:
            lr: (N, 3, h, w) float32, values in [0, 1].
        Returns:
            (N, 3, scale*h, scale*w) float32, not clipped.
        """
        sr: Tensor = self.model(lr).sr
        return sr

    def upscale(self, image: ImageLike) -> NDArray[np.uint8]:
        """Return the SR of one image, with the pixels that `srkd upscale` and `srkd evaluate` compute.

        The network works in evaluation mode on the device of its weights, in tiles where memory is short. Grey is
        the luma of the SR; an alpha channel is enlarged by MATLAB's bicubic.

        Args:
            image: a file, a Pillow image, or an array (h, w) or (h, w, C) uint8; C is 1 for grey, 2 for grey and
                alpha, 3 for RGB, 4 for RGB and alpha.
        Returns:
            (scale*h, scale*w) or (scale*h, scale*w, C) uint8, with the channels of the image.
        Raises:
            SrkdError: the image cannot be read, or the array has a wrong shape or type.

        Example:
            >>> sr = srkd.load("4f1a").upscale("photo.jpg")  # doctest: +SKIP
        """
        picture, is_flat = _picture(image)
        device = next(self.parameters()).device
        with kept_mode(self):
            sr = network(self.model, device=device)("", picture.rgb)
        pixels = pictures.enlarged(picture, sr, self.scale).pixels
        return pixels[..., 0] if is_flat else pixels


def wrapped(module: nn.Module, scale: int) -> Architecture:
    """Wrap a module as a network that srkd can measure; an `Upscaler` is unwrapped.

    Args:
        module: maps (N, 3, h, w) in [0, 1] to (N, 3, scale*h, scale*w).
        scale: of such a module; an `Upscaler` has its own.
    """
    if isinstance(module, Upscaler):
        return module.model
    if isinstance(module, Architecture):
        return module
    return Foreign(ForeignSpec(arch=f"module:{type(module).__name__}", scale=scale), module)  # type: ignore[arg-type]


@contextmanager
def kept_mode(module: nn.Module) -> Iterator[None]:
    """Restore the training mode of each part of a module when the block ends."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _picture(image: ImageLike) -> tuple[Picture, bool]:
    """Return an image with its channels as the third axis, and whether it had no such axis."""
    if isinstance(image, str | Path):
        return pictures.read(Path(image)), False
    if isinstance(image, Image.Image):
        image = np.asarray(image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB"))
    pixels = image[..., None] if image.ndim == 2 else image
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or not pixels.size:
        raise SrkdError(
            f"an image is a uint8 array (h, w, 1 to 4), not {image.dtype} {image.shape}",
            "from values in [0, 1]: (255 * image).round().clip(0, 255).astype(numpy.uint8)",
        )
    return Picture(np.ascontiguousarray(pixels)), image.ndim == 2
