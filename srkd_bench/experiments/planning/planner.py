"""Turn a suite into a plan: the networks and scores it needs, by their identity."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from math import inf
from pathlib import Path
from statistics import fmean

from srkd_bench.config.artifacts import Labels, Run, Weights
from srkd_bench.config.distinct import check_distinct
from srkd_bench.config.network import NetworkSpec
from srkd_bench.config.suite import Suite
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data import catalog, folders
from srkd_bench.data.image_set import pixels_of
from srkd_bench.data.packs import packed_as
from srkd_bench.evaluation.scores import EQUAL_COST
from srkd_bench.evaluation.stored_scores import kept_scores, measurement
from srkd_bench.experiments.planning.label_cost import teacher_share
from srkd_bench.experiments.planning.trials import FEWEST, MOST, USUAL, trial, tuning_seed, weights
from srkd_bench.methods import sources
from srkd_bench.methods.metadata import Traits, traits
from srkd_bench.networks.pretrained import find_weights
from srkd_bench.networks.resolve import resolved
from srkd_bench.store.artifact_store import ArtifactStore

MISSING = "missing"  # the digest of what isn't here
CONTROL = "The control, trained for as long as a distillation's multiply-adds pay for."


@dataclass(frozen=True)
class Plan:
    """A suite with its data, teacher and methods looked up.

    Args:
        teacher: the suite's, whether a student looks at it or not.
        students: methods × seeds, seed by seed.
        traits: of the methods, by name.
        trials: by method, the runs that the best weights were chosen from; empty unless the suite says `tuned`.
        code: where own methods come from, so that another process can run them.
        with_teacher: whether the teacher is to be made and measured, too.
        lacking: why the teacher's weights are not here, of a suite that can do without them: it has no methods.
        labels: teacher labels to compute whether a student of the plan needs them or not.
    """

    suite: Suite
    teacher: Run | Weights
    students: tuple[Run, ...]
    traits: Mapping[str, Traits]
    trials: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    code: tuple[sources.Source, ...] = ()
    with_teacher: bool = True
    lacking: MissingError | None = None
    labels: Labels | None = None

    @property
    def networks(self) -> tuple[Run | Weights, ...]:
        """All that is to be made, the teacher first."""
        return ((self.teacher,) if self.with_teacher else ()) + self.students

    def title(self, key: Run | Weights | None) -> str:
        """Return what messages call a network of the plan; None is bicubic."""
        if key is None or key == self.teacher:
            return "bicubic" if key is None else "teacher"
        assert isinstance(key, Run)
        return f"{self.column(key)} seed {key.seed}"

    def is_live(self, run: Run) -> bool:
        """Whether the teacher makes a forward pass on each batch of a student: labels do not replace it."""
        return run.teacher is not None and (run.labels == "patches" or self.traits[run.method].live)

    @property
    def knows_teacher(self) -> bool:
        """Whether the teacher was trained here or its weights are here."""
        return not (isinstance(self.teacher, Weights) and self.teacher.sha256 == MISSING)

    @property
    def methods(self) -> list[str]:
        """The students' columns: methods' names, in the suite's order."""
        return list(dict.fromkeys(map(self.column, self.students)))

    def column(self, run: Run) -> str:
        """Return what a student is called beside the others: its method, or `EQUAL_COST`."""
        longer = run.method == "none" and run.train != self.suite.train
        return EQUAL_COST if longer else run.method


def plan(
    suite: Suite,
    store: ArtifactStore,
    display: Display,
    chosen: Iterable[str] = (),
    *,
    readonly: bool = False,
    scored: bool = False,
    options: str = "",
) -> Plan:
    """Look up what a suite names. Data that isn't here has the digest `missing`; nothing is trained.

    Args:
        chosen: methods instead of the suite's; `all` is every installed one. Only their code may run unasked:
            a suite may be untrusted.
        readonly: leave the store as it is, and download no weights that the suite names by their address.
        scored: the scores come from elsewhere: neither the teacher's weights nor trials of weights need be here.
        options: how the command line names the suite, for hints; its name if not given.
    Raises:
        SrkdError: an unknown method, parameter or data set, or settings that a method can't work with.
        MissingError: the suite wants tuned weights, and its methods haven't all had the same number of trials.
    """
    suite = with_data(suite, store, display, readonly=readonly, scored=scored)
    suite = _resolved(suite, store, readonly=readonly)
    chosen = list(chosen)
    named_methods = chosen or suite.methods
    columns = _spread(named_methods)
    asked = [one for one in columns if one != EQUAL_COST]
    about = [*asked, *_named_parameters(suite, asked), "none"]
    known = traits(about, suite.params, store, readonly=readonly, allowed=chosen)
    check_distinct("methods", map(sources.name_of, named_methods))
    known[EQUAL_COST] = known["none"].model_copy(update={"summary": CONTROL})
    _tell_missing_code(asked, display)
    named = {name: known[name] for name in map(_column, columns)}
    _check_batches(named, suite.train.batch)
    pixels = _known_pixels(suite, store, scored=scored)[suite.data.train] or MISSING
    teacher, lacking = _teacher(suite, pixels, known["none"], store, display, readonly, scored or not named)
    share = _teacher_share(suite, store, readonly=readonly) if EQUAL_COST in named else 1.0
    students, code = _students(suite, pixels, teacher, named, share), _code(named.values())
    found = Plan(suite, teacher, students, named, {}, code, with_teacher=lacking is None, lacking=lacking)
    if scored or not suite.tuned:
        return found
    references = {sources.name_of(reference): reference for reference in asked}
    return _tuned(found, store, options or suite.name, references)


