"""Collect the results of a plan from the store."""

import json
from collections import defaultdict
from typing import Literal

from srkd_bench.config.artifacts import Measurement, Run, Weights
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import NetworkSpec
from srkd_bench.config.suite import Suite
from srkd_bench.data.image_set import pixels_of
from srkd_bench.evaluation.results import About, Network, Results, Training
from srkd_bench.evaluation.scores import EQUAL_COST, Score
from srkd_bench.evaluation.stored_scores import kept_scores, measurement
from srkd_bench.experiments.planning.planner import MISSING, Plan
from srkd_bench.experiments.planning.trials import in_words, weights
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, EVENTS, SCORES

HR_PIXELS = 1280 * 720  # of the image that multiply-adds are given for, as the field does


def results(
    plan: Plan, store: ArtifactStore, *, trainings: bool = False, scores: list[Score] | None = None
) -> Results:
    """Return all scores of a plan that are in the store, with a note for each that isn't.

    Args:
        trainings: read how the networks were trained too.
        scores: take these instead of the store's; only those of the plan's columns, data sets and seeds.
    """
    suite = plan.suite
    columns = ["bicubic", "teacher", *plan.methods]
    if scores is None:
        scores, notes = _kept(plan, store)
    else:
        scores, notes = [one for one in scores if _asked(one, columns, suite)], []
    ensemble = "self-ensemble: every network's SR is the mean over eight flips and rotations"
    return Results(
        suite=suite.name,
        columns=columns,
        datasets=list(suite.data.test),
        metrics=suite.evaluate.shown,
        scores=scores,
        networks=[_network("teacher", plan.teacher.model)] * plan.knows_teacher
        + [_network("student", suite.student)],
        seeds=list(suite.seeds),
        budget=f"every student is trained for {suite.train} of {suite.data.train}",
        notes=notes
        + _longer(plan)
        + _chosen(plan)
        + _tuned(plan)
        + [ensemble] * suite.evaluate.self_ensemble,
        trainings=_trainings(plan, store) if trainings else [],
        scale=suite.data.scale,
        about={name: About(one.summary, one.kind, one.source) for name, one in plan.traits.items()},
    )


def _asked(score: Score, columns: list[str], suite: Suite) -> bool:
    return (
        score.model in columns
        and score.dataset in suite.data.test
        and score.metric in suite.evaluate.shown
        and (score.seed is None or score.seed in suite.seeds)
    )


def _kept(plan: Plan, store: ArtifactStore) -> tuple[list[Score], list[str]]:
    """Return the plan's scores that are in the store, and in words which aren't."""
    suite = plan.suite
    scores: list[Score] = []
    notes: dict[str, list[int]] = defaultdict(list)
    runs: list[tuple[str, Run | Weights | None]] = [("bicubic", None), ("teacher", plan.teacher)]
    runs += [(plan.column(run), run) for run in plan.students]
    here = {dataset: pixels_of(store, dataset) or MISSING for dataset in suite.data.test}

    def wanted(key: Run | Weights | None, pixels: str) -> Measurement:
        return measurement(key, pixels, suite.data.scale, self_ensemble=suite.evaluate.self_ensemble)

    store.read_ahead([wanted(key, pixels).place for _, key in runs for pixels in here.values()], SCORES)
    for model, key in runs:
        seed = key.seed if isinstance(key, Run) and model != "teacher" else None
        digest, method = (key.digest, key.method) if isinstance(key, Run) else ("", None)
        state = "" if key is None else _state(key, store)
        for dataset, pixels in here.items():
            kept = kept_scores(wanted(key, pixels), store)
            if kept is None:
                problem = state or f"not measured on {dataset} yet"
                notes[f"{model}: {problem}"] += [] if seed is None else [seed]
                continue
            scores += [
                Score(model, dataset, image, metric, METRICS[metric].protocol, value, digest, method, seed)
                for image, values in kept.items()
                for metric, value in values.items()
                if metric in suite.evaluate.shown
            ]
    return scores, [_note(problem, seeds) for problem, seeds in notes.items()]


def _longer(plan: Plan) -> list[str]:
    """Return how long the control was trained at equal cost, if it was."""
    longer = [run for run in plan.students if plan.knows_teacher and plan.column(run) == EQUAL_COST]
    why = "a student and its teacher's passes take as many multiply-adds"
    return [f"w/o KD at equal cost: {steps:,} steps; {why}" for steps in {run.train.steps for run in longer}]


def _chosen(plan: Plan) -> list[str]:
    """Return the parameters that the suite gives to its methods."""
    if plan.suite.tuned:
        return []
    parts = {part for method in plan.methods for part in method.split("+")}
    params = {part: own for part, own in plan.suite.params.items() if part in parts}
    given = [f"{part}.{name}={value}" for part, own in params.items() for name, value in own.items()]
    return [f"parameters that the suite gives: {', '.join(given)}"] if given else []


def _tuned(plan: Plan) -> list[str]:
    """Return how the weights were found, if they were tuned."""
    if not plan.trials:
        return []
    chosen = {run.method: run.params for run in plan.students}
    found = "; ".join(f"{name} {in_words(chosen[name], weights(plan.traits[name]))}" for name in plan.trials)
    trials = next(iter(plan.trials.values()))
    return [
        f"weights are the best of {len(trials)} trials a method by PSNR-Y on {plan.suite.data.validation}"
        f" (seed {trials[0].seed}): {found}"
    ]


def _state(key: Run | Weights, store: ArtifactStore) -> str:
    """Return why there is no network, or an empty string."""
    if store.has(key):
        return ""
    if (failed := store.failure(key)) is not None:
        return f"failed ({failed})"
    if store.work(key).is_dir():
        return "not finished yet"
    return "not trained yet" if isinstance(key, Run) else "not loaded yet"


def _trainings(plan: Plan, store: ArtifactStore) -> list[Training]:
    keys = [("teacher", plan.teacher), *((plan.column(run), run) for run in plan.students)]
    found = []
    for model, key in keys:
        if isinstance(key, Run) and store.has(key):
            events = [json.loads(line) for line in store.read(key.place, EVENTS).splitlines()]
            card = json.loads(store.read(key.place, CARD))
            found.append(Training(model, None if model == "teacher" else key.seed, events, card))
    return found


def _note(problem: str, seeds: list[int]) -> str:
    return f"{problem} (seed {', '.join(map(str, sorted(set(seeds))))})" if seeds else problem


def _network(role: Literal["teacher", "student"], model: NetworkSpec) -> Network:
    return Network(role, str(model), model.parameters, model.multiply_adds * HR_PIXELS // model.scale**2)
