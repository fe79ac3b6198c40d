"""Collect from the store what a report of a plan shows: results, verdicts on claims, regions of images."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from srkd_bench.config.artifacts import Measurement, Run, Weights
from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import NetworkSpec
from srkd_bench.config.suite import Suite
from srkd_bench.core.errors import MissingError, unknown
from srkd_bench.core.progress import Display
from srkd_bench.data.catalog import base, copy_name
from srkd_bench.data.image_set import image_notes, pixels_of
from srkd_bench.evaluation.controls import EQUAL_COST
from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import About, Network, Results, Training
from srkd_bench.evaluation.scores import Score, below_bicubic, kept_scores, measurement
from srkd_bench.experiments.analysis.step_costs import step_costs
from srkd_bench.experiments.planning import budgets
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.teachers import MISSING
from srkd_bench.experiments.planning.trials import in_words, searched, settings
from srkd_bench.methods.sources import takes
from srkd_bench.report.study import study_claims
from srkd_bench.report.tables.claims import Verdict, check, refuse_unknown_names
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, EVENTS, SCORES

REGIONS = 2  # of each test set on a page
HR_PIXELS = 1280 * 720  # of the image for which papers state multiply-adds


def results(
    plan: Plan,
    store: ArtifactStore,
    *,
    trainings: bool = False,
    scores: list[Score] | None = None,
    baseline: str = "none",
) -> Results:
    """Return all scores of a plan that are in the store, with a note on each missing one.

    Args:
        trainings: also read how the networks were trained.
        scores: used instead of the store's, limited to the plan's columns, data sets and seeds.
        baseline: the method that all others are compared with.
    Raises:
        SrkdError: the suite has no such method.
    """
    check_baseline(baseline, plan)
    suite = plan.suite
    columns = ["bicubic", "teacher", *plan.methods]
    teachers = [seed for seed in map(plan.teacher_seed, plan.teachers) if seed is not None]
    if scores is None:
        scores, notes = _kept(plan, store)
        datasets = [copy_name(name, pixels_of(store, name)) for name in suite.data.test]
        notes += _below_bicubic(plan, store) + image_notes(store, suite.data.test, [suite.data.train])
    else:
        scores, notes = [one for one in scores if _asked(one, columns, teachers, suite)], []
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
        budget=_budget(suite) if plan.students else "",
        notes=[
            *notes,
            *_several_teachers(plan),
            *_fusion(plan, store),
            *_labels(plan),
            *_weights(plan),
            *_controls(plan),
            *_chosen(plan),
            *_tuned(plan),
        ]
        + ensemble * suite.evaluate.self_ensemble,
        trainings=read_trainings(plan, store) if trainings else [],
        scale=suite.data.scale,
        about={name: About(one.summary, one.kind, one.source) for name, one in plan.traits.items()},
        baseline=baseline,
        steps=_steps(plan),
        step_costs=step_costs(plan, store),
        teachers=teachers,
    )


def _budget(suite: Suite) -> str:
    """Return how the students are trained, in words; controls and tuned learning rates have notes of their own."""
    rate = f"at a learning rate of {suite.train.learning_rate:g}"
    return f"every student is trained for {suite.train} of {suite.data.trained_on}, {rate}"


def check_baseline(baseline: str, plan: Plan) -> None:
    """Reject a baseline that is not a method of the suite.

    Raises:
        SrkdError: the suite has no such method; the hint is the closest name.
    """
    if baseline not in (*plan.methods, "none"):
        raise unknown("method", baseline, plan.methods)


def verdicts(results: Results, suite: Suite) -> list[Verdict]:
    """Return the verdicts on the suite's claims or, without any, on the study's.

    Raises:
        SrkdError: a claim of the suite names a method or data set that is not in the results.
    """
    if suite.claims:
        refuse_unknown_names(results, suite.claims)
    return check(results, suite.claims or study_claims())


def find_panels(plan: Plan, store: ArtifactStore, display: Display, named: Sequence[str] = ()) -> list[Panel]:
    """Return the regions for a page: the given ones, or in each test set those where methods differ most.

    Methods of the first seed are compared. There are no regions of a test set that is not available locally, and
    none before a network is finished.
    """
    if not any(store.has(network) for network in (*plan.teachers, *plan.students)):
        return []
    from srkd_bench.experiments.analysis.crops import Gallery, choose, panels, parse
    from srkd_bench.experiments.workflow import workplace
    from srkd_bench.store.workspace import RunOptions

    gallery = Gallery(plan, workplace(store, display, RunOptions("auto")))
    if named:
        return [replace(one, named=True) for one in panels(gallery, [parse(text, gallery) for text in named])]
    display.say("Choosing the regions where the methods differ most (--no-crops skips this)")
    found: list[Panel] = []
    for dataset in gallery.datasets:
        try:
            found += panels(gallery, choose(gallery, dataset, REGIONS))
        except MissingError as error:
            display.say(f"no regions of {dataset}: {error.message}")
    return found


def _asked(score: Score, columns: list[str], teachers: list[int], suite: Suite) -> bool:
    return (
        score.model in columns
        and score.dataset in _datasets_of([score], suite)
        and score.metric in suite.evaluate.shown
        and (score.seed is None or score.seed in suite.seeds)
        and (score.teacher_seed is None or score.teacher_seed in teachers)
    )


def _datasets_of(scores: list[Score], suite: Suite) -> list[str]:
    """Return the copies of the suite's test sets in imported scores, in the suite's order."""
    measured = dict.fromkeys(score.dataset for score in scores)
    named = {name: [one for one in measured if one == name] for name in suite.data.test}
    return [
        copy
        for name, own in named.items()
        for copy in own or [one for one in measured if base(one) == name and one not in named] or [name]
    ]


def _kept(plan: Plan, store: ArtifactStore) -> tuple[list[Score], list[str]]:
    """Return the plan's scores that are in the store, and descriptions of the missing ones."""
    suite, identity = plan.suite, plan.suite.identity
    scores: list[Score] = []
    notes: dict[str, list[int]] = defaultdict(list)
    runs = [("bicubic", None), *_columns(plan)]
    known = {name: pixels_of(store, name) for name in suite.data.test}
    here = {copy_name(name, pixels): pixels or MISSING for name, pixels in known.items()}

    def wanted(key: Run | Weights | None, pixels: str) -> Measurement:
        return measurement(key, pixels, suite.data.scale, self_ensemble=suite.evaluate.self_ensemble)

    store.read_ahead([wanted(key, pixels).place for _, key in runs for pixels in here.values()], SCORES)
    for model, key in runs:
        student = key if isinstance(key, Run) and model != "teacher" else None
        seed = student.seed if student else None
        teacher_seed = plan.teacher_seed(student.teacher if student else key)
        state = _state(key, plan, store)
        for dataset, pixels in here.items():
            kept = kept_scores(wanted(key, pixels), store)
            if kept is None:
                problem = state or f"not measured on {dataset} yet"
                teacher = plan.seeds_in_words(student).removeprefix(f"seed {seed}") if student else ""
                missing = seed if student else teacher_seed
                notes[f"{model}{teacher}: {problem}"] += [] if missing is None else [missing]
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
                    teacher_seed=teacher_seed,
                )
                for image, values in kept.items()
                for metric, value in values.items()
                if metric in suite.evaluate.shown
            ]
    return scores, [_note(problem, seeds) for problem, seeds in notes.items()]


