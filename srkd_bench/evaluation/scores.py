"""Scores: the measured values of images, and how the store holds them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from statistics import fmean

from srkd_bench.config.artifacts import Measurement, Run, Weights
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import SCORES

Scores = dict[str, dict[str, float]]  # of one data set: by image, by metric


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one image.

    Args:
        model: the column it belongs to: `bicubic`, `teacher`, or a method's name as in the suite (`rkd+hkd`).
        dataset, image: what was measured; `image` is the file's stem.
        metric: a key of `config.metrics.METRICS`: `psnr_y`, `ssim_y`, `psnr_rgb`.
        protocol: name and version of the measurement protocol: `y@1`, `rgb@1`.
        value: dB for PSNR (may be `inf`), 0..1 for SSIM.
        run: digest of the run, empty for bicubic, weight files and image folders.
        method, seed: of a student; None for other models.
        suite: name and digest of the suite's settings, as `Suite.identity`; empty if not known.
        teacher_seed: seed of the teacher itself or of a student's teacher; None without the key `teacher.seeds`.
    """

    model: str
    dataset: str
    image: str
    metric: str
    protocol: str
    value: float
    run: str = ""
    method: str | None = None
    seed: int | None = None
    suite: str = ""
    teacher_seed: int | None = None


def columns(scores: Iterable[Score]) -> list[str]:
    """Return the names of the fields that a table of these scores has: `teacher_seed` only where one is known."""
    several = any(score.teacher_seed is not None for score in scores)
    return [field.name for field in fields(Score) if several or field.name != "teacher_seed"]


def below_bicubic(model: str, dataset: str, scores: Scores, bicubic: Scores) -> list[str]:
    """Return a note with the likely causes if a network scores below bicubic interpolation on a data set."""
    means = [fmean(image["psnr_y"] for image in one.values()) for one in (scores, bicubic)]
    if means[0] >= means[1]:
        return []
    return [
        f"{model} scores below bicubic interpolation on {dataset} ({means[0]:.3f} against {means[1]:.3f} dB)."
        " Likely causes: a residual scale or a range of values that its file does not state (--res-scale, --range;"
        " in a suite, teacher.res_scale, teacher.range), or incomplete training"
    ]


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
