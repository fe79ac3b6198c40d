"""Measure a model on every image of a data set."""

from collections.abc import Callable
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import SrkdError
from srkd_bench.data import images as images_module
from srkd_bench.data.image_set import ImageSet, Tick
from srkd_bench.evaluation.inference.tiling import Tiled
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scores import Scores
from srkd_bench.networks.base import Architecture, convolutions

Image = NDArray[np.uint8]
Upscaler = Callable[[str, Image], Image]
VALIDATION_SIDE = 128  # LR pixels


def score(upscale: Upscaler, images: ImageSet, tick: Tick = lambda done, total: None) -> Scores:
    """Return every metric of every image, by image and metric.

    Args:
        upscale: maps an image's name and LR (h, w, 3) to SR (scale*h, scale*w, 3), both uint8.
    Raises:
        SrkdError: an SR image has another size than HR.
    """
    scores: Scores = {}
    for i, name in enumerate(images.names):
        sr, hr = upscale(name, images.lr(i)), images.hr(i)
        if sr.shape != hr.shape:
            size, wanted = ("×".join(map(str, one.shape[1::-1])) for one in (sr, hr))
            raise SrkdError(
                f"SR of '{name}' ({images.name}) is {size} pixels, HR is {wanted}", _size_hint(sr, images, i)
            )
        scores[name] = measure(sr, hr, scale=images.scale, metrics=METRICS, hr_luma=images.hr_luma(i))
        tick(i + 1, len(images))
    return dict(sorted(scores.items()))


def _size_hint(sr: Image, images: ImageSet, i: int) -> str:
    """Return a hint that explains an SR image of another size than HR."""
    full = images.full_size(i)
    for scale in images_module.SCALES:
        if scale != images.scale and sr.shape[:2] == tuple(side - side % scale for side in full):
            return f"this is its size at ×{scale}: --scale {scale}"
    if sr.shape == images.lr(i).shape:
        return "this is the size of its LR image: is it the folder of SR images?"
    return f"is ×{images.scale} the scale of the SR images (--scale), and their data set this copy?"


def validation(images: ImageSet, device: torch.device) -> Callable[[Architecture], float]:
    """Return a function that computes a network's mean PSNR-Y in dB on square centre crops of the images.

    The crops have at most 128 LR pixels a side, since validation is repeated often during training.
    """
    side = VALIDATION_SIDE
    pairs = [middle(images.lr(i), images.hr(i), images.scale, side, side) for i in range(len(images))]

    def psnr(model: Architecture) -> float:
        training = model.training
        upscale = network(model, device=device)
        found = [measure(upscale("", lr), hr, scale=images.scale, metrics=["psnr_y"]) for lr, hr in pairs]
        model.train(training)  # its training continues
        return fmean(values["psnr_y"] for values in found)

    return psnr


def middle(lr: Image, hr: Image, scale: int, height: int, width: int) -> tuple[Image, Image]:
    """Return centre crops of LR and HR with a maximum side in LR pixels."""
    height, width = min(height, lr.shape[0]), min(width, lr.shape[1])
    top, left = (lr.shape[0] - height) // 2, (lr.shape[1] - width) // 2
    bottom, right = top + height, left + width
    return lr[top:bottom, left:right], hr[scale * top : scale * bottom, scale * left : scale * right]


def bicubic(scale: int) -> Upscaler:
    """Return MATLAB's bicubic interpolation."""
    return lambda name, lr: images_module.upscale(lr, scale)


def network(
    model: Architecture,
    *,
    device: torch.device,
    self_ensemble: bool = False,
    card: dict[str, object] | None = None,
) -> Upscaler:
    """Return a network as an upscaler: float32, tiled if memory is short, rounded to 8 bits.

    Args:
        self_ensemble: the mean over all eight flips and rotations (EDSR's "+").
        card: receives `tile`, the side in LR pixels, when memory runs out and tiles become smaller.
    """
    model = model.to(device).eval()
    tiled = Tiled(model, card if card is not None else {})

    @torch.inference_mode()
    def upscale(name: str, lr: Image) -> Image:
        x = torch.from_numpy(np.array(lr)).to(device).permute(2, 0, 1)[None].float() / 255
        with convolutions():
            sr = _self_ensemble(tiled, x) if self_ensemble else tiled(x)
        return sr[0].mul_(255).clamp_(0, 255).round_().byte().permute(1, 2, 0).cpu().numpy()

    return upscale


def _self_ensemble(upscale: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    total = torch.zeros(())
    for turns in range(4):
        for flip in (False, True):
            view = torch.rot90(x.flip(-1) if flip else x, turns, (-2, -1))
            sr = torch.rot90(upscale(view), -turns, (-2, -1))
            total = total + (sr.flip(-1) if flip else sr)
    return total / 8
