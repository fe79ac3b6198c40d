"""Paired t tests over seeds, corrected by Holm for the number of methods."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from srkd_bench.evaluation.results import Pairs, Results, Unit

Array = NDArray[np.float64]
Interval = tuple[float, float]
Verdict = Literal["better", "worse", "not significant"]
LEVEL = 0.05
EXACT_SEEDS = 14  # up to this number, the sign-flip test enumerates all 2^n sign patterns
RANDOM_FLIPS = 10_000
RANDOM_STATE = 2026
UNKNOWN: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class Difference:
    """The difference of a model from the baseline, paired by seed and image.

    A family of tests is all models compared with one baseline on all data sets together. `p_holm`, `p_every_set`
    and `verdict` are known for these differences only (`dataset` is None).

    Attributes:
        dataset: None for all data sets together, each with the same weight.
        mean: mean over seeds of the difference of a seed, which is the mean over data sets of the mean over images;
            in the metric's unit.
        low, high: 95 % confidence interval of the mean by Student's t; nan for one seed.
        deviation: sample standard deviation over seeds of the difference of a seed; nan for one seed.
        seeds, images: number of pairs.
        unit: `teacher` where several teachers are crossed with the student seeds: `seeds` then is their number.
        units: the seeds, or teachers, in order.
        unit_means: the difference of each unit; `mean` is their mean.
        covers_teachers: whether each seed has another teacher, so that the interval covers new teachers.
        p: of the two-sided paired t test over seeds; None for one seed, and where all seeds differ by the same
            amount, so that there is no variance to test against.
        p_holm: `p` adjusted for the number of models (Holm 1979); the verdict rests on it.
        simultaneous: intervals that cover the differences of all models of the family together with 95 %
            (Bonferroni). Holm's procedure is more powerful, so a verdict may hold where this interval includes 0.
        p_every_set: p of the hypothesis that the model is not better on every data set, or not worse on every one
            (intersection-union test, Berger 1982), adjusted by Holm.
        p_sign_flip: of a sign-flip test over seeds, which needs no normal distribution.
        new_images: 95 % interval of the difference on other images of the same kind; None if it cannot be
            estimated.
        left_out: in words, what was measured for one of both only: `seed 3`, `image baby`.
    """

    model: str
    baseline: str
    metric: str
    dataset: str | None
    mean: float
    low: float
    high: float
    deviation: float
    seeds: int
    images: int
    p: float | None
    p_holm: float | None = None
    simultaneous: Interval | None = None
    p_every_set: float | None = None
    p_sign_flip: float | None = None
    new_images: Interval | None = None
    left_out: tuple[str, ...] = ()
    unit: Unit = "seed"
    units: tuple[int, ...] = ()
    unit_means: tuple[float, ...] = ()
    covers_teachers: bool = False

    @property
    def verdict(self) -> Verdict | None:
        """`better` or `worse` if Holm's adjusted p is below 0.05; None where there is no test."""
        if self.p_holm is None:
            return None
        if self.p_holm >= LEVEL:
            return "not significant"
        return "better" if self.mean > 0 else "worse"

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % interval; a smaller measured difference is not significant."""
        return (self.high - self.low) / 2


def differences(results: Results, metric: str, baseline: str | None = None) -> list[Difference]:
    """Return the difference of each method from the baseline: on each data set, then on all together.

    Seeds and images that were measured for one of both only are left out and named. Models without seeds (bicubic,
    the teacher) are not compared, and models that share no seed and image with the baseline have no difference.

    Args:
        baseline: a method; that of the results if not given.
    """
    return adjusted(unadjusted(results, metric, baseline))


def unadjusted(results: Results, metric: str, baseline: str | None = None) -> list[Difference]:
    """Return what `differences` does, before `adjusted` knows the family of tests."""
    baseline = baseline or results.baseline
    found: list[Difference] = []
    for model in results.columns:
        if model != baseline:
            pairs = {name: results.pairs(metric, model, baseline, name) for name in results.datasets}
            found += _differences(model, baseline, metric, pairs)
    return found


def changes(results: Results, others: Results, metric: str) -> list[Difference]:
    """Return the difference of each method from the same method in other results, as `differences` does."""
    found: list[Difference] = []
    for model in results.columns:
        pairs = {name: results.pairs(metric, model, model, name, others) for name in results.datasets}
        found += _differences(model, model, metric, pairs)
    return adjusted(found)


def pairwise(
    results: Results, metric: str, models: Iterable[str], dataset: str | None
) -> dict[tuple[str, str], Difference]:
    """Return the difference of every two models on a data set, as one family of tests.

    Args:
        dataset: None for all data sets together.
    Returns:
        By model and baseline, in both orders. Pairs that share no seed and image are missing.
    """
    found: list[Difference] = []
    datasets = results.datasets if dataset is None else [dataset]
    for one, other in combinations(models, 2):
        pairs = {name: results.pairs(metric, one, other, name) for name in datasets}
        found += [whole for whole in _differences(one, other, metric, pairs) if whole.dataset is None]
    known = [replace(one, dataset=dataset) for one in adjusted(found)]
    return {(one.model, one.baseline): one for forward in known for one in (forward, reverse(forward))}


def reverse(one: Difference) -> Difference:
    """Return the difference of the baseline from the model."""
    return replace(
        one,
        model=one.baseline,
        baseline=one.model,
        mean=-one.mean,
        unit_means=tuple(-value for value in one.unit_means),
        low=-one.high,
        high=-one.low,
        simultaneous=one.simultaneous and (-one.simultaneous[1], -one.simultaneous[0]),
        new_images=one.new_images and (-one.new_images[1], -one.new_images[0]),
    )


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's step-down procedure (Holm 1979)."""
    p = np.asarray(values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return list(adjusted[np.argsort(order)].tolist())


def t_test(of_seeds: Array) -> float | None:
    """Return p of the two-sided t test that a mean is 0; None below two values, and without variance."""
    n, deviation = len(of_seeds), _deviation(of_seeds)
    if n < 2 or not deviation > 0:
        return None
    return float(2 * stdtr(n - 1, -abs(of_seeds.mean()) * math.sqrt(n) / deviation))


def t_interval(of_seeds: Array) -> Interval:
    """Return the 95 % interval of a mean by Student's t; nan for one value."""
    n = len(of_seeds)
    if n < 2:
        return UNKNOWN
    half = float(stdtrit(n - 1, 1 - LEVEL / 2)) * _deviation(of_seeds) / math.sqrt(n)
    mean = float(of_seeds.mean())
    return mean - half, mean + half


def new_images_interval(values: Sequence[Array]) -> Interval | None:
    """Return the 95 % interval of the mean difference on other images of the same kind, and with other seeds.

    Seeds and images are crossed random effects: each data set adds to the variance over seeds the variance over
    images beyond the residual. Degrees of freedom by Satterthwaite, of the seeds and of each set's images.

    Args:
        values: differences (seeds, images) of each data set; all data sets weigh the same.
    Returns:
        None below two seeds or two images of a data set.
    Source: Westfall, Kenny and Judd, J. Exp. Psychol. Gen. 143, 2014.
    """
    if min((size for own in values for size in own.shape), default=0) < 2:
        return None
    of_seeds: Array = np.mean([own.mean(axis=1) for own in values], axis=0)
    n = len(of_seeds)
    variance = float(of_seeds.var(ddof=1)) / n
    freedom = variance**2 / (n - 1)  # the denominator of Satterthwaite's formula
    for own in values:
        k = own.shape[1]
        centred = own - own.mean(axis=1, keepdims=True)
        image = float(n * centred.mean(axis=0).var(ddof=1))
        residual = float(((centred - centred.mean(axis=0)) ** 2).sum() / ((n - 1) * (k - 1)))
        weight = 1 / (len(values) ** 2 * n * k)
        if image > residual:
            variance += weight * (image - residual)
            freedom += weight**2 * (image - residual) ** 2 / (k - 1)
    if not variance > 0:
        return None
    half = float(stdtrit(variance**2 / freedom, 1 - LEVEL / 2)) * math.sqrt(variance)
    mean = float(of_seeds.mean())
    return mean - half, mean + half


def sign_flip(of_seeds: Array) -> float:
    """Return p of the two-sided sign-flip test that the mean over seeds is 0.

    Exact up to `EXACT_SEEDS` seeds, else from random sign patterns.
    """
    means = np.abs(_flips(len(of_seeds)) @ of_seeds)
    observed = abs(of_seeds.sum())
    rounding = 1e-9 * np.abs(of_seeds).sum()
    return float(np.mean(means >= observed - rounding))


def _deviation(of_seeds: Array) -> float:
    """Return the sample standard deviation; 0 where values differ by rounding only, nan for one value."""
    if len(of_seeds) < 2:
        return math.nan
    deviation = float(of_seeds.std(ddof=1))
    return deviation if deviation > 1e-9 * float(np.abs(of_seeds).max()) else 0.0


def _differences(model: str, baseline: str, metric: str, pairs: Mapping[str, Pairs]) -> list[Difference]:
    """Return the differences on every data set that has pairs, then on all of them together."""
    known = {dataset: own for dataset, own in pairs.items() if own.values.size}
    found = [_difference(model, baseline, metric, name, {name: own}) for name, own in known.items()]
    shared = set.intersection(*(set(own.units) for own in known.values())) if known else set()
    if shared:
        together = {name: own.of_units(shared) for name, own in known.items()}
        whole = _difference(model, baseline, metric, None, together)
        lacking = [f"data set {name}" for name in pairs if name not in known]
        every = None if lacking else _every_set(found)
        found.append(replace(whole, p_every_set=every, left_out=(*lacking, *whole.left_out)))
    return found


def _difference(
    model: str, baseline: str, metric: str, dataset: str | None, pairs: Mapping[str, Pairs]
) -> Difference:
    """Return the mean over data sets that share their seeds."""
    first, values = next(iter(pairs.values())), [own.values for own in pairs.values()]
    of_seeds: Array = np.mean([own.mean(axis=1) for own in values], axis=0)
    low, high = t_interval(of_seeds)
    return Difference(
        model=model,
        baseline=baseline,
        metric=metric,
        dataset=dataset,
        mean=float(of_seeds.mean()),
        low=low,
        high=high,
        deviation=_deviation(of_seeds),
        seeds=len(of_seeds),
        images=sum(own.shape[1] for own in values),
        p=t_test(of_seeds),
        p_sign_flip=sign_flip(of_seeds) if len(of_seeds) > 1 else None,
        new_images=new_images_interval(values),
        left_out=tuple(dict.fromkeys(lost for own in pairs.values() for lost in own.left_out)),
        unit=first.unit,
        units=tuple(first.units),
        unit_means=tuple(of_seeds.tolist()),
        covers_teachers=all(own.covers_teachers for own in pairs.values()),
    )


def _every_set(found: Sequence[Difference]) -> float | None:
    """Return the largest p over data sets; 1 if the differences have not all the same sign."""
    p = [one.p for one in found if one.p is not None]
    if len(p) < len(found):
        return None
    return max(p) if len({one.mean > 0 for one in found}) == 1 else 1.0


def adjusted(found: Sequence[Difference]) -> list[Difference]:
    """Return the differences with what depends on the family: all of them that are on all data sets together."""
    whole = [i for i, one in enumerate(found) if one.dataset is None]
    tested = [i for i in whole if found[i].p is not None]
    family = list(found)
    for i, p in zip(tested, holm([found[i].p or 0.0 for i in tested]), strict=True):
        one = found[i]
        factor = stdtrit(one.seeds - 1, 1 - LEVEL / 2 / len(tested)) / stdtrit(one.seeds - 1, 1 - LEVEL / 2)
        half = float(factor) * one.half_width
        family[i] = replace(one, p_holm=p, simultaneous=(one.mean - half, one.mean + half))
    every = [i for i in whole if found[i].p_every_set is not None]
    for i, p in zip(every, holm([found[i].p_every_set or 0.0 for i in every]), strict=True):
        family[i] = replace(family[i], p_every_set=p)
    return family


@lru_cache(maxsize=4)
def _flips(seeds: int) -> Array:
    """Return (patterns, seeds) of 1 and -1; the first pattern flips nothing."""
    if seeds <= EXACT_SEEDS:
        return np.array(list(product((1.0, -1.0), repeat=seeds)))
    random = np.random.default_rng([RANDOM_STATE, seeds])
    flips = np.where(random.integers(2, size=(RANDOM_FLIPS, seeds), dtype=np.int8), 1.0, -1.0)
    flips[0] = 1.0
    return flips