def _known_pixels(suite: Suite, store: ArtifactStore, *, scored: bool) -> dict[str, str | None]:
    """Return the digests of the images of a suite's data sets; scores from elsewhere need no own images here."""
    return {
        name: packed_as(store, name) if scored and name not in catalog.DATASETS else pixels_of(store, name)
        for name in suite.data.names
    }


def with_data(
    suite: Suite, store: ArtifactStore, display: Display, *, readonly: bool, scored: bool = False
) -> Suite:
    """Return the suite with the names of its folders' images, and without copies of test sets that aren't here.

    A copy is left out only if another copy that the suite lists is here.

    Args:
        readonly, scored: as in `plan`.
    """

    def named(name: str) -> str:
        try:
            return folders.resolve(store, name, display, readonly=readonly or scored)
        except MissingError:
            if not scored:
                raise
            return folders.proposed_name(Path(name))

    data = suite.data
    test = list(dict.fromkeys(map(named, data.test)))
    here = {catalog.base(name) for name in test if not scored and pixels_of(store, name)}
    absent = [name for name in test if catalog.base(name) in here and not pixels_of(store, name)]
    if absent:
        display.say(f"left out: {', '.join(absent)}, of which another copy is here")
    update = {
        "train": named(data.train),
        "validation": data.validation and named(data.validation),
        "test": [name for name in test if name not in absent],
    }
    return suite.model_copy(update={"data": data.model_copy(update=update)})


def _column(asked: str) -> str:
    """Return the column of a method as it was asked for."""
    return asked if asked == EQUAL_COST else sources.name_of(asked)


def _students(
    suite: Suite, pixels: str, teacher: Run | Weights, methods: Mapping[str, Traits], share: float
) -> tuple[Run, ...]:
    """Return a run for each seed and method, seed by seed.

    Args:
        share: of the teacher's passes, for the control at equal cost.
    """
    found = []
    for seed in suite.seeds:
        for name, method in methods.items():
            longer = name == EQUAL_COST
            train = at_equal_cost(suite.train, suite.student, teacher.model, share) if longer else suite.train
            run = Run(
                model=suite.student,
                train=train,
                data=suite.data.train,
                pixels=pixels,
                method="none" if longer else name,
                params=method.params,
                seed=seed,
                teacher=teacher if method.looks else None,
                labels=suite.teacher.labels if method.labels else "patches",
            )
            found.append(run)
    return tuple(found)


def _tell_missing_code(references: Iterable[str], display: Display) -> None:
    """Say which of the user's own methods are taken from the store."""
    for part in (part for reference in references for part in reference.split("+")):
        if part.endswith(".py") and not Path(part).exists():
            display.say(f"{part} is not here: what the store has of it as it was last is taken")


def at_equal_cost(
    train: TrainSpec, student: NetworkSpec, teacher: NetworkSpec, share: float = 1.0
) -> TrainSpec:
    """Return a training without teacher that takes the multiply-adds of one with it.

    A student's step is a pass forward and about two backward; a distillation adds a pass of the teacher, which no
    other method shares here. What a method computes beside, and Adam, is left out.

    Args:
        share: of the teacher's passes that a distillation pays for: below 1 where labels replace them.
    """
    longer = 1 + share * teacher.multiply_adds / (3 * student.multiply_adds)
    restarts = tuple(round(longer * step) for step in train.restarts)
    return train.model_copy(update={"steps": round(longer * train.steps), "restarts": restarts})


def _teacher_share(suite: Suite, store: ArtifactStore, *, readonly: bool) -> float:
    """Return `teacher_share`, which depends on the suite alone, not on the methods chosen of it."""
    methods = [sources.name_of(one) for one in _spread(suite.methods) if not one.startswith("none")]
    known = [one for one in methods if set(one.split("+")) <= set(sources.builtin())]
    return teacher_share(suite, traits(known, suite.params, store, readonly=readonly), methods, store)


def teacher_alone(plan: Plan) -> Plan:
    """Return the plan of a teacher without students, with the labels that its suite asks for.

    Args:
        plan: with at least one student.
    """
    update = {"teacher": plan.teacher, "labels": plan.suite.teacher.labels}
    return replace(plan, students=(), labels=plan.students[0].model_copy(update=update).teacher_labels)


