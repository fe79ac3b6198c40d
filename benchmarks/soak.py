"""Stores of 20, 1,000 and 2,000 finished runs: how long `ls`, `report` and `run` of the finished suite take."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.measure import Row
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.files import put
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import open_set
from srkd_bench.evaluation.scores import measurement
from srkd_bench.experiments.planning import planner
from srkd_bench.networks.loading import build, to_safetensors
from srkd_bench.store import layout
from srkd_bench.store.artifact_store import ArtifactStore

SUITE = """
name: soak
data: {{train: photos, test: [photos-test], scale: 2}}
teacher: {{model: {{n_feats: 1, n_resblocks: 4}}}}
student: {{n_feats: 1, n_resblocks: 4}}
train: {{batch: 4, patch: 8, steps: 10}}
methods: [none, hkd, ckd, rkd]
seeds: {seeds}
"""

# By a small process of its own, since a child begins with its parent's memory.
MEASURE = """
import resource, subprocess, sys, time
begun = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def fill(home: Path, suite: Path) -> None:
    """Put networks that were never trained, and made-up scores, where a suite's own would be."""
    store, display = ArtifactStore(home), Display(Console(stderr=True))
    for name in ("photos", "photos-test"):
        open_set(store, name, 2)
    plan = planner.plan(load_suite(str(suite)), store, display)
    tests = open_set(store, "photos-test", 2)
    weights = to_safetensors(build(plan.students[0].model, 0))
    scores = {name: dict.fromkeys(METRICS, 30.0) for name in tests.names}
    for key in (*plan.teachers, *plan.students, None):
        if key is not None:
            with store.writing(key) as folder:
                put(folder / layout.WEIGHTS, weights)
                put(folder / layout.CARD, "{}")
        with store.writing(measurement(key, tests.pixels, 2, self_ensemble=False)) as folder:
            put(folder / layout.SCORES, json.dumps({"dataset": "photos-test", "images": scores}))


def rows(quick: bool) -> list[Row]:
    found = []
    for count, limit in ((20, None),) if quick else ((20, None), (1000, 1.5), (2000, 3.0)):
        with tempfile.TemporaryDirectory() as name:
            home, suite = Path(name) / "store", Path(name) / "soak.yaml"
            suite.write_text(SUITE.format(seeds=list(range(count // 4))), encoding="utf-8")
            fill(home, suite)
            for words in (["ls", "runs"], ["report", str(suite)], ["run", str(suite)]):
                command = [sys.executable, "-m", "srkd_bench", *words, "--home", str(home)]
                measured = subprocess.run(
                    [sys.executable, "-c", MEASURE, *command], check=True, capture_output=True, text=True
                )
                took, peak = map(float, measured.stdout.split())
                what = f"7. srkd {words[0]}, {count:,} finished runs"
                found.append(Row(what, took, "s", limit, note=f"{peak:.0f} MB"))
    return found
