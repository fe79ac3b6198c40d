"""Compare two methods, two runs, or two score files method by method."""

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
    """The difference of the first from the second.

    Args:
        differences: by each metric, on each data set and on all together; with one data set, on this only.
        images: by data set, the gain of each image by the first metric, largest first.
        settings: settings that differ, by key, as (first, second); None for a key that only one has.
    """

    first: str
    second: str
    metric: str
    differences: list[Difference]
    images: dict[str, dict[str, float]]
    settings: dict[str, tuple[Any, Any]]


def compare(first: str, second: str, plan: Plan, store: ArtifactStore) -> Comparison:
    """Compare two methods of a suite, or two finished runs by prefixes of their ids.

    Raises:
        SrkdError: the suite has no such method, no such run is finished, or they share no image.
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
    """Return the difference of each method from itself in the second scores, measured by the same protocol.

    Raises:
        SrkdError: no method has a seed and an image in both.
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
    return _named(found, ours)


def _named(found: list[Difference], results: Results) -> list[Difference]:
    """Return the differences; with one data set, those on all sets, which have verdicts, under its name."""
    if len(results.datasets) > 1:
        return found
    return [replace(one, dataset=results.datasets[0]) for one in found if one.dataset is None]


def _runs(first: str, second: str, store: ArtifactStore) -> Comparison:
    """Compare two runs as one pair, even if their seeds differ."""
    found = [find_run(store, digits) for digits in (first, second)]
    names = [
        f"{key['method']} seed {key['seed']}{', EMA' * bool(key['train'].get('ema'))} ({folder[:12]})"
        for folder, key in found
    ]
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
    images = {name: ours.image_gains(metric, first, second, name) for name in ours.datasets}
    images = {name: dict(sorted(own.items(), key=lambda one: -one[1])) for name, own in images.items() if own}
    return Comparison(first, second, metric, _named(found, ours), images, _unlike(*settings))


def _unlike(first: dict[str, Any], second: dict[str, Any], above: str = "") -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values differ; nested keys as `train.steps`."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*first, *second]):
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= _unlike(one, other, f"{above}{key}.")
        elif one != other:
            found[above + key] = (one, other)
    return found
