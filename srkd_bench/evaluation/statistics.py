"""Paired statistics: which differences from the baseline are significant."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from srkd_bench.evaluation.results import Pairs, Results

Array = NDArray[np.float64]
Verdict = Literal["better", "worse", "undecided", "underpowered"]
LEVEL = 0.05
LEAST_SEEDS = 6  # 2 of 2^6 sign flips are .031; of 2^5 they would be .063, whatever was measured
REPLICATES = 5_000  # of the seeds
RESAMPLES = 2_000  # of a data set's images
EXACT_SEEDS = 14  # up to here all 2^n flips are made
RANDOM_FLIPS = 10_000
RANDOM_STATE = 2026


@dataclass(frozen=True)
class Difference:
    """A model against the baseline, paired by seed and image.

    Args:
        dataset: None for all data sets together, each weighing the same.
        mean, low, high: of the difference, in the metric's unit, and its 95 % confidence interval, which is nan
            below two seeds.
        seeds, images: how many pairs it is made of.
        p: of the sign-flip test over seeds, two-sided; None below two seeds.
        p_holm: `p` corrected for the number of methods.
        left_out: in words, what only one of both was measured on, such as `seed 3` or `image baby`.
    """

    model: str
    baseline: str
    metric: str
    dataset: str | None
    mean: float
    low: float
    high: float
    seeds: int
    images: int
    p: float | None
    p_holm: float | None
    left_out: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the seeds show; `better` and `worse` need six of them, p < .05 and an interval without 0."""
        if self.seeds < LEAST_SEEDS or self.p is None:
            return "underpowered"
        if self.p >= LEVEL or self.low <= 0 <= self.high:
            return "undecided"
        return "better" if self.mean > 0 else "worse"


def differences(results: Results, metric: str, baseline: str | None = None) -> list[Difference]:
    """Return each method against the baseline: on every data set, then on all together (`dataset` is None).

    What was measured for one of both only is left out and named. Models without seeds, such as the teacher and
    bicubic, aren't compared; where nothing can be paired there is no difference to return.

    Args:
        baseline: a method; the results' own if not given.
    """
    baseline = baseline or results.baseline
    found: list[Difference] = []
    for model in results.columns:
        if model != baseline:
            pairs = {name: results.pairs(metric, model, baseline, name) for name in results.datasets}
            found += _differences(model, baseline, metric, pairs)
    return _with_holm(found)


def changes(results: Results, others: Results, metric: str) -> list[Difference]:
    """Return each method against itself in other results, as `differences` does against one baseline."""
    found: list[Difference] = []
    for model in results.columns:
        pairs = {name: results.pairs(metric, model, model, name, others) for name in results.datasets}
        found += _differences(model, model, metric, pairs)
    return _with_holm(found)


def _differences(model: str, baseline: str, metric: str, pairs: Mapping[str, Pairs]) -> list[Difference]:
    """Return the differences on every data set that has pairs, then on all of them together."""
    known = {dataset: own for dataset, own in pairs.items() if own.values.size}
    found = [_difference(model, baseline, metric, name, {name: own}) for name, own in known.items()]
    shared = set.intersection(*(set(own.units) for own in known.values())) if known else set()
    if shared:
        together = {name: own.of_units(shared) for name, own in known.items()}
        whole = found[-1] if len(known) == 1 else _difference(model, baseline, metric, None, together)
        lacking = [f"data set {name}" for name in pairs if name not in known]
        found.append(replace(whole, dataset=None, left_out=(*lacking, *whole.left_out)))
    return found


def _difference(
    model: str, baseline: str, metric: str, dataset: str | None, pairs: Mapping[str, Pairs]
) -> Difference:
    """Return the mean over data sets that share their seeds."""
    of_seeds: Array = np.mean([own.values.mean(axis=1) for own in pairs.values()], axis=0)
    resampled: Array = np.mean([resample(own.values, name) for name, own in pairs.items()], axis=0)
    low, high = interval(of_seeds, resampled)
    return Difference(
        model=model,
        baseline=baseline,
        metric=metric,
        dataset=dataset,
        mean=float(of_seeds.mean()),
        low=low,
        high=high,
        seeds=len(of_seeds),
        images=sum(own.values.shape[1] for own in pairs.values()),
        p=sign_flip(of_seeds) if len(of_seeds) > 1 else None,
        p_holm=None,
        left_out=tuple(dict.fromkeys(lost for own in pairs.values() for lost in own.left_out)),
    )


