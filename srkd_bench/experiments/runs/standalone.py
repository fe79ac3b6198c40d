"""Measure bicubic interpolation, a weights file, a torch module or SR images without a suite."""

import math
from pathlib import Path

from torch import nn

from srkd_bench.config.artifacts import Weights
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.suite import TeacherSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.folders import resolve
from srkd_bench.data.image_set import ImageSet, image_notes, missing, open_set
from srkd_bench.evaluation.inference.module import kept_mode, wrapped
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score, Scores, below_bicubic
from srkd_bench.evaluation.scoring import concurrency, network, score
from srkd_bench.evaluation.sr_images import folder_of, pair
from srkd_bench.experiments.runs.score import measured
from srkd_bench.networks import stored
from srkd_bench.store import workspace


def measure(
    names: list[str],
    place: workspace.Workplace,
    *,
    scale: int | None = None,
    weights: TeacherSpec | None = None,
    sr_dir: Path | None = None,
    module: nn.Module | None = None,
    name: str | None = None,
    self_ensemble: bool = False,
) -> Results:
    """Return the scores of weights, SR images, a module or (without these) bicubic on data sets, by all metrics.

    Args:
        names: of data sets, or paths of folders of HR images.
        scale: of bicubic and SR images, 2 by default; weights have their own.
        weights: a file, an address or `edsr-official`.
        sr_dir: a folder of SR images, or one with a subfolder of them for each data set.
        module: measured unchanged on the device of the workplace; its scores are not stored.
        name: display name of a module; its class's name by default.
    Raises:
        MissingError: a data set, the weights or an SR image is missing.
        SrkdError: the weights are for another scale.
    """
    model, key = "bicubic", None
    if weights is not None:
        model, key = Path(str(weights.weights)).stem, _stored(weights, scale, place)
        scale = key.model.scale
    elif sr_dir is not None:
        model = sr_dir.resolve().name or str(sr_dir)  # `.` has no name
    elif module is not None:
        model, scale = name or type(module).__name__, wrapped(module, scale or 2).spec.scale
    scale = scale or 2
    scores, notes = list[Score](), list[str]()
    handles = list(dict.fromkeys(resolve(place.store, one, place.display) for one in names))
    if error := missing(place.store, handles):
        raise error
    sets = {one.name: one for one in (open_set(place.store, each, scale, place.display) for each in handles)}
    for dataset, images in sets.items():
        if module is not None:
            found = _of_module(module, images, place, title=model, self_ensemble=self_ensemble)
        elif sr_dir is None:
            found = measured(key, images, place, title=model, self_ensemble=self_ensemble)
            notes += below_bicubic(model, dataset, found, measured(None, images, place)) if key else []
        else:
            found, said = _of_folder(sr_dir, images, place)
            notes += said
        scores += [
            Score(model, dataset, image, metric, METRICS[metric].protocol, value)
            for image, values in found.items()
            for metric, value in values.items()
        ]
    notes += ["self-ensemble: SR is the mean over eight flips and rotations"] if self_ensemble else []
    notes += image_notes(place.store, handles)
    return Results(f"{model} ×{scale}", [model], [*sets], list(METRICS), scores, notes=notes)


def _stored(weights: TeacherSpec, scale: int | None, place: workspace.Workplace) -> Weights:
    """Import weights into the store and return their key; reject them if another scale is requested."""
    key = stored.adopt_weights(weights, scale or 2, place)
    if scale not in (None, key.model.scale):
        raise SrkdError(
            f"'{weights.weights}' enlarges by {key.model.scale}, not by {scale}", "leave out --scale"
        )
    return key


def _of_module(
    module: nn.Module, images: ImageSet, place: workspace.Workplace, *, title: str, self_ensemble: bool
) -> Scores:
    with kept_mode(module), place.display.bar(f"measuring {title} on {images.name}") as tick:
        model = wrapped(module, images.scale)
        upscale = network(model, device=place.device, self_ensemble=self_ensemble)
        return score(upscale, images, tick, concurrent=concurrency(images, model, place.device))


def _of_folder(sr_dir: Path, images: ImageSet, place: workspace.Workplace) -> tuple[Scores, list[str]]:
    """Return the scores of a folder's SR images, and notes for readers of the scores."""
    pairing = pair(folder_of(sr_dir, images.name), images)
    for line in pairing.lines:
        place.display.say(f"{images.name}, {line}")
    found = score(pairing.upscale, images, concurrent=concurrency(images))
    notes = [f"{images.name}: {note}" for note in pairing.notes]
    equal = [name for name, values in found.items() if math.isinf(values["psnr_rgb"])]
    if equal:
        listed = ", ".join(equal[:4]) + ", …" * (len(equal) > 4)
        notes.append(
            f"{images.name}: SR equals HR for {len(equal)} of {len(found)} images ({listed}): is it HR?"
        )
    return found, notes
