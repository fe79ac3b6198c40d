"""Read scores from the store."""

import json

from srkd_bench.config.artifacts import Measurement, Run, Weights
from srkd_bench.evaluation.scores import Scores
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import SCORES


def measurement(key: Run | Weights | None, pixels: str, scale: int, *, self_ensemble: bool) -> Measurement:
    """Return the key of a network's scores in the store; bicubic has no self-ensemble."""
    name = "bicubic" if key is None else key.digest
    return Measurement(
        network=name, pixels=pixels, scale=scale, self_ensemble=self_ensemble and key is not None
    )


def kept_scores(key: Measurement, store: ArtifactStore) -> Scores | None:
    """Return scores that are in the store, or None."""
    if not store.has(key):
        return None
    scores: Scores = json.loads(store.read(key.place, SCORES))["images"]
    return scores
