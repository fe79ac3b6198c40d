"""Export a network to ONNX, torch.export or safetensors, and check the exported file."""

import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from srkd_bench import __version__
from srkd_bench.config.artifacts import Run
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError, install_hint
from srkd_bench.core.files import put
from srkd_bench.data.image_set import open_set
from srkd_bench.data.images import cut, downscale, find_images, read_rgb
from srkd_bench.data.packs import check_size
from srkd_bench.evaluation.inference.module import Upscaler
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scoring import middle
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import load_weights, to_safetensors
from srkd_bench.networks.stored import Chosen
from srkd_bench.store.workspace import Workplace

FORMATS = {"onnx": ".onnx", "safetensors": ".safetensors", "pt2": ".pt2"}
EXTRA = ("onnx", "onnxruntime", "onnxscript")
BOUND = 1e-4  # of SR in [0, 1]: a fortieth of a grey level
BOUND_DB = 1e-3
PHOTOS = "photos-test"
HEIGHT, WIDTH = 96, 128  # at most, of LR images that are compared
META = "srkd.json"  # in a .pt2
Forward = Callable[[Tensor], NDArray[np.float32]]


@dataclass(frozen=True)
class Parity:
    """The difference between an exported network and the original.

    Args:
        images: number of compared images.
        difference: the largest difference of SR values in [0, 1].
        decibel: the largest change of an image's PSNR-Y.
    """

    images: int
    difference: float
    decibel: float


def export(
    chosen: Chosen, to: str, file: Path, place: Workplace, *, check: Path | None = None, force: bool = False
) -> Parity:
    """Write a network to a file after verifying that its output equals PyTorch's.

    Args:
        to: a key of `FORMATS`.
        check: a folder of HR images for an additional comparison; their LR is made by MATLAB's bicubic.
    Raises:
        SrkdError: an extra is missing, the file name does not suit the format, or the file exists.
        IntegrityError: the exported network gives other images; no file is written.
    """
    check_request(to, file, force=force)
    model = chosen.model.cpu().eval()
    pairs = _pairs(model.spec.scale, place, check)
    about = describe(chosen)
    writers = {"onnx": _onnx, "safetensors": _safetensors, "pt2": _pt2}
    content, forward = writers[to](model, about)
    parity = compare(Upscaler(model), forward, pairs, model.spec.scale)
    if not (parity.difference <= BOUND and parity.decibel <= BOUND_DB):
        raise ParityError(
            f"the exported network differs: SR differs by up to {parity.difference:.2g} of 1"
            f" (allowed: {BOUND:g}), PSNR-Y by {parity.decibel:.2g} dB (allowed: {BOUND_DB:g})",
            "nothing was written; try another format with --to",
        )
    put(file, content)
    return parity


class ParityError(IntegrityError):
    """The exported network gives other images than the original."""

    exit_code = 1


def check_request(to: str, file: Path, *, force: bool) -> None:
    """Reject a request that cannot be fulfilled, before any work.

    Raises:
        SrkdError: as in `export`.
    """
    if file.suffix != FORMATS[to]:
        raise SrkdError(f"'{file.name}' is not a file name for {to}", f"use the suffix {FORMATS[to]}")
    if file.exists() and not force:
        raise SrkdError(f"'{file}' would be overwritten", "choose another -o, or --force to replace it")
    if not file.parent.is_dir():
        raise MissingError(f"no folder '{file.parent}'", f"mkdir -p {file.parent}")
    if to == "onnx" and (missing := [name for name in EXTRA if find_spec(name) is None]):
        raise SrkdError(f"export to onnx needs {', '.join(missing)}", install_hint("onnx"))


def describe(chosen: Chosen) -> dict[str, str]:
    """Return the metadata written into the file: input, output and origin."""
    spec, key = chosen.model.spec, chosen.key
    shape = f"(batch, 3, {spec.scale}*height, {spec.scale}*width)"
    return {
        "input": "lr: float32 (batch, 3, height, width), RGB in [0, 1]; any batch, height and width",
        "output": f"sr: float32 {shape}, RGB, about [0, 1], not clipped",
        "scale": str(spec.scale),
        "network": str(spec),
        "run": key.digest,
        "method": key.method if isinstance(key, Run) else "trained elsewhere",
        "version": f"srkd {__version__}, torch {torch.__version__}",
        "checked": f"against PyTorch on photographs: SR within {BOUND:g}, PSNR-Y within {BOUND_DB:g} dB",
    }