def resample(values: Array, name: str) -> Array:
    """Return each seed's mean over images drawn with replacement: (RESAMPLES, seeds) of (seeds, images).

    Args:
        name: of the data set; each has draws of its own, which do not depend on what else is compared.
    """
    return _image_weights(name, values.shape[1]) @ values.T


def interval(of_seeds: Array, resampled: Array) -> tuple[float, float]:
    """Return the 95 % interval of the mean over seeds, by a hierarchical bootstrap.

    A replicate draws seeds with replacement, and for each drawn seed one of its resampled means over images. The
    percentiles' distances from the mean are stretched by sqrt(n / (n - 1)) and by Student's quantile against the
    normal one, since the spread of n seeds is too small in both ways; n is the number of seeds.

    Args:
        of_seeds: (n,), the mean difference of each seed.
        resampled: (RESAMPLES, n), from `resample`.
    Source: stretching after Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, arXiv:1411.5279.
    """
    n = len(of_seeds)
    if n < 2:
        return math.nan, math.nan
    low, high = np.quantile(resampled.take(_draws(n)).mean(axis=1), [LEVEL / 2, 1 - LEVEL / 2])
    mean = of_seeds.mean()
    stretch = math.sqrt(n / (n - 1)) * student_quantile(n - 1) / NormalDist().inv_cdf(1 - LEVEL / 2)
    return float(mean + stretch * min(low - mean, 0.0)), float(mean + stretch * max(high - mean, 0.0))


@cache
def student_quantile(freedom: int) -> float:
    """Return the value that Student's t with so many degrees of freedom exceeds with a chance of `LEVEL` / 2.

    In closed form, since scipy's takes a quarter of a second to import.

    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4, inverted by bisection.
    """

    def inside(angle: float) -> float:
        """Return the chance of |t| < tan(angle) · √freedom."""
        odd = freedom % 2
        term = total = (math.cos(angle) if freedom > 1 else 0.0) if odd else 1.0
        for k in range(2 + odd, freedom - 1, 2):
            term *= (k - 1) / k * math.cos(angle) ** 2
            total += term
        return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total

    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if inside(middle) < 1 - LEVEL else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def sign_flip(of_seeds: Array) -> float:
    """Return how often a mean as far from 0 comes about when each seed's sign is a coin's, two-sided.

    Exact up to `EXACT_SEEDS` seeds; above, of random flips, the measured signs counted among them.
    """
    means = np.abs(_flips(len(of_seeds)) @ of_seeds)
    observed = abs(of_seeds.sum())
    rounding = 1e-9 * np.abs(of_seeds).sum()  # equal but for it is equal
    return float(np.mean(means >= observed - rounding))


def holm(values: Array) -> Array:
    """Return p-values corrected for their number; the source is Holm, 1979."""
    order = np.argsort(values)
    factors = np.arange(len(values), 0, -1)
    corrected = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected[np.argsort(order)]


def _with_holm(found: list[Difference]) -> list[Difference]:
    """Return the differences with `p_holm`; a family is all methods on one data set."""
    corrected: dict[int, float] = {}
    for dataset in {one.dataset for one in found}:
        family = [i for i, one in enumerate(found) if one.dataset == dataset and one.p is not None]
        values = holm(np.array([found[i].p for i in family], dtype=np.float64))
        corrected |= dict(zip(family, values.tolist(), strict=True))
    return [replace(one, p_holm=corrected.get(i)) for i, one in enumerate(found)]


@lru_cache(maxsize=16)
def _image_weights(name: str, images: int) -> Array:
    """Return (RESAMPLES, images): how much each image weighs in a draw with replacement."""
    random = np.random.default_rng([RANDOM_STATE, images, *name.encode(errors="replace")])
    return random.multinomial(images, np.full(images, 1 / images), size=RESAMPLES) / images


@lru_cache(maxsize=4)
def _draws(seeds: int) -> NDArray[np.int64]:
    """Return (REPLICATES, seeds) places in what `resample` gives: any seed, any of its rows."""
    random = np.random.default_rng([RANDOM_STATE, seeds])
    return random.integers(RESAMPLES * seeds, size=(REPLICATES, seeds))


@lru_cache(maxsize=4)
def _flips(seeds: int) -> Array:
    """Return (flips, seeds) of 1 and -1; the first flips nothing."""
    if seeds <= EXACT_SEEDS:
        return np.array(list(product((1.0, -1.0), repeat=seeds)))
    random = np.random.default_rng([RANDOM_STATE, seeds])
    flips = np.where(random.integers(2, size=(RANDOM_FLIPS, seeds), dtype=np.int8), 1.0, -1.0)
    flips[0] = 1.0
    return flips
