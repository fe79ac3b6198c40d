"""Memory: training on 10 or on 1,000 images, and the 40.7M teacher on a large image.

Training's own memory (anonymous pages; pages of the memory map belong to the system's cache) must not grow with the
number of images. Each case runs in a process of its own. Linux only.
"""

import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Row
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import open_set
from srkd_bench.data.packs import pack
from srkd_bench.data.patches import Patches
from srkd_bench.evaluation.scoring import network
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore


def train(count: int) -> float:
    """Return the megabytes of anonymous memory after packing `count` images of 480×320 and 200 batches of them."""
    random = np.random.default_rng(0)
    DATASETS["noise"] = DatasetSpec("train", count)
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        shape = (320, 480, 3)
        pack(store, "noise", ((str(i), random.integers(0, 256, shape, np.uint8)) for i in range(count)))
        patches = Patches(open_set(store, "noise", 2), TrainSpec(steps=200, patch=24), 0)
        model = build(ModelSpec(n_feats=16, n_resblocks=4), 0)
        for step in range(200):
            lr, hr = patches.batch(step)
            torch.nn.functional.mse_loss(model(lr).sr, hr).backward()  # type: ignore[no-untyped-call]
        found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1000


def evaluate() -> float:
    """Return the peak resident megabytes of super-resolving 512×512 LR pixels with the study's teacher."""
    teacher = build(ModelSpec(n_feats=256, n_resblocks=32, res_scale=0.1), 0)
    lr = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    network(teacher, device=torch.device("cpu"))("noise", lr)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def alone(case: str) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", case]
    return float(subprocess.check_output(command, encoding="utf-8"))


def rows(quick: bool) -> list[Row]:
    few, many = alone("10"), alone("20" if quick else "1000")
    found = [
        Row(
            "8. memory of training on 1,000 images / on 10",
            many / few,
            "x",
            1.1,
            note=f"{many:.0f} MB and {few:.0f} MB",
        ),
    ]
    if not quick:
        peak = alone("evaluate")
        found.append(Row("8. memory of the study's teacher on a 1024×1024 image", peak, "MB", 3000))
    return found


if __name__ == "__main__":
    print(evaluate() if sys.argv[1] == "evaluate" else train(int(sys.argv[1])))
