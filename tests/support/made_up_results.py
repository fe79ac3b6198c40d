"""Results of a finished study with made-up numbers."""

import math
import random
from typing import Any

from srkd_bench.evaluation.results import Network, Results, Training
from srkd_bench.evaluation.scores import Score

METHODS = ["none", "hkd", "ckd", "rkd", "rvkd", "rkd+hkd"]
DATASETS = {"set5": (33.7, 5), "set14": (30.3, 14), "bsd100": (29.6, 100), "urban100": (26.9, 100)}
GAINS = {"none": 0.0, "hkd": 0.02, "ckd": 0.06, "rkd": -0.01, "rvkd": -0.07, "rkd+hkd": 0.035}


def study(
    methods: list[str] = METHODS,
    seeds: int = 6,
    datasets: dict[str, tuple[float, int]] = DATASETS,
    without: tuple[str, ...] = (),
    validation: bool = True,
) -> Results:
    """Return a study's results.

    Args:
        datasets: bicubic's PSNR and the number of images, by name.
        without: methods that are asked for and not measured yet.
        validation: whether events have it.
    """
    models = ["bicubic", "teacher", *methods]
    chance = random.Random(0)
    noise = {(model, seed): chance.gauss(0, 0.02) for model in methods for seed in range(seeds)}
    scores = [
        Score(
            model=model,
            dataset=dataset,
            image=f"image{i:03}",
            metric=metric,
            protocol="y@1",
            value=_value(metric, base, model, seed, i, noise),
            run=f"{model}{seed}" if model in methods else "",
            method=model if model in methods else None,
            seed=seed,
        )
        for model in models
        if model not in without
        for seed in (range(seeds) if model in methods else [None])
        for dataset, (base, count) in datasets.items()
        for i in range(count)
        for metric in ("psnr_y", "ssim_y")
    ]
    return Results(
        suite="made-up",
        columns=models,
        datasets=list(datasets),
        metrics=["psnr_y", "ssim_y"],
        scores=scores,
        networks=[
            Network("teacher", "EDSR 256×32", 40_729_603, 9_384_748_646_400),
            Network("student", "EDSR 64×16", 1_369_859, 316_248_883_200),
        ],
        seeds=list(range(seeds)),
        trainings=[
            Training(model, seed, _events(model, seed, validation), {})
            for seed in range(seeds)
            for model in methods
            if model not in without
        ],
    )


def _value(
    metric: str, base: float, model: str, seed: int | None, i: int, noise: dict[tuple[str, int], float]
) -> float:
    image = random.Random(f"{base} {i}").gauss(0, 3)
    gain = {"bicubic": 0.0, "teacher": 4.5}.get(model, 4.0 + GAINS.get(model, 0.01))
    if seed is not None:
        gain += noise[model, seed] + random.Random(f"{model} {seed} {base} {i}").gauss(0, 0.05)
    return base + image + gain if metric == "psnr_y" else 1 - math.exp(-(base + image + gain) / 12)


def _events(model: str, seed: int, validation: bool) -> list[dict[str, Any]]:
    chance = random.Random(f"{model} {seed}")
    events: list[dict[str, Any]] = []
    for step in range(0, 100_000, 1000):
        rest = math.exp(-step / 15_000)
        terms = {"rec": (0.001 + 0.02 * rest) * chance.uniform(0.7, 1.3)}
        for i, part in enumerate([] if model == "none" else model.split("+")):
            terms[part] = (0.0005 * 4**i + 0.05 * rest) * chance.uniform(0.7, 1.3)
        share = 0.0 if model == "none" else (0.3 + 0.1 * len(model)) * chance.uniform(0.8, 1.2)
        event = {"step": step, "learning_rate": 1e-4, "terms": terms, "share": share}
        if validation and step % 5000 == 0:
            gain = GAINS.get(model, 0) if step else 0
            event["validation"] = 34 + gain - 6 * rest + chance.gauss(0, 0.03)
        events.append(event)
    return events
