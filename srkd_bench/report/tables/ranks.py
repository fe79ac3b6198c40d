"""Decide which cells are best and second-best."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import Difference, pairwise


@dataclass(frozen=True)
class Ranks:
    """The best and second-best models of a row.

    Args:
        places: 1 for the best, 2 for the second; others are left out.
        note: why nothing is highlighted, or empty.
    """

    places: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


def by_print(values: Mapping[str, float], decimals: int) -> Ranks:
    """Return the models of the two highest printed values, as the study does; equal prints share a place."""
    printed = {model: float(f"{value:.{decimals}f}") for model, value in values.items()}
    podium = sorted(set(printed.values()), reverse=True)[:2]
    return Ranks({model: podium.index(value) + 1 for model, value in printed.items() if value in podium})


def by_difference(results: Results, metric: str, dataset: str | None, values: Mapping[str, float]) -> Ranks:
    """Return the best and all that are not significantly worse, then the best of the others, likewise.

    All pairs of models are tested as one family (paired t tests over seeds, Holm).

    Args:
        dataset: None for all data sets together.
        values: means of the models that are ranked.
    """
    left = sorted(values, key=lambda model: -values[model])
    pairs = pairwise(results, metric, left, dataset)
    if not any(one.verdict for one in pairs.values()):
        return Ranks(note="nothing is highlighted, as no difference can be tested" if len(left) > 1 else "")
    places: dict[str, int] = {}
    for place in (1, 2):
        group = [model for model in left if not _is_worse(pairs, model, left[0])]
        places |= dict.fromkeys(group, place)
        left = [model for model in left if model not in group]
    return Ranks(places)


def _is_worse(pairs: Mapping[tuple[str, str], Difference], model: str, other: str) -> bool:
    return (model, other) in pairs and pairs[model, other].verdict == "worse"
