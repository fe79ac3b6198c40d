"""Statistical power: which differences a number of seeds can detect."""

import math
from collections.abc import Sequence
from statistics import median

from scipy.special import chdtri, nctdtr, nctdtrinc, stdtrit

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.statistics import LEVEL, Difference

POWER = 0.8
USUAL_DEVIATION = 0.028
"""dB; pooled over seeds of the methods of the published study without CKD, for suites without finished runs."""
MOST_SEEDS = 10_000


def power(difference: float, deviation: float, seeds: int, methods: int) -> float:
    """Return the probability that a difference is found significant, in its own direction.

    Of one real difference among `methods` that are compared with one baseline; Holm's procedure then tests it at
    0.05 / `methods`, or at more if others are significant too.

    Args:
        difference, deviation: of a method from the baseline: its size, and its standard deviation over seeds.
        seeds: two at least.
    """
    return 1 - float(nctdtr(seeds - 1, difference / deviation * math.sqrt(seeds), _critical(seeds, methods)))


def detectable(deviation: float, seeds: int, methods: int) -> float:
    """Return the minimum difference that is found significant with a probability of 80 %, as in `power`."""
    shift = float(nctdtrinc(seeds - 1, 1 - POWER, _critical(seeds, methods)))
    return shift * deviation / math.sqrt(seeds)


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
    """Return the usual standard deviation over seeds of a method's difference; None if no method tells it.

    The root of the median over methods of their variances, so that one unstable method does not determine what
    others can show. The median of a variance that is estimated from n seeds lies below the true one, by half with
    two seeds; each variance is therefore divided by the median of chi-squared / (n - 1). Longer trainings of the
    student alone (`none@…`) are no methods, and the same difference in all seeds has no variance.
    """
    variances = [
        one.deviation**2 * (one.seeds - 1) / float(chdtri(one.seeds - 1, 0.5))
        for one in found
        if one.dataset is None and one.deviation > 0 and not is_control(one.model)
    ]
    return math.sqrt(median(variances)) if variances else None


def _critical(seeds: int, methods: int) -> float:
    """Return what t has to exceed at the level of 0.05 / `methods`, two-sided."""
    return float(stdtrit(seeds - 1, 1 - LEVEL / 2 / methods))
