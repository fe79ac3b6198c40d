"""Results: the scores, networks and training logs that a report shows."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from srkd_bench.evaluation.scores import Score

Runs = Mapping[int | None, Mapping[str, float]]
"""One model's values on one data set: by seed (None for models without seeds), then by image."""


@dataclass(frozen=True)
class Network:
    """What a network costs.

    Args:
        role: whose place it takes in the comparison.
        description: such as `EDSR 256x32`.
        parameters: true count of the network as it is used, without what is only trained beside it.
        multiply_adds: for one SR image of 1280x720 pixels.
    """

    role: Literal["teacher", "student"]
    description: str
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class About:
    """What a method says of itself.

    Args:
        summary: what it does, in one line.
        kind: what is compared with the teacher: `none`, `response`, `relation`, `feature` or `composition`.
        source: authors, place and year.
    """

    summary: str
    kind: str
    source: str


@dataclass(frozen=True)
class Training:
    """How a network of the report was trained.

    Args:
        model, seed: as in `Score`.
        events: in order of steps, as the loop logged them: `step`, `learning_rate`, `terms` by name, `share` (of
            the gradient: the distillation terms' against the ground truth's), in some `validation` (PSNR-Y in dB).
        card: versions, machine, command, `seconds`, when it was finished.
    """

    model: str
    seed: int | None
    events: list[dict[str, Any]]
    card: dict[str, Any]


@dataclass(frozen=True)
class Pairs:
    """Differences of two models on one data set.

    Args:
        values: (seeds, images).
        left_out: in words, the seeds and images that could not be paired.
    """

    seeds: list[int]
    images: list[str]
    values: NDArray[np.float64]
    left_out: list[str]

    def of_seeds(self, seeds: Iterable[int]) -> "Pairs":
        """Return the pairs of these seeds; the others are named in `left_out`."""
        kept = set(seeds)
        return Pairs(
            [seed for seed in self.seeds if seed in kept],
            self.images,
            self.values[[seed in kept for seed in self.seeds]],
            self.left_out + [f"seed {seed}" for seed in self.seeds if seed not in kept],
        )


@dataclass(frozen=True)
class Results:
    """All that a report says, and the order it says it in.

    Args:
        suite: the report's name.
        columns: models in order: `bicubic`, `teacher`, methods (`none`, `rkd+hkd`), weight files, image folders.
        datasets, metrics: rows and tables in order; metrics are keys of `config.metrics.METRICS`.
        scores: what was measured so far; columns or data sets without any are shown as missing.
        seeds: those asked for; a student that was measured on fewer is marked.
        budget: how long each student is trained, in words: `1,500 steps of 8 patches of 24x24 LR pixels`.
        notes: whatever is partial or unusual: `hkd seed 2: not trained yet`, `self-ensemble`.
        baseline: the method that all others are compared with.
        trainings: of the networks that are finished; only where they were asked for.
        scale: how many times wider and higher SR is than LR; None where it is not known.
        about: methods by name.
        steps: training steps by column, where they are known.
        step_costs: by column, the multiply-adds of a training step over those of the student alone, where known.
    """

    suite: str
    columns: list[str]
    datasets: list[str]
    metrics: list[str]
    scores: list[Score] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    budget: str = ""
    notes: list[str] = field(default_factory=list)
    baseline: str = "none"
    trainings: list[Training] = field(default_factory=list)
    scale: int | None = None
    about: dict[str, About] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    step_costs: dict[str, float] = field(default_factory=dict)

    @cached_property
    def _runs(self) -> Mapping[tuple[str, str, str], Runs]:
        """The values by (metric, model, data set), by seed, by image."""
        runs: dict[tuple[str, str, str], dict[int | None, dict[str, float]]] = {}
        for one in self.scores:
            seeds = runs.setdefault((one.metric, one.model, one.dataset), {})
            seeds.setdefault(one.seed, {})[one.image] = one.value
        return runs

    def runs(self, metric: str, model: str, dataset: str) -> Runs:
        """Return the values of a model on a data set; empty if there are none."""
        return self._runs.get((metric, model, dataset), {})

    def seed_means(self, metric: str, model: str, dataset: str) -> dict[int | None, float]:
        """Return the mean over images of each seed."""
        return {seed: fmean(images.values()) for seed, images in self.runs(metric, model, dataset).items()}

    def means(self, metric: str, model: str) -> dict[str, float]:
        """Return by data set the mean over seeds of the means over images, as tables print it."""
        found = {dataset: self.seed_means(metric, model, dataset) for dataset in self.datasets}
        return {dataset: fmean(of_seeds.values()) for dataset, of_seeds in found.items() if of_seeds}

    def image_means(self, metric: str, model: str, dataset: str) -> dict[str, float]:
        """Return the mean over seeds of each image."""
        values: dict[str, list[float]] = defaultdict(list)
        for images in self.runs(metric, model, dataset).values():
            for image, value in images.items():
                values[image].append(value)
        return {image: fmean(own) for image, own in values.items()}

    def pairs(
        self, metric: str, model: str, baseline: str, dataset: str, others: "Results | None" = None
    ) -> Pairs:
        """Return a model's differences from the baseline, paired by seed and image.

        Only the seeds that both were trained with count, and the images that are finite in all of those runs.
        Models without seeds have no pairs.

        Args:
            others: the results that the baseline belongs to; these if not given.
        """
        ours = self.runs(metric, model, dataset)
        theirs = (others or self).runs(metric, baseline, dataset)
        known = [{seed for seed in runs if seed is not None} for runs in (ours, theirs)]
        seeds = sorted(known[0] & known[1])
        shared = [runs[seed] for seed in seeds for runs in (ours, theirs)]
        every = sorted(set[str]().union(*shared))
        kept = [image for image in every if all(math.isfinite(one.get(image, math.nan)) for one in shared)]
        values = [[ours[seed][image] - theirs[seed][image] for image in kept] for seed in seeds]
        lost = [f"seed {seed}" for seed in sorted(known[0] ^ known[1])]
        lost += [f"image {image}" for image in every if image not in set(kept)]
        return Pairs(seeds, kept, np.array(values, dtype=np.float64).reshape(len(seeds), len(kept)), lost)

    def image_gains(self, metric: str, model: str, baseline: str, dataset: str) -> dict[str, float]:
        """Return how much each image gains: its mean difference over the paired seeds."""
        pairs = self.pairs(metric, model, baseline, dataset)
        return dict(zip(pairs.images, pairs.values.mean(axis=0).tolist(), strict=True)) if pairs.seeds else {}
