"""Statistical power: which differences a number of seeds can detect."""

import math
from collections.abc import Sequence
from statistics import fmean

from scipy.special import nctdtr, stdtrit

from srkd_bench.evaluation.statistics import LEVEL, Difference

POWER = 0.8
USUAL_DEVIATION = 0.028
"""dB; pooled over seeds of the methods of the published study without CKD, for suites without finished runs."""
MOST_SEEDS = 10_000


def power(difference: float, deviation: float, seeds: int, methods: int) -> float:
    """Return the probability that a difference is found significant.

    Of one real difference among `methods` that are compared with one baseline; Holm's procedure then tests it at
    0.05 / `methods`.

    Args:
        difference, deviation: of a method from the baseline: its size, and its standard deviation over seeds.
        seeds: two at least.
    """
    critical = float(stdtrit(seeds - 1, 1 - LEVEL / 2 / methods))
    shift = difference / deviation * math.sqrt(seeds)
    above = 1 - float(nctdtr(seeds - 1, shift, critical))
    below = float(nctdtr(seeds - 1, shift, -critical))
    return above + (0.0 if math.isnan(below) else below)


def detectable(deviation: float, seeds: int, methods: int) -> float:
    """Return the smallest difference that is found significant with a probability of 80 %."""
    critical = float(stdtrit(seeds - 1, 1 - LEVEL / 2 / methods))
    low, high = 0.0, (2 * critical + 10) * deviation / math.sqrt(seeds)
    for _ in range(50):  # bisection; scipy.optimize takes long to import
        middle = (low + high) / 2
        if power(middle, deviation, seeds, methods) < POWER:
            low = middle
        else:
            high = middle
    return high


def seeds_needed(difference: float, deviation: float, methods: int) -> int | None:
    """Return the least number of seeds that finds a difference with a probability of 80 %; None above 10,000."""
    low, high = 1, 2
    while power(difference, deviation, high, methods) < POWER:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if power(difference, deviation, middle, methods) < POWER:
            low = middle
        else:
            high = middle
    return high


def pooled_deviation(found: Sequence[Difference]) -> float | None:
    """Return the standard deviation of a difference over seeds, pooled over methods; None below two seeds.

    The median over methods of their variances: one unstable method does not determine what others can show.
    """
    variances = sorted(one.deviation**2 for one in found if one.dataset is None and one.seeds > 1)
    if not variances or not any(variances):
        return None
    middle = len(variances) // 2
    return math.sqrt(fmean(variances[len(variances) - 1 - middle : middle + 1]))
