"""Measure bicubic interpolation, a weights file or SR images without a suite."""

import math
from pathlib import Path

from srkd_bench.config.metrics import METRICS
from srkd_bench.data.folders import resolve
from srkd_bench.data.image_set import ImageSet, image_notes, missing, open_set
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score, Scores
from srkd_bench.evaluation.scoring import score
from srkd_bench.evaluation.sr_images import folder_of, pair
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
        names: of data sets, or paths of folders of HR images.
        sr_dir: a folder of SR images, or one that has a folder of them for each data set.
    Raises:
        MissingError: a data set, the weights or an SR image isn't here.
    """
    model, key = "bicubic", None
    if weights is not None:
        key = stored.adopt_weights(weights, scale, place)
        model, scale = Path(weights).stem, key.model.scale
    if sr_dir is not None:
        model = sr_dir.name
    scores, notes = list[Score](), list[str]()
    handles = list(dict.fromkeys(resolve(place.store, name, place.display) for name in names))
    if error := missing(place.store, handles):
        raise error
    sets = {one.name: one for one in (open_set(place.store, name, scale, place.display) for name in handles)}
    for name, images in sets.items():
        if sr_dir is None:
            found = measured(key, images, place, title=model, self_ensemble=self_ensemble)
        else:
            found, said = _of_folder(sr_dir, images, place)
            notes += said
        scores += [
            Score(model, name, image, metric, METRICS[metric].protocol, value)
            for image, values in found.items()
            for metric, value in values.items()
        ]
    notes += ["self-ensemble: SR is the mean over eight flips and rotations"] if self_ensemble else []
    notes += image_notes(place.store, handles)
    return Results(f"{model} ×{scale}", [model], [*sets], list(METRICS), scores, notes=notes)


def _of_folder(sr_dir: Path, images: ImageSet, place: workspace.Workplace) -> tuple[Scores, list[str]]:
    """Return the scores of a folder's SR images, and what readers of them should know."""
    pairing = pair(folder_of(sr_dir, images.name), images)
    for line in pairing.lines:
        place.display.say(f"{images.name}, {line}")
    found = score(pairing.upscale, images)
    notes = [f"{images.name}: {note}" for note in pairing.notes]
    equal = [name for name, values in found.items() if math.isinf(values["psnr_rgb"])]
    if equal:
        listed = ", ".join(equal[:4]) + ", …" * (len(equal) > 4)
        notes.append(
            f"{images.name}: SR equals HR for {len(equal)} of {len(found)} images ({listed}): is it HR?"
        )
    return found, notes