def trial_runs(plan: Plan, method: str, count: int) -> list[Run]:
    """Return the runs of a search of a method's weights, the default's first."""
    like = next(run for run in plan.students if run.method == method)
    seed = tuning_seed(plan.suite.seeds)
    params = (trial(plan.traits[method], i) for i in range(count))
    return [Run(**dict(like) | {"params": one, "seed": seed}) for one in params]


def verdict(run: Run, plan: Plan, store: ArtifactStore) -> float | str | None:
    """Return a trial's mean PSNR-Y in dB on the validation images, or why it failed; None if it isn't done."""
    pixels = pixels_of(store, plan.suite.data.validation or "") or MISSING
    scores = kept_scores(measurement(run, pixels, plan.suite.data.scale, self_ensemble=False), store)
    if scores is not None:
        return fmean(values["psnr_y"] for values in scores.values())
    return store.failure(run)


def _tuned(plan: Plan, store: ArtifactStore, options: str, references: Mapping[str, str]) -> Plan:
    """Give each student the weights that were best on the validation images."""
    if plan.suite.data.validation is None:
        raise SrkdError("tuned weights need validation images", "--set data.validation=photos-valid")
    done: dict[str, list[tuple[Run, float]]] = {}
    for name in plan.methods:
        if weights(plan.traits[name]):
            found = ((run, verdict(run, plan, store)) for run in trial_runs(plan, name, MOST))
            tried = takewhile(lambda one: one[1] is not None, found)
            done[name] = [(run, value if isinstance(value, float) else -inf) for run, value in tried]
    most = max(map(len, done.values()), default=0)
    if lacking := [name for name, tried in done.items() if len(tried) < max(most, FEWEST)]:
        counts = ", ".join(f"{name} {len(tried)}" for name, tried in done.items())
        asked = " ".join(f"--method {references[name]}" for name in lacking)
        raise MissingError(
            f"suite {plan.suite.name} wants tuned weights, the same number of trials a method; there are: {counts}",
            f"srkd tune {options} {asked} --trials {most if most >= FEWEST else USUAL}",
        )
    best = {name: max(tried, key=lambda one: one[1])[0] for name, tried in done.items()}
    students = tuple(
        Run(**dict(run) | {"params": best[run.method].params}) if run.method in best else run
        for run in plan.students
    )
    trials = {name: tuple(run for run, _ in tried) for name, tried in done.items()}
    return replace(plan, students=students, trials=trials)


def _spread(asked: Iterable[str]) -> list[str]:
    """Return methods with `all` written out."""
    found: list[str] = []
    for one in asked:
        if one == "all":
            from srkd_bench.methods import registry

            found += registry.names()
        else:
            found.append(one)
    return list(dict.fromkeys(found))


def _code(methods: Iterable[Traits]) -> tuple[sources.Source, ...]:
    """Return the sources of the own methods among these."""
    parts = {
        name: params["sha256"] for one in methods for name, params in one.params.items() if "sha256" in params
    }
    return tuple(sources.seen(name, str(sha256)) for name, sha256 in parts.items())


def _named_parameters(suite: Suite, asked: list[str]) -> list[str]:
    """Return the installed methods that the suite has parameters for; those of own methods go with these."""
    parts = [part for reference in (*asked, *suite.methods) for part in reference.split("+")]
    own = {sources.name_of(part) for part in parts if sources.is_code(part)}
    return [name for name in suite.params if name not in own]


def _resolved(suite: Suite, store: ArtifactStore, *, readonly: bool) -> Suite:
    """Return the suite with what must be known of its networks written in."""
    teacher, student = suite.teacher, resolved(suite.student, store, readonly=readonly)
    if teacher.model is not None:
        teacher = teacher.model_copy(update={"model": resolved(teacher.model, store, readonly=readonly)})
    return suite.model_copy(update={"student": student, "teacher": teacher})


def _check_batches(methods: Mapping[str, Traits], batch: int) -> None:
    for name, method in methods.items():
        if batch < method.min_batch:
            raise SrkdError(
                f"{name} compares the images of a batch and can't work with a batch of {batch}",
                f"--set train.batch={max(8, method.min_batch)}",
            )


def _teacher(
    suite: Suite,
    pixels: str,
    none: Traits,
    store: ArtifactStore,
    display: Display,
    readonly: bool,
    optional: bool,
) -> tuple[Run | Weights, MissingError | None]:
    """Return the teacher; if it is optional and its weights are not here, a substitute and the reason."""
    if suite.teacher.weights is not None:
        try:
            _, weights = find_weights(suite.teacher, suite.data.scale, store, display, readonly=readonly)
        except MissingError as error:
            if not optional:
                raise
            return Weights(sha256=MISSING, model=suite.student), error
        if weights.model.scale != suite.data.scale:
            raise SrkdError(
                f"the teacher's weights are for scale {weights.model.scale}, the suite's is {suite.data.scale}"
            )
        return weights, None
    assert suite.teacher.model is not None
    assert suite.teacher.train is not None
    run = Run(
        model=suite.teacher.model,
        train=suite.teacher.train,
        data=suite.data.train,
        pixels=pixels,
        method="none",
        params=none.params,
        seed=0,
        teacher=None,
    )
    return run, None
