"""Create finished runs without training."""

import json
from pathlib import Path

from srkd_bench.config.artifacts import Run
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.files import put
from srkd_bench.data.image_set import pixels_of
from srkd_bench.evaluation.scores import measurement
from srkd_bench.networks.loading import build, to_safetensors
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, EVENTS, SCORES, WEIGHTS

NOISE = (0.0, 0.01, -0.01, 0.02, -0.02, 0.0)  # of a gain, by seed


def pair(home: Path) -> tuple[Run, Run]:
    """Put a student and its teacher with initial weights into a store, and return both."""
    store = ArtifactStore(home)
    teacher = _run("none", 8, None)
    student = _run("hkd", 4, teacher)
    for run in (teacher, student):
        finish(run, store)
    return student, teacher


def _run(method: str, width: int, teacher: Run | None) -> Run:
    return Run(
        model=ModelSpec(n_feats=width, n_resblocks=2),
        train=TrainSpec(steps=1),
        data="photos",
        pixels="0" * 64,
        method=method,
        params={},
        seed=0,
        teacher=teacher,
    )


def keep_scores(store: ArtifactStore, run: Run, gain: float, pixels: str = "") -> None:
    """Put made-up scores of a run on photos-test into a store, and the run if it is not there.

    Args:
        gain: mean difference over six seeds, and that of seed 0, from a run without any; in dB.
        pixels: the digest of the images that were measured; photos-test's if empty.
    """
    if not store.has(run):
        with store.writing(run) as folder:
            (folder / CARD).write_text("{}", encoding="utf-8")
            (folder / EVENTS).write_text(
                '{"step": 9, "terms": {"rec": 0.5}, "validation": 31.5}\n', encoding="utf-8"
            )
    pixels = pixels or pixels_of(store, "photos-test") or "missing"
    wanted = measurement(run, pixels, 2, self_ensemble=False)
    values = {
        image: dict.fromkeys(METRICS, 30 + gain * share * (1 + NOISE[run.seed % 6]) + 0.01 * run.seed)
        for image, share in (("camera", 0.5), ("chelsea", 1.5), ("coffee", 1.0))
    }
    with store.writing(wanted) as folder:
        (folder / SCORES).write_text(
            json.dumps({"dataset": "photos-test", "images": values}), encoding="utf-8"
        )


def finish(run: Run, store: ArtifactStore) -> None:
    """Put a run with initial weights into a store."""
    with store.writing(run) as folder:
        put(folder / WEIGHTS, to_safetensors(build(run.model, run.method, run.seed)))
        put(folder / EVENTS, "")
        put(folder / CARD, "{}")
