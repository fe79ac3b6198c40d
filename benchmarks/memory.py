"""Memory: training on 10 or on 400 images, and the 40.7M teacher on the largest Urban100-sized image.

Training's own memory (anonymous pages; pages of the memory map belong to the system's cache) must not grow with the
number of images; evaluating must peak under 3 GB. Each case runs in a process of its own. Linux only.

    python benchmarks/memory.py            both (the teacher's pass takes a minute or more on two cores)
    python benchmarks/memory.py --quick    training alone
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from srkd_bench.config import ModelSpec, TrainSpec
from srkd_bench.datasets import DATASETS, DatasetSpec
from srkd_bench.evaluate import network
from srkd_bench.models import build
from srkd_bench.packs import open_set, pack
from srkd_bench.patches import Patches
from srkd_bench.store import ArtifactStore


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
        found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1000


def evaluate() -> float:
    """Return the peak resident megabytes of super-resolving 512×512 LR pixels with the study's teacher."""
    teacher = build(ModelSpec(n_feats=256, n_resblocks=32, res_scale=0.1), 0)
    lr = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    network(teacher, device=torch.device("cpu"))("noise", lr)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def alone(case: str) -> float:
    return float(subprocess.check_output([sys.executable, __file__, "--case", case], text=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.case:
        print(evaluate() if words.case == "evaluate" else train(int(words.case)))
        return
    few, many = alone("10"), alone("400")
    print(
        json.dumps(
            {"training_10_images_mb": few, "training_400_images_mb": many, "ratio": round(many / few, 3)}
        )
    )
    if not words.quick:
        print(json.dumps({"evaluating_teacher_peak_mb": alone("evaluate"), "limit": 3000}))


if __name__ == "__main__":
    main()
