"""Collect from the store what a report of a plan shows: results, verdicts on claims, regions of images."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from srkd_bench.config.artifacts import Measurement, Run, Weights
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import ForeignSpec, ModelSpec
from srkd_bench.config.suite import Suite
from srkd_bench.core.errors import MissingError, unknown
from srkd_bench.core.progress import Display
from srkd_bench.data.catalog import base, copy_name
from srkd_bench.data.image_set import image_notes, pixels_of
from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import About, Network, Results, Training
from srkd_bench.evaluation.scores import EQUAL_COST, Score, below_bicubic
from srkd_bench.evaluation.stored_scores import kept_scores, measurement
from srkd_bench.experiments.planning.planner import MISSING, Plan
from srkd_bench.experiments.planning.trials import in_words, weights
from srkd_bench.report.study import study_claims
from srkd_bench.report.tables.claims import Verdict, check, refuse_unknown_names
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, EVENTS, SCORES

REGIONS = 2  # of each test set on a page
HR_PIXELS = 1280 * 720  # of the image that multiply-adds are given for, as the field does


def results(
    plan: Plan,
    store: ArtifactStore,
    *,
    trainings: bool = False,
    scores: list[Score] | None = None,
    baseline: str = "none",
) -> Results:
    """Return all scores of a plan that are in the store, with a note for each that isn't.

    Args:
        trainings: read how the networks were trained too.
        scores: take these instead of the store's; only those of the plan's columns, data sets and seeds.
        baseline: the method that all others are compared with.
    Raises:
        SrkdError: the suite has no such method.
    """
    check_baseline(baseline, plan)
    suite = plan.suite
    columns = ["bicubic", "teacher", *plan.methods]
    if scores is None:
        scores, notes = _kept(plan, store)
        datasets = [copy_name(name, pixels_of(store, name)) for name in suite.data.test]
        notes += _below_bicubic(plan, store) + image_notes(store, suite.data.test, [suite.data.train])
    else:
        scores, notes = [one for one in scores if _asked(one, columns, suite)], []
        datasets = _datasets_of(scores, suite)
    networks = [_network("teacher", plan.teacher.model)] if plan.knows_teacher else []
    networks += [_network("student", suite.student)] if plan.students else []
    ensemble = ["self-ensemble: every network's SR is the mean over eight flips and rotations"]
    return Results(
        suite=suite.name,
        columns=columns,
        datasets=list(dict.fromkeys(datasets)),
        metrics=suite.evaluate.shown,
        scores=scores,
        networks=networks,
        seeds=list(suite.seeds) if plan.students else [],
        budget=f"every student is trained for {suite.train} of {suite.data.train}" if plan.students else "",
        notes=[*notes, *_labels(plan), *_longer(plan), *_chosen(plan), *_tuned(plan)]
        + ensemble * suite.evaluate.self_ensemble,
        trainings=_trainings(plan, store) if trainings else [],
        scale=suite.data.scale,
        about={name: About(one.summary, one.kind, one.source) for name, one in plan.traits.items()},
        baseline=baseline,
    )


def check_baseline(baseline: str, plan: Plan) -> None:
    """Refuse a baseline that is no method of the suite.

    Raises:
        SrkdError: with the nearest method that is.
    """
    if baseline not in (*plan.methods, "none"):
        raise unknown("method", baseline, plan.methods)


def with_trainings(results: Results, plan: Plan, store: ArtifactStore) -> Results:
    """Return results of a plan with how its networks were trained."""
    return replace(results, trainings=_trainings(plan, store))


def verdicts(results: Results, suite: Suite) -> list[Verdict]:
    """Return the verdicts on the suite's claims, whose names must be known, or on the study's.

    Raises:
        SrkdError: a claim is about a method or data set that the results have not.
    """
    if suite.claims:
        refuse_unknown_names(results, suite.claims)
    return check(results, suite.claims or study_claims())


def find_panels(plan: Plan, store: ArtifactStore, display: Display, named: Sequence[str] = ()) -> list[Panel]:
    """Return the regions of a page: those named, or in each test set where the first seed's methods differ most.

    A test set that isn't here has none, nor has a suite without a finished network.
    """
    if not any(store.has(network) for network in (plan.teacher, *plan.students)):
        return []
    from srkd_bench.experiments.analysis.crops import Gallery, choose, panels, parse
    from srkd_bench.experiments.workflow import workplace
    from srkd_bench.store.workspace import RunOptions

    gallery = Gallery(plan, workplace(store, display, RunOptions("auto")))
    if named:
        return panels(gallery, [parse(text, gallery) for text in named])
    display.say("Choosing the regions where the methods differ most (--no-crops skips this)")
    found: list[Panel] = []
    for dataset in gallery.datasets:
        try:
            found += panels(gallery, choose(gallery, dataset, REGIONS))
        except MissingError as error:
            display.say(f"no regions of {dataset}: {error.message}")
    return found


def _asked(score: Score, columns: list[str], suite: Suite) -> bool:
    return (
        score.model in columns
        and score.dataset in _datasets_of([score], suite)
        and score.metric in suite.evaluate.shown
        and (score.seed is None or score.seed in suite.seeds)
    )


def _datasets_of(scores: list[Score], suite: Suite) -> list[str]:
    """Return the copies of the suite's test sets that scores from elsewhere are of, in the suite's order."""
    measured = dict.fromkeys(score.dataset for score in scores)
    named = {name: [one for one in measured if one == name] for name in suite.data.test}
    return [
        copy
        for name, own in named.items()
        for copy in own or [one for one in measured if base(one) == name and one not in named] or [name]
    ]


def _kept(plan: Plan, store: ArtifactStore) -> tuple[list[Score], list[str]]:
    """Return the plan's scores that are in the store, and in words which aren't."""
    suite, identity = plan.suite, plan.suite.identity
    scores: list[Score] = []
    notes: dict[str, list[int]] = defaultdict(list)
    runs: list[tuple[str, Run | Weights | None]] = [("bicubic", None), ("teacher", plan.teacher)]
    runs += [(plan.column(run), run) for run in plan.students]
    known = {name: pixels_of(store, name) for name in suite.data.test}
    here = {copy_name(name, pixels): pixels or MISSING for name, pixels in known.items()}

    def wanted(key: Run | Weights | None, pixels: str) -> Measurement:
        return measurement(key, pixels, suite.data.scale, self_ensemble=suite.evaluate.self_ensemble)

    store.read_ahead([wanted(key, pixels).place for _, key in runs for pixels in here.values()], SCORES)
    for model, key in runs:
        seed = key.seed if isinstance(key, Run) and model != "teacher" else None
        state = _state(key, plan, store)
        for dataset, pixels in here.items():
            kept = kept_scores(wanted(key, pixels), store)
            if kept is None:
                problem = state or f"not measured on {dataset} yet"
                notes[f"{model}: {problem}"] += [] if seed is None else [seed]
                continue
            scores += [
                Score(
                    model=model,
                    dataset=dataset,
                    image=image,
                    metric=metric,
                    protocol=METRICS[metric].protocol,
                    value=value,
                    run=key.digest if isinstance(key, Run) else "",
                    method=key.method if isinstance(key, Run) else None,
                    seed=seed,
                    suite=identity,
                )
                for image, values in kept.items()
                for metric, value in values.items()
                if metric in suite.evaluate.shown
            ]
    return scores, [_note(problem, seeds) for problem, seeds in notes.items()]


def _below_bicubic(plan: Plan, store: ArtifactStore) -> list[str]:
    """Return a note for each data set that a teacher given by its weights scores below bicubic on."""
    if not isinstance(plan.teacher, Weights):
        return []
    notes: list[str] = []
    for dataset in plan.suite.data.test:
        pixels, scale = pixels_of(store, dataset) or MISSING, plan.suite.data.scale
        ensemble = plan.suite.evaluate.self_ensemble
        keys = [measurement(key, pixels, scale, self_ensemble=ensemble) for key in (plan.teacher, None)]
        network, bicubic = (kept_scores(key, store) for key in keys)
        notes += below_bicubic("teacher", dataset, network, bicubic) if network and bicubic else []
    return notes


def _labels(plan: Plan) -> list[str]:
    """Return what students learn from instead of the teacher's SR of each patch, if any do."""
    how = {run.labels for run in plan.students}
    words = "Teacher labels: crops of the teacher's SR of whole training images"
    more = {"images": "", "ensemble": ", mean over eight flips and rotations"}
    return [words + more[one] for one in more if one in how]


