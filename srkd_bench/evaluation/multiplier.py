"""Training multiplier: what a method is worth in training time of the student alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import stdtrit

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import LEVEL, Array


@dataclass(frozen=True)
class Multiplier:
    """The factor k by which the student alone has to be trained longer to gain as much as by a method.

    Attributes:
        k: between `smallest` and `largest`, where it is cut: these stand for that or less, and that or more.
        low, high: its 95 % interval, cut likewise; nan for one seed.
        smallest, largest: the shortest and the longest training of the student alone that was measured, over the
            method's.
        cost: cost c of a training step with the method over one without, in multiply-adds; None if not known.
        seeds: number of paired seeds; the minimum if it differs between lengths of the student alone.
    """

    model: str
    k: float
    low: float
    high: float
    smallest: float
    largest: float
    cost: float | None
    seeds: int


Curve = Sequence[tuple[float, Results, str]]
"""The student alone, shortest training first: its length over the method's, and the column of results it is in."""
Part = tuple[float, float, Array]
"""Two neighbouring lengths, and the gains (2, seeds) of the method over the student alone at both."""


def multipliers(results: Results, metric: str) -> dict[str, Multiplier]:
    """Return the training multiplier of each method on all data sets, by method.

    The gain of the student alone is interpolated linearly in the logarithm of its steps, between the lengths that
    the suite trains it with (`none`, `none@2x`, `none@equal-cost`). The interval holds every k at which a paired
    t test over seeds does not reject that both gain as much: Fieller's interval, if there are two lengths.

    Returns:
        Nothing for results without `none` at two lengths, or whose baseline is another method.
    Source: Fieller, J. R. Stat. Soc. B 16, 1954; Davidson et al., arXiv:2312.07413 (compute-equivalent gain).
    """
    curve = _curve(results)
    if results.baseline != "none" or len(curve) < 2:
        return {}
    columns = {model for *_, model in curve}
    found = (multiplier(results, metric, model, curve) for model in results.columns if model not in columns)
    return {one.model: one for one in found if one is not None}


def _curve(results: Results) -> Curve:
    """Return the student alone, trained for as long as the methods and for longer, each length once."""
    base = results.steps.get("none")
    if not base:
        return []
    known = (model for model in results.columns if model in results.steps)
    alone = {results.steps[model] / base: model for model in known if model == "none" or is_control(model)}
    return [(length, results, model) for length, model in sorted(alone.items()) if length >= 1]


def multiplier(results: Results, metric: str, model: str, curve: Curve) -> Multiplier | None:
    """Return k of one method.

    Between two neighbouring lengths, it uses the seeds and images that the method shares with both.

    Returns:
        None if there are no such seeds between some two lengths.
    """
    means = [seed_gains(results, metric, model, others, alone) for _, others, alone in curve]
    lengths = [length for length, *_ in curve]
    parts: list[Part] = []
    for (x0, one), (x1, other) in pairwise(zip(lengths, means, strict=True)):
        seeds = sorted(one.keys() & other.keys())
        parts.append((x0, x1, np.array([[own[seed] for seed in seeds] for own in (one, other)])))
    counts = [gains.shape[1] for *_, gains in parts]
    if not all(counts):
        return None
    low, high = _interval(parts)
    cost = results.step_costs.get(model)
    return Multiplier(model, _crossing(parts), low, high, lengths[0], lengths[-1], cost, min(counts))


def seed_gains(results: Results, metric: str, model: str, others: Results, alone: str) -> dict[int, float]:
    """Return by seed the method's mean difference from one length of the student alone, on all data sets."""
    pairs = [results.pairs(metric, model, alone, dataset, others) for dataset in results.datasets]
    of_seeds = [
        dict(zip(own.units, own.values.mean(axis=1), strict=True)) for own in pairs if own.values.size
    ]
    if len(of_seeds) < len(pairs) or not pairs:
        return {}
    shared = set.intersection(*(set(own) for own in of_seeds))
    return {seed: float(np.mean([own[seed] for own in of_seeds])) for seed in shared}


def _crossing(parts: Sequence[Part]) -> float:
    """Return the first length at which the student alone gains as much; the last one if it never does."""
    for x0, x1, gains in parts:
        y0, y1 = gains.mean(axis=1)
        if y0 <= 0:
            return x0
        if y1 <= 0:
            return float(x0 * (x1 / x0) ** (y0 / (y0 - y1)))
    return parts[-1][1]


def _interval(parts: Sequence[Part]) -> tuple[float, float]:
    """Return the shortest and longest length that a paired t test over seeds does not reject; nan for one seed."""
    kept: list[float] = []
    for x0, x1, gains in parts:
        n = gains.shape[1]
        if n < 2:
            return math.nan, math.nan
        critical = float(stdtrit(n - 1, 1 - LEVEL / 2))
        for x, own in ((x0, gains[0]), (x1, gains[1])):
            half = critical * own.std(ddof=1) / math.sqrt(n)
            too_long = own.mean() < -half and x > parts[0][0]
            too_short = own.mean() > half and x < parts[-1][1]
            if not (too_long or too_short):
                kept.append(x)
        for root in _roots(gains[0], gains[1], critical):
            if 0 <= root <= 1:
                kept.append(min(x0 * (x1 / x0) ** root, x1))
    return (min(kept), max(kept)) if kept else (math.nan, math.nan)


def _roots(start: Array, end: Array, critical: float) -> list[float]:
    """Return where between two lengths, from 0 to 1, the t statistic equals its critical value."""
    step, n = end - start, len(start)
    covariance = np.cov(start, step) / n
    a = step.mean() ** 2 - critical**2 * covariance[1, 1]
    b = 2 * (start.mean() * step.mean() - critical**2 * covariance[0, 1])
    c = start.mean() ** 2 - critical**2 * covariance[0, 0]
    return [float(root.real) for root in np.roots([a, b, c]) if abs(root.imag) < 1e-12]