def _below_bicubic(plan: Plan, store: ArtifactStore) -> list[str]:
    """Return a note for each data set that a teacher given by its weights scores below bicubic on."""
    loaded = [one for one in plan.all_teachers if isinstance(one, Weights)]
    notes: list[str] = []
    for dataset in plan.suite.data.test if loaded else ():
        bicubic = _scores_of(None, dataset, plan, store)
        for one in loaded:
            network = _scores_of(one, dataset, plan, store)
            notes += below_bicubic(plan.title(one), dataset, network, bicubic) if network and bicubic else []
    return notes


def _scores_of(
    key: Run | Weights | None, dataset: str, plan: Plan, store: ArtifactStore
) -> dict[str, dict[str, float]] | None:
    """Return the scores of a network (None: bicubic) on a data set by image; None if they are missing."""
    pixels, ensemble = pixels_of(store, dataset) or MISSING, plan.suite.evaluate.self_ensemble
    return kept_scores(measurement(key, pixels, plan.suite.data.scale, self_ensemble=ensemble), store)


def _fusion(plan: Plan, store: ArtifactStore) -> list[str]:
    """Return what the methods that fuse several teachers learn from, and how good it is."""
    if plan.fusion is None:
        return []
    fusing = [name for name in plan.methods if plan.traits[name].fuses]
    models = ", ".join(str(one.model) for one in plan.fusion.fused)
    learning = f"{', '.join(fusing) or 'no method'} learn{'s' * (len(fusing) < 2)} from their fusion"
    notes = [f"teachers: {models}; the first is in the table, and {learning}"]
    for dataset in plan.suite.data.test:
        found = [_scores_of(key, dataset, plan, store) for key in plan.all_teachers]
        means = [fmean(image["psnr_y"] for image in one.values()) for one in found if one]
        if len(means) == len(plan.all_teachers):
            *each, fused = (f"{mean:.2f}" for mean in means)
            notes.append(
                f"PSNR-Y of the teachers on {dataset}: {', '.join(each)} dB; of their fusion: {fused} dB"
            )
    return notes


def _several_teachers(plan: Plan) -> list[str]:
    """Return what the means and spreads of a suite with several teachers are over."""
    number, seeds = len(plan.teachers), ", ".join(str(plan.teacher_seed(one)) for one in plan.teachers)
    if number < 2:
        return []
    if plan.suite.teacher.seeds == "paired":
        return [f"{number} teachers, one for each seed; their column is the mean over them"]
    return [
        f"{number} teachers (seeds {seeds}), each with every student seed: means and spreads of the teachers and of"
        " methods that need one are over teachers"
    ]


