"""What part of a step a training waits for its patches, at the sizes of each suite that srkd carries."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.lockstep import steps
from benchmarks.measure import Row, by_turns, ratio
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.suite_file import load_suite
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import open_set
from srkd_bench.data.packs import pack
from srkd_bench.data.patches import Patches
from srkd_bench.store.artifact_store import ArtifactStore

SIDES = {"paper": (1356, 2040)}  # of HR images; else BSDS500's
LONG = {"paper": 1}  # rounds of steps that take long; else 5


def rows(quick: bool) -> list[Row]:
    """Return a row a suite: one call that gets a batch against a step of six methods and their teacher."""
    found = []
    for name in ["smoke"] if quick else ["smoke", "demo", "bsds", "paper"]:
        suite = load_suite(name)
        height, width = SIDES.get(name, (320, 480))
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        DATASETS["noise"] = DatasetSpec("train", 8)
        with tempfile.TemporaryDirectory() as folder:
            store = ArtifactStore(Path(folder))
            pack(store, "noise", ((str(i), np.roll(noise, i, 0)) for i in range(8)))
            patches = Patches(open_set(store, "noise", suite.data.scale), suite.train, 0)
            for step in range(8):
                patches.batch(step)  # each image is checked when it is first looked at
            teacher, student = suite.teacher.model, suite.student
            assert isinstance(teacher, ModelSpec)
            assert isinstance(student, ModelSpec)
            whole = steps(teacher, student, suite.train)["whole"]
            times = by_turns(1 if quick else LONG.get(name, 5), data=partial(patches.batch, 9), step=whole)
        found.append(
            Row(
                f"4. waiting for a batch / a step, suite {name}",
                ratio(times["data"], times["step"]),
                "x",
                0.01,
            )
        )
    return found
