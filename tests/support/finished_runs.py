"""Finished runs, made without training."""

from pathlib import Path

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.files import put
from srkd_bench.networks.loading import build, to_safetensors
from srkd_bench.store.artifact_store import ArtifactStore


def pair(home: Path) -> tuple[Run, Run]:
    """Put a student and its teacher into a store, with the weights that they would begin with, and return both."""
    store = ArtifactStore(home)
    teacher = _run("none", 8, None)
    student = _run("hkd", 4, teacher)
    for run in (teacher, student):
        with store.writing(run) as folder:
            put(folder / "weights.safetensors", to_safetensors(build(run.model, 0)))
            put(folder / "card.json", "{}")
            put(folder / "events.jsonl", "")
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
