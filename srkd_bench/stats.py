"""Paired statistics: which differences from the baseline are real."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A model against the baseline, paired by seed and image.

    Args:
        dataset: None for all data sets together.
        mean, low, high: of the difference, in the metric's unit, and its 95 % confidence interval.
        seeds, images: how many pairs it is made of.
        p: of the sign-flip test over seeds, two-sided; None below two seeds.
        p_holm: `p` corrected for the number of methods.
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
