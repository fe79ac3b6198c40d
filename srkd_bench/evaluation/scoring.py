"""Measure a model on every image of a data set."""

import math
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.parallel import in_order
from srkd_bench.data import images as images_module
from srkd_bench.data.image_set import ImageSet, Tick
from srkd_bench.evaluation.inference.tiling import TILE_BYTES, Tiled
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scores import Scores
from srkd_bench.networks.base import Architecture, convolutions

Image = NDArray[np.uint8]
Upscaler = Callable[[str, Image], Image]
CPU = torch.device("cpu")
VALIDATION_SIDE = 128  # LR pixels
MEMORY = 4e9  # bytes that images measured concurrently may take
METRIC_BYTES = 100  # per HR pixel
Measured = tuple[str, dict[str, float]]  # an image's name, and its metrics


def score(
    upscale: Upscaler, images: ImageSet, tick: Tick = lambda done, total: None, *, concurrent: int = 1
) -> Scores:
    """Return every metric of every image, by image and metric.

    Args:
        upscale: maps an image's name and LR (h, w, 3) to SR (scale*h, scale*w, 3), both uint8.
        concurrent: number of images upscaled at once, from `concurrency`; they share torch's threads. With 1, the
            calling thread upscales one image after another while others compute the metrics.
    Raises:
        SrkdError: an SR image has another size than HR.
    """

    def upscaled(i: int) -> tuple[int, Image]:
        return i, upscale(images.names[i], images.lr(i))

    def judged(found: tuple[int, Image]) -> Measured:
        return _measured(*found, images)

    # The largest first, so that no thread is left with it at the end.
    order = sorted(range(len(images)), key=lambda i: -math.prod(images.full_size(i)))
    threads = min(torch.get_num_threads(), concurrency(images))
    results: Generator[Measured, None, None]
    if concurrent > 1:
        results = _concurrently(lambda i: judged(upscaled(i)), order, concurrent)
    elif threads > 1:
        results = in_order(judged, map(upscaled, order), threads=threads)
    else:
        results = (judged(upscaled(i)) for i in order)
    scores: Scores = {}
    with closing(results):  # a signal ends the threads, too
        for name, values in results:
            scores[name] = values
            tick(len(scores), len(images))
    return dict(sorted(scores.items()))


def concurrency(images: ImageSet, model: Architecture | None = None, device: torch.device = CPU) -> int:
    """Return how many images can be measured at once with torch's threads and bounded memory.

    Args:
        model: the network that upscales them, if any; 1 on a GPU, and for networks that may keep state.
    """
    if model is not None and (device.type != "cpu" or not model.reentrant):
        return 1
    pixels = max(math.prod(images.full_size(i)) for i in range(len(images)))
    each: float = METRIC_BYTES * pixels
    if model is not None:
        each += min(TILE_BYTES, model.pixel_bytes * pixels / images.scale**2)
    return max(1, min(torch.get_num_threads(), len(images), int(MEMORY / each)))


def _concurrently(
    work: Callable[[int], Measured], order: list[int], workers: int
) -> Generator[Measured, None, None]:
    """Yield the results of several threads as they come; torch's threads are divided among them."""
    threads = torch.get_num_threads()
    share = (max(1, threads // workers),)
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=share)
    try:
        with convolutions():  # the setting is global, and each thread would restore what another one has set
            for future in as_completed([pool.submit(work, i) for i in order]):
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # a thread's setting is also the default of later threads


def _measured(i: int, sr: Image, images: ImageSet) -> Measured:
    """Return the name and the metrics of image `i`, given its SR."""
    name, hr = images.names[i], images.hr(i)
    if sr.shape != hr.shape:
        size, wanted = ("×".join(map(str, one.shape[1::-1])) for one in (sr, hr))
        raise SrkdError(
            f"SR of '{name}' ({images.name}) is {size} pixels, HR is {wanted}", _size_hint(sr, images, i)
        )
    return name, measure(sr, hr, scale=images.scale, metrics=METRICS, hr_luma=images.hr_luma(i))


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
            sr = self_ensemble_of(tiled, x) if self_ensemble else tiled(x)
        return sr[0].mul_(255).clamp_(0, 255).round_().byte().permute(1, 2, 0).cpu().numpy()

    return upscale


def self_ensemble_of(upscale: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the mean of the SR of all eight flips and rotations of an image (1, 3, h, w), turned back."""
    total = torch.zeros(())
    for turns in range(4):
        for flip in (False, True):
            view = torch.rot90(x.flip(-1) if flip else x, turns, (-2, -1))
            sr = torch.rot90(upscale(view), -turns, (-2, -1))
            total = total + (sr.flip(-1) if flip else sr)
    return total / 8