def _sizes() -> dict[str, dict[int, object]]:
    names = {0: "batch", 2: "height", 3: "width"}
    return {"lr": {axis: torch.export.Dim(name, min=1) for axis, name in names.items()}}


def _example() -> tuple[Tensor]:
    return (torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(0)),)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporters' own progress and warnings: the result is verified anyway."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _onnx(model: Architecture, about: dict[str, str]) -> tuple[bytes, Forward]:
    import onnxruntime

    with _quiet():
        program = torch.onnx.export(
            Upscaler(model).eval(),
            _example(),
            dynamo=True,
            dynamic_shapes=_sizes(),
            input_names=["lr"],
            output_names=["sr"],
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    proto.producer_name, proto.producer_version = "srkd", __version__
    for key, value in about.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    content = proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda lr: session.run(["sr"], {"lr": lr.numpy()})[0]


def _pt2(model: Architecture, about: dict[str, str]) -> tuple[bytes, Forward]:
    file = io.BytesIO()
    with _quiet():
        program = torch.export.export(Upscaler(model).eval(), _example(), dynamic_shapes=_sizes())
        torch.export.save(program, file, extra_files={META: json.dumps(about)})
        loaded = torch.export.load(io.BytesIO(file.getvalue())).module()
    return file.getvalue(), lambda lr: loaded(lr).detach().numpy()


def _safetensors(model: Architecture, about: dict[str, str]) -> tuple[bytes, Forward]:
    own = to_safetensors(model)
    header = json.loads(own[8 : 8 + int.from_bytes(own[:8], "little")])
    content = safetensors.torch.save(safetensors.torch.load(own), header["__metadata__"] | about)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        path.write_bytes(content)
        loaded = Upscaler(load_weights(path))
    return content, lambda lr: loaded(lr).detach().numpy()


Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _pairs(scale: int, place: Workplace, folder: Path | None) -> list[Pair]:
    """Return (LR, HR) of the built-in photographs and of a folder's images, cropped to their centre."""
    photos = open_set(place.store, PHOTOS, scale)
    pairs = [(photos.lr(i), photos.hr(i)) for i in range(len(photos))]
    if folder is not None:
        files = find_images(folder)
        if not files:
            raise MissingError(f"no images in '{folder}'", "--check takes a folder of images")
        for file in files:
            image = read_rgb(file, file.name)
            check_size(str(folder), file.name, image.shape[0], image.shape[1], scale)
            hr = cut(image, scale)
            pairs.append((downscale(hr, scale), hr))
    return [middle(*pair, scale, HEIGHT, WIDTH) for pair in pairs]


@torch.inference_mode()
def compare(model: Upscaler, forward: Forward, pairs: list[Pair], scale: int) -> Parity:
    """Compare SR of single images, and of a batch of odd-sized crops of the first image."""
    differences, decibels = [0.0], [0.0]
    for lr, hr in pairs:
        x = _batch([lr])
        ours, theirs = model(x).numpy(), forward(x)
        difference = _difference(ours, theirs)
        differences.append(difference)
        if not np.isfinite(difference):
            return Parity(len(pairs), difference, float("inf"))
        before, after = (
            measure(_rounded(sr), hr, scale=scale, metrics=["psnr_y"])["psnr_y"] for sr in (ours, theirs)
        )
        decibels.append(0.0 if before == after else abs(before - after))  # both may be infinite
    lr = pairs[0][0]
    x = _batch([lr[:19, :23], lr[-19:, -23:], lr[:19, -23:]])
    differences.append(_difference(model(x).numpy(), forward(x)))
    # numpy's maximum propagates nan, which no bound accepts.
    return Parity(len(pairs), float(np.max(differences)), float(np.max(decibels)))


def _difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")


def _batch(images: list[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous().float() / 255


def _rounded(sr: NDArray[np.float32]) -> NDArray[np.uint8]:
    levels: NDArray[np.float32] = (255 * sr[0]).clip(0, 255).round()
    return levels.astype(np.uint8).transpose(1, 2, 0)
