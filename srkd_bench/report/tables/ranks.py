"""Decide which cells are best and second-best."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import LEAST_SEEDS, differences


@dataclass(frozen=True)
class Ranks:
    """The models of a row that stand out.

    Args:
        places: 1 for the best, 2 for the second; others are left out.
        beats: those above the baseline.
        note: why nothing is highlighted, or empty.
    """

    places: Mapping[str, int] = field(default_factory=dict)
    beats: frozenset[str] = frozenset()
    note: str = ""


def by_print(values: Mapping[str, float], decimals: int, baseline: str) -> Ranks:
    """Return the two highest printed values' models, as the study does; equal prints share a place."""
    printed = {model: float(f"{value:.{decimals}f}") for model, value in values.items()}
    podium = sorted(set(printed.values()), reverse=True)[:2]
    return Ranks(
        {model: podium.index(value) + 1 for model, value in printed.items() if value in podium},
        frozenset(model for model, value in printed.items() if value > printed.get(baseline, math.inf)),
    )


def by_difference(results: Results, metric: str, dataset: str, values: Mapping[str, float]) -> Ranks:
    """Return the best with all that are not shown to be worse, then the best of the rest with those of its kind.

    Nothing stands out where a pair of models has fewer than six seeds.
    """
    left = sorted(values, key=lambda model: -values[model])
    scores = [score for score in results.scores if score.dataset == dataset]
    ours = replace(results, columns=left, datasets=[dataset], scores=scores)
    places: dict[str, int] = {}
    for place in (1, 2):
        if not left:
            break
        against = {one.model: one for one in differences(ours, metric, left[0])}
        others = [model for model in ours.columns if model != left[0]]
        seeds = [against[model].seeds if model in against else 0 for model in others]
        if (fewest := min(seeds, default=0)) < LEAST_SEEDS:
            shared = "1 seed" if fewest == 1 else f"{fewest} seeds"
            note = f"underpowered, {shared}: nothing is highlighted; {LEAST_SEEDS} are needed"
            return Ranks(note=note)
        group = [model for model in left if model == left[0] or against[model].verdict != "worse"]
        places |= dict.fromkeys(group, place)
        left = [model for model in left if model not in group]
    above = differences(ours, metric, results.baseline) if results.baseline in values else []
    return Ranks(places, frozenset(one.model for one in above if one.verdict == "better"))
