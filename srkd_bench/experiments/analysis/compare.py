"""Compare two methods, two runs or two sets of scores.

Two files of scores, too: what each method gains over itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import SrkdError, unknown
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.statistics import Difference, changes, differences
from srkd_bench.experiments.analysis import collect
from srkd_bench.experiments.analysis.listing import measured
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.store.artifact_store import ArtifactStore, find_run


@dataclass(frozen=True)
class Comparison:
    """The first against the second.

    Args:
        differences: on each data set by each metric.
        images: by data set, what each image gains by the first metric, the most first.
        settings: what differs, by key, as (first, second); None for a key that only one has.
    """

    first: str
    second: str
    metric: str
    differences: list[Difference]
    images: dict[str, dict[str, float]]
    settings: dict[str, tuple[Any, Any]]


def compare(first: str, second: str, plan: Plan, store: ArtifactStore) -> Comparison:
    """Compare two methods of a suite, or two finished runs, by the first digits of their ids.

    Raises:
        SrkdError: a method that the suite has not, a run that isn't here, or nothing that both were measured on.
    """
    if first == second:
        raise SrkdError(f"'{first}' is compared with itself", "name two methods of a suite, or two runs")
    wrong = [name for name in (first, second) if name not in plan.methods]
    if not wrong:
        runs = {plan.column(run): run.model_dump(mode="json") for run in reversed(plan.students)}
        return _compared(collect.results(plan, store), first, second, (runs[first], runs[second]))
    if len(wrong) == 2 and all(re.fullmatch("[0-9a-f]+", name) for name in wrong):
        return _runs(first, second, store)
    raise unknown(f"method in suite {plan.suite.name}", wrong[0], plan.methods)


def compare_scores(first: Sequence[Score], second: Sequence[Score]) -> list[Difference]:
    """Return each method of the first scores against itself in the second, where the same rules measured both.

    Raises:
        SrkdError: there is no method, seed and image that both have.
    """
    rules = {(one.dataset, one.metric, one.protocol) for one in second}
    shared = [one for one in first if (one.dataset, one.metric, one.protocol) in rules]
    columns, datasets = ({getattr(one, name): None for one in shared} for name in ("model", "dataset"))
    metrics = [name for name in METRICS if any(one.metric == name for one in shared)]
    ours = Results("scores", list(columns), list(datasets), metrics, shared)
    theirs = replace(ours, scores=list(second))
    found = [one for name in ours.metrics for one in changes(ours, theirs, name)]
    if not found:
        problem = "no method has scores of the same image, seed and protocol in both files"
        raise SrkdError(problem, "srkd report -o scores.csv")
    return found if len(ours.datasets) > 1 else [one for one in found if one.dataset is not None]


def _runs(first: str, second: str, store: ArtifactStore) -> Comparison:
    """Compare two runs as if they were of one seed: one pair, whatever their seeds are."""
    found = [find_run(store, digits) for digits in (first, second)]
    names = [f"{key['method']} seed {key['seed']} ({folder[:12]})" for folder, key in found]
    ours, theirs = (measured(store, folder) for folder, _ in found)
    shared = [(one, other) for one in ours for other in theirs if one.rules == other.rules]
    scores = [
        Score(name, one.name, image, metric, METRICS[metric].protocol, value, seed=0)
        for pair in shared
        for name, one in zip(names, pair, strict=True)
        for image, values in one.images.items()
        for metric, value in values.items()
    ]
    results = Results("two runs", names, [one.name for one, _ in shared], list(METRICS), scores)
    return _compared(results, names[0], names[1], (found[0][1], found[1][1]))


def _compared(
    results: Results, first: str, second: str, settings: tuple[dict[str, Any], dict[str, Any]]
) -> Comparison:
    ours = replace(results, columns=[first, second], baseline=second)
    metric = ours.metrics[0]
    found = [one for name in ours.metrics for one in differences(ours, name)]
    if not found:
        problem = f"no image has scores of both {first} and {second} by the same protocol"
        raise SrkdError(problem, "`srkd run` trains and evaluates what is missing")
    if len(ours.datasets) == 1:
        found = [one for one in found if one.dataset is not None]
    images = {name: ours.image_gains(metric, first, second, name) for name in ours.datasets}
    images = {name: dict(sorted(own.items(), key=lambda one: -one[1])) for name, own in images.items() if own}
    return Comparison(first, second, metric, found, images, _unlike(*settings))


def _unlike(first: dict[str, Any], second: dict[str, Any], above: str = "") -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values differ, those of inner mappings as `train.steps`."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*first, *second]):
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= _unlike(one, other, f"{above}{key}.")
        elif one != other:
            found[above + key] = (one, other)
    return found
