"""Reading training patches; packing on all cores; making LR images; waiting for data in a step."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.lockstep import steps
from benchmarks.measure import Row, by_turns, ratio
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.parallel import in_order
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import open_set
from srkd_bench.data.images import downscale, read_rgb
from srkd_bench.data.packs import pack
from srkd_bench.data.patches import Patches
from srkd_bench.store.artifact_store import ArtifactStore


def smooth(height: int, width: int) -> np.ndarray:
    """Return an image that PNG compresses about as well as a photograph, (height, width, 3) uint8."""
    small = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def rows(quick: bool) -> list[Row]:
    cores = os.cpu_count() or 1
    threads, count, rounds = torch.get_num_threads(), 16 if quick else 64, 1 if quick else 7
    torch.set_num_threads(1)
    DATASETS["smooth"] = DatasetSpec("train", 16)
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        image = smooth(320, 480)
        pack(store, "smooth", ((str(i), np.roll(image, i, 0)) for i in range(16)))
        images = open_set(store, "smooth", 2)
        files = io.BytesIO()
        Image.fromarray(image).save(files, "png")
        patches = Patches(images, TrainSpec(batch=8, patch=48, steps=1000), 0)
        small = Patches(images, TrainSpec(batch=8, patch=24, steps=1000), 0)

        def packed() -> None:
            for step in range(count // 8):
                patches.batch(step)

        def from_png() -> None:
            for _ in range(8):
                hr = np.asarray(Image.open(io.BytesIO(files.getvalue())))[:96, :96]
                torch.from_numpy(np.ascontiguousarray(hr.transpose(2, 0, 1))).float() / 255

        times = by_turns(rounds, packed=packed, png=from_png)
        large = smooth(64, 64) if quick else smooth(1356, 2040)
        shrink = by_turns(rounds, shrink=lambda: downscale(large, 2))["shrink"]
        content = io.BytesIO()
        Image.fromarray(large).save(content, "png")

        def packed_by(cores: int) -> None:
            for _ in in_order(
                lambda i: downscale(read_rgb(io.BytesIO(content.getvalue()), ""), 2), range(8), threads=cores
            ):
                pass

        packing = by_turns(1 if quick else 3, one=lambda: packed_by(1), all=lambda: packed_by(cores))
        torch.set_num_threads(threads)
        sizes = ModelSpec(n_feats=32, n_resblocks=8), ModelSpec(n_feats=16, n_resblocks=4)
        step = steps(*sizes, TrainSpec(batch=8, patch=8 if quick else 24, steps=1000))["whole"]
        waiting = by_turns(rounds, data=lambda: small.batch(3), step=step)
    return [
        Row(
            "4. patch pairs a second, LR 48, augmented, one core",
            count / min(times["packed"]),
            "/s",
            5000,
            more=True,
            peer=8 / min(times["png"]),
            note="other way: a PNG of 480×320 is decoded for each HR patch alone",
        ),
        Row("4. MATLAB's bicubic ×2 of 2040×1356, one core", min(shrink), "s", 0.15),
        Row(
            f"4. reading and shrinking images of 2040×1356: one core's time / that of {cores}",
            ratio(packing["one"], packing["all"]),
            "x",
            more=True,
            note=f"{8 / min(packing['all']):.3g} images a second; the number of cores would be perfect",
        ),
        Row(
            "4. getting a batch / a step of all six methods, demo's sizes",
            ratio(waiting["data"], waiting["step"]),
            "x",
            0.01,
        ),
    ]