def _longer(plan: Plan) -> list[str]:
    """Return how long the control was trained at equal cost, if it was."""
    labels = plan.suite.teacher.labels != "patches"  # their share is known only if the images are here
    passes = "its share of the teacher labels" if labels else "its teacher's passes"
    longer = [run for run in plan.students if plan.knows_teacher and plan.column(run) == EQUAL_COST]
    steps = {run.train.steps for run in longer if run.pixels != MISSING or not labels}
    return [
        f"w/o KD at equal cost: {one:,} steps; a student and {passes} take as many multiply-adds"
        for one in steps
    ]


def _chosen(plan: Plan) -> list[str]:
    """Return the parameters that the suite gives to its methods."""
    if plan.suite.tuned:
        return []
    parts = {part for method in plan.methods for part in method.split("+")}
    given = [
        f"{part}.{name}={value}"
        for part, params in plan.suite.params.items()
        for name, value in params.items()
        if part in parts
    ]
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


def _state(key: Run | Weights | None, plan: Plan, store: ArtifactStore) -> str:
    """Return why there is no network, or an empty string."""
    if key is None or store.has(key):
        return ""
    if plan.lacking is not None and key == plan.teacher:
        return plan.lacking.message
    if (failed := store.failure(key)) is not None:
        return f"failed ({failed})"
    if store.work(key).is_dir():
        return "not finished yet"
    return "not trained yet" if isinstance(key, Run) else "not loaded yet"


def _trainings(plan: Plan, store: ArtifactStore) -> list[Training]:
    keys = [("teacher", plan.teacher), *((plan.column(run), run) for run in plan.students)]
    return [
        Training(
            model=model,
            seed=None if model == "teacher" else key.seed,
            events=[json.loads(line) for line in store.read(key.place, EVENTS).splitlines()],
            card=json.loads(store.read(key.place, CARD)),
        )
        for model, key in keys
        if isinstance(key, Run) and store.has(key)
    ]


def _note(problem: str, seeds: list[int]) -> str:
    if not seeds:
        return problem
    listed = ", ".join(str(seed) for seed in sorted(set(seeds)))
    return f"{problem} (seed {listed})"


def _network(role: str, model: ModelSpec | ForeignSpec) -> Network:
    return Network(
        role="teacher" if role == "teacher" else "student",
        description=str(model),
        parameters=model.parameters,
        multiply_adds=model.multiply_adds * HR_PIXELS // model.scale**2,
    )