def _labels(plan: Plan) -> list[str]:
    """Return what students learn from instead of the teacher's SR of each patch, if any do."""
    how = {run.labels for run in plan.students}
    words = "Teacher labels: crops of the teacher's SR of whole training images"
    more = {"images": "", "ensemble": ", mean over eight flips and rotations"}
    return [words + more[one] for one in more if one in how]


def _weights(plan: Plan) -> list[str]:
    """Return which networks are measured with averages of their weights, and what the students start from."""
    first = plan.students[0] if plan.students else None
    trained = {"students'": first, "teacher's": plan.teacher if isinstance(plan.teacher, Run) else None}
    decays = {name: run.train.ema for name, run in trained.items() if run is not None}
    said = [
        f"{name} exponential moving average (decay {decay:g})" if decay else f"{name} last step"
        for name, decay in decays.items()
    ]
    notes = [f"Measured weights (EMA): {', '.join(said)}"] if any(decays.values()) else []
    if first is not None and (init := first.init) is not None:
        notes.append(
            f"every student starts from {plan.suite.student_init} ({init.model} ×{init.model.scale})"
        )
    return notes


def _controls(plan: Plan) -> list[str]:
    """Return how long each control was trained, and its learning rate if it is known."""
    trained = {plan.column(run): run.train for run in plan.students}
    rate, known = bool(plan.trials) or not plan.suite.tuned, _steps(plan)
    return [
        budgets.note(name, trained[name], rate=rate, share=plan.shares.equal)
        for name in plan.controls
        if name in known
    ]


def _steps(plan: Plan) -> dict[str, int]:
    """Return the training steps of each column; those at equal cost need the teacher and its share to be known."""
    steps = {plan.column(run): run.train.steps for run in plan.students}
    known = plan.knows_teacher and plan.shares.equal is not None
    return {name: one for name, one in steps.items() if known or name != EQUAL_COST}


def _chosen(plan: Plan) -> list[str]:
    """Return the parameters that the suite sets for its methods."""
    if plan.suite.tuned:
        return []
    given = [
        f"{owner}.{name}={value}"
        for owner, params in plan.suite.params.items()
        for name, value in params.items()
        if any(takes(method, owner) for method in plan.methods)
    ]
    return [f"Parameters set by the suite: {', '.join(given)}"] if given else []


def _tuned(plan: Plan) -> list[str]:
    """Return how weights and learning rates were found, if they were tuned."""
    if not plan.trials:
        return []
    chosen = {plan.column(run): settings(plan.column(run), run) for run in plan.students}
    words = {name: in_words(chosen[name], searched(name, plan.traits[name])) for name in plan.trials}
    found = "; ".join(f"{name} {tried}" for name, tried in words.items())
    trials = next(iter(plan.trials.values()))
    rates = " and the learning rates of w/o KD with more steps" if plan.trials.keys() & plan.controls else ""
    return [
        f"weights{rates} are the best of {len(trials)} trials per method by PSNR-Y on {plan.suite.data.validation}"
        f" (seed {trials[0].seed}): {found}"
    ]


def _state(key: Run | Weights | None, plan: Plan, store: ArtifactStore) -> str:
    """Return the reason why a network is missing, or an empty string."""
    if key is None or store.has(key):
        return ""
    if plan.lacking is not None and key in plan.teachers:
        return plan.lacking.message
    if (failed := store.failure(key)) is not None:
        return f"failed ({failed})"
    if store.work(key).is_dir():
        return "not finished yet"
    return "not trained yet" if isinstance(key, Run) else "not loaded yet"


def read_trainings(plan: Plan, store: ArtifactStore) -> list[Training]:
    """Return the training logs of a plan's finished networks."""
    return [
        Training(
            model=model,
            seed=None if model == "teacher" else key.seed,
            events=[json.loads(line) for line in store.read(key.place, EVENTS).splitlines()],
            card=json.loads(store.read(key.place, CARD)),
            teacher_seed=plan.teacher_seed(key if model == "teacher" else key.teacher),
        )
        for model, key in _columns(plan)
        if isinstance(key, Run) and store.has(key)
    ]


def _columns(plan: Plan) -> list[tuple[str, Run | Weights]]:
    """Return the networks of a plan, each with the name of its column."""
    teachers = [("teacher", one) for one in plan.teachers]
    return [*teachers, *((plan.column(run), run) for run in plan.students)]


def _note(problem: str, seeds: list[int]) -> str:
    if not seeds:
        return problem
    listed = ", ".join(str(seed) for seed in sorted(set(seeds)))
    return f"{problem} (seed{'s' * (',' in listed)} {listed})"


def _network(role: str, model: NetworkSpec) -> Network:
    return Network(
        role="teacher" if role == "teacher" else "student",
        description=str(model),
        parameters=model.parameters,
        multiply_adds=model.multiply_adds * HR_PIXELS // model.scale**2,
    )
