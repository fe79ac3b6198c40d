"""Measure the networks whose scores are not in the store."""

import json
from collections.abc import Iterable

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.core.files import write
from srkd_bench.core.provenance import provenance
from srkd_bench.data.image_set import ImageSet
from srkd_bench.evaluation.scores import Scores, kept_scores, measurement
from srkd_bench.evaluation.scoring import Upscaler, bicubic, concurrency, network, score
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.networks.stored import load
from srkd_bench.store.layout import CARD, SCORES
from srkd_bench.store.workspace import Workplace


def measured(
    key: Run | Weights | None,
    images: ImageSet,
    place: Workplace,
    *,
    title: str = "",
    self_ensemble: bool = False,
) -> Scores:
    """Return the scores of a finished network (None: bicubic) on a data set, from the store or measured now."""
    wanted = measurement(key, images.pixels, images.scale, self_ensemble=self_ensemble)
    if (found := kept_scores(wanted, place.store)) is not None:
        return found
    with place.store.locked([wanted.lock]):
        if (found := kept_scores(wanted, place.store)) is not None:  # another process was faster
            return found
        card = provenance(place.device) | {"dataset": images.name, "pixels": images.pixels}
        upscale: Upscaler = bicubic(images.scale)
        concurrent = concurrency(images)
        if key is not None:
            model = load(key, place.store)
            upscale = network(model, device=place.device, self_ensemble=self_ensemble, card=card)
            concurrent = concurrency(images, model, place.device)
        with place.display.bar(f"measuring {title} on {images.name}") as tick:
            scores = score(upscale, images, tick, concurrent=concurrent)
        with place.store.writing(wanted) as folder:
            write(folder / SCORES, json.dumps({"dataset": images.name, "images": scores}))
            write(folder / CARD, json.dumps(card, indent=1))
    return scores


def ensure_scores(
    networks: Iterable[Run | Weights | None], plan: Plan, tests: list[ImageSet], place: Workplace
) -> None:
    """Measure the finished networks of a plan (None: bicubic) on the suite's data sets."""
    finished = [key for key in networks if key is None or place.store.has(key)]
    ensemble = plan.suite.evaluate.self_ensemble
    for images in tests:
        for key in finished:
            measured(key, images, place, title=plan.title(key), self_ensemble=ensemble)
