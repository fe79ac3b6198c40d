"""bfloat16 against float32: a student's step, and what a pretrained network loses on Set5; what the grid changes.

Set5 and the network are found by SRKD_TEST_DATA; without it, only the times are measured.
"""

import os
import tempfile
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from benchmarks.lockstep import CPU, steps
from benchmarks.measure import Row, by_turns, lacks_bf16, ratio
from srkd_bench.cli.output import err
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.progress import Display
from srkd_bench.data import ingest
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.labels import on_grid
from srkd_bench.evaluation.metrics import measure
from srkd_bench.networks.loading import load_weights
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.precision import autocast


def psnr(weights: Path, images: ImageSet, precision: str, *, grid: bool = False) -> float:
    """Return the mean PSNR-Y in dB of a network that works at a precision, as a teacher does in training.

    Args:
        grid: put its SR on the grid of 16 bits that students see.
    """
    model = load_weights(weights).eval()
    train = TrainSpec.model_validate({"steps": 1, "precision": precision})
    values = []
    for i in range(len(images)):
        lr = torch.from_numpy(np.array(images.lr(i))).permute(2, 0, 1)[None] / 255
        with torch.no_grad(), autocast(train, CPU):
            sr = on_grid(model(lr).sr) if grid else model(lr).sr
        image = sr[0].mul(255).clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
        values.append(measure(image, images.hr(i), scale=images.scale, metrics=["psnr_y"])["psnr_y"])
    return fmean(values)


def rows(quick: bool) -> list[Row]:
    student = ModelSpec(n_feats=4, n_resblocks=4) if quick else ModelSpec(n_feats=64, n_resblocks=16)
    sizes = {"batch": 2 if quick else 8, "patch": 8 if quick else 48, "steps": 1000}
    works = {
        precision: steps(student, student, TrainSpec.model_validate(sizes | {"precision": precision}))["none"]
        for precision in ("fp32", "bf16")
    }
    times = by_turns(1 if quick else 3, **works)
    found = [
        Row(
            "3. a 64×16 student's step in fp32 / in bf16",
            ratio(times["fp32"], times["bf16"]),
            "x",
            None if lacks_bf16() else 1.6,
            more=True,
            note=lacks_bf16(),
        ),
    ]
    if "SRKD_TEST_DATA" in os.environ and not quick:
        data = Path(os.environ["SRKD_TEST_DATA"])
        with tempfile.TemporaryDirectory() as folder:
            store = ArtifactStore(Path(folder))
            ingest.adopt(store, "set5", data / "set5", Display(err))
            images, weights = open_set(store, "set5", 2), data / "weights" / "edsr_r8f64_x2.pt"
            exact, rough = psnr(weights, images, "fp32"), psnr(weights, images, "bf16")
            fixed = psnr(weights, images, "fp32", grid=True)
        note = f"{exact:.4f} and {rough:.4f} dB, EDSR 64×8 on Set5"
        found.append(
            Row("3. what bf16 changes of a network's PSNR-Y", abs(exact - rough), "dB", 0.005, note=note)
        )
        note = f"{exact:.5f} and {fixed:.5f} dB, EDSR 64×8 on Set5"
        found.append(
            Row("2. what the 16-bit grid changes of PSNR-Y", abs(exact - fixed), "dB", 0.001, note=note)
        )
    return found
