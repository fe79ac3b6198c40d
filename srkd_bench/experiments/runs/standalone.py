"""Measure bicubic interpolation, a weights file or SR images without a suite."""

from pathlib import Path

from srkd_bench.config.metrics import METRICS
from srkd_bench.data.image_set import open_set
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.scoring import folder, score
from srkd_bench.experiments.runs.score import measured
from srkd_bench.networks import stored
from srkd_bench.store import workspace


def measure(
    names: list[str],
    place: workspace.Workplace,
    *,
    scale: int,
    weights: str | None = None,
    sr_dir: Path | None = None,
    self_ensemble: bool = False,
) -> Results:
    """Return the scores of weights, SR images or (without both) bicubic on some data sets, by all metrics.

    Args:
        weights: a file, an address or `edsr-official`; its scale is read from it.
        sr_dir: a folder of SR images, or one that has a folder of them for each data set.
    Raises:
        MissingError: a data set, the weights or an SR image isn't here.
    """
    model, key = "bicubic", None
    if weights is not None:
        key = stored.adopt_weights(weights, scale, place)
        model, scale = Path(weights).stem, key.model.scale
    if sr_dir is not None:
        model = sr_dir.resolve().name or str(sr_dir)
    scores = []
    for name in names:
        images = open_set(place.store, name, scale, place.display)
        if sr_dir is None:
            found = measured(key, images, place, title=model, self_ensemble=self_ensemble)
        else:
            own = sr_dir / name
            found = score(folder(own if own.is_dir() else sr_dir), images)
        scores += [
            Score(model, name, image, metric, METRICS[metric].protocol, value)
            for image, values in found.items()
            for metric, value in values.items()
        ]
    notes = ["self-ensemble: SR is the mean over eight flips and rotations"] if self_ensemble else []
    return Results(f"{model} ×{scale}", [model], names, list(METRICS), scores, notes=notes)
