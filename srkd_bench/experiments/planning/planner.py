"""Turn a suite into a plan: the networks and scores it needs, by their identity."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product, takewhile
from math import inf
from pathlib import Path
from statistics import fmean

from srkd_bench.config.artifacts import Labels, Run, Weights
from srkd_bench.config.distinct import check_distinct
from srkd_bench.config.suite import Suite
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.data import catalog, folders
from srkd_bench.data.image_set import image_limit, pixels_of
from srkd_bench.data.packs import packed_as
from srkd_bench.evaluation.controls import check_control, is_control
from srkd_bench.evaluation.scores import kept_scores, measurement
from srkd_bench.experiments.planning.budgets import control_trainings, summary
from srkd_bench.experiments.planning.label_cost import ALL_PASSES, TeacherShares, teacher_shares
from srkd_bench.experiments.planning.teachers import MISSING, initial_network, teachers_of
from srkd_bench.experiments.planning.trials import (
    FEWEST,
    MOST,
    RATE,
    USUAL,
    searched,
    trial,
    trial_rate,
    tuning_seed,
)
from srkd_bench.methods import encoders, sources
from srkd_bench.methods.metadata import Traits, traits
from srkd_bench.networks.resolve import resolved
from srkd_bench.store.artifact_store import ArtifactStore


@dataclass(frozen=True)
class Plan:
    """A suite with its data, teachers and methods looked up.

    Args:
        teachers: the suite's teachers, also those that no student uses; all have the same network.
        fusion: the network that fuses the suite's `teachers`, of which `teachers` has the first.
        students: methods × seeds, seed by seed; with crossed teachers, once for each teacher that a method uses.
        traits: of the methods, by name.
        trials: by method, the runs that the best weights were chosen from; empty unless the suite says `tuned`.
        code: sources of own methods, so that another process can run them.
        with_teacher: whether the teachers are trained and measured.
        lacking: why the teacher's weights are missing, for a suite without methods, which does not need them.
        controls: training steps of the control columns, by name; no two are equal.
        shares: fraction of the teacher's forward passes that counts as cost of a distillation.
        labels: teacher labels to compute even if no student of the plan needs them.
        cell: name of the cell of a grid; empty outside one.
    """

    suite: Suite
    teachers: tuple[Run | Weights, ...]
    students: tuple[Run, ...]
    traits: Mapping[str, Traits]
    trials: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    code: tuple[sources.Source, ...] = ()
    with_teacher: bool = True
    lacking: MissingError | None = None
    controls: Mapping[str, int] = field(default_factory=dict)
    shares: TeacherShares = ALL_PASSES
    labels: tuple[Labels, ...] = ()
    cell: str = ""
    fusion: Run | None = None

    @property
    def all_teachers(self) -> tuple[Run | Weights, ...]:
        """The teachers; if they are fused, all of them and their fusion, in the order of their training."""
        return self.teachers if self.fusion is None else (*self.fusion.fused, self.fusion)

    @property
    def networks(self) -> tuple[Run | Weights, ...]:
        """All networks to train or load, the teachers first."""
        return (self.all_teachers if self.with_teacher else ()) + self.students

    @property
    def teacher(self) -> Run | Weights:
        """The first teacher."""
        return self.teachers[0]

    def title(self, key: Run | Weights | None) -> str:
        """Return the name of a network in messages; None is bicubic."""
        if key is None:
            return "bicubic"
        if self.fusion is not None and key in self.all_teachers:
            number = self.all_teachers.index(key) + 1
            return (
                f"teacher {number}" if key != self.fusion else f"fusion of {len(self.fusion.fused)} teachers"
            )
        if key in self.teachers:
            several = len(self.teachers) > 1
            return f"teacher seed {key.seed}" if several and isinstance(key, Run) else "teacher"
        assert isinstance(key, Run)
        return f"{self.column(key)} {self.seeds_in_words(key)}"

    def labels_title(self, key: Labels) -> str:
        """Return the name of the labels of a teacher in messages."""
        if len(self.all_teachers) < 2:
            return "teacher labels"
        return f"labels of {next(self.title(one) for one in self.all_teachers if one.digest == key.teacher)}"

    def seeds_in_words(self, run: Run) -> str:
        """Return a student's seed, and its teacher's where teachers are crossed with seeds."""
        crossed = len(self.teachers) > 1 and self.suite.teacher.seeds != "paired"
        return f"seed {run.seed}" + (
            f", teacher {run.teacher.seed}" if crossed and isinstance(run.teacher, Run) else ""
        )

    def teacher_seed(self, teacher: Run | Weights | None) -> int | None:
        """Return a teacher's seed as in scores; None if the suite has no `teacher.seeds`."""
        return teacher.seed if isinstance(teacher, Run) and self.suite.teacher.seeds is not None else None

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
        """Return the column of a student or trial: its method, or a control."""
        if run.method != "none":
            return run.method
        return next((name for name, steps in self.controls.items() if steps == run.train.steps), "none")


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
    """Resolve the names in a suite, without training. Missing data has the digest `missing`.

    Args:
        chosen: methods instead of the suite's; `all` is every installed one. Their code may run; that of the
            suite's own methods may not, since a suite may be untrusted.
        readonly: leave the store as it is, and download no weights that the suite names by their address.
        scored: the scores are from a file; the teacher's weights and tuning trials may then be missing.
        options: words of the command line that name the suite, for hints; the suite's name by default.
    Raises:
        SrkdError: an unknown method, parameter or data set, or settings that a method cannot work with.
        MissingError: the suite needs tuned weights, and its methods do not have the same number of trials.
    """
    suite = with_data(suite, store, display, readonly=readonly, scored=scored)
    suite = _resolved(suite, store, readonly=readonly)
    chosen = list(chosen)
    named_methods = chosen or suite.methods
    columns = _spread(named_methods, suite, display)
    for name in (*columns, *suite.params):
        if not sources.is_code(name):
            check_control(name)
    asked = [one for one in columns if not is_control(one)]
    about = [*asked, *_named_parameters(suite, asked), "none"]
    params = encoders.resolved(suite.params, optional=scored)
    known = traits(about, params, store, loss=suite.train.loss, readonly=readonly, allowed=chosen)
    check_distinct("methods", map(sources.name_of, named_methods))
    for name in filter(is_control, columns):
        known[name] = known["none"].model_copy(update={"summary": summary(name)})
    _tell_missing_code(asked, display)
    named = {name: known[name] for name in map(sources.name_of, columns)}
    _check_methods(named, suite)
    pixels = _known_pixels(suite, store, scored=scored)[suite.data.train] or MISSING
    teachers, fusion, lacking = teachers_of(
        suite, pixels, known["none"], store, display, readonly=readonly, optional=scored or not named
    )
    sharing = _spread(suite.methods, suite, display) if suite.teacher.labels != "patches" else []
    shares = teacher_shares(suite, sharing, store, here=pixels != MISSING, readonly=readonly)
    controls = control_trainings(suite, columns, teachers[0].model, shares.equal)
    init = initial_network(suite, store, display, readonly=readonly, scored=scored)
    students = _students(suite, pixels, teachers, fusion, named, controls, init)
    found = Plan(suite, teachers, students, named, {}, _code(named.values()), lacking is None, lacking)
    steps = {name: train.steps for name, train in controls.items()}
    found = replace(found, controls=steps, shares=shares, fusion=fusion)
    if scored or not suite.tuned:
        return found
    references = {sources.name_of(reference): reference for reference in columns}
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
    """Return the suite with the names of its folders' images, and without missing copies of test sets.

    A copy is left out only if another copy that the suite lists is available.

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

    data, train = suite.data, named(suite.data.train)
    test = list(dict.fromkeys(map(named, data.test)))
    here = {catalog.base(name) for name in test if not scored and pixels_of(store, name)}
    absent = [name for name in test if catalog.base(name) in here and not pixels_of(store, name)]
    if absent:
        display.say(f"left out: {', '.join(absent)}, of which another copy is here")
    update = {
        "train": train,
        "images": image_limit(data.images, store, train),
        "validation": data.validation and named(data.validation),
        "test": [name for name in test if name not in absent],
    }
    return suite.model_copy(update={"data": data.model_copy(update=update)})


def _students(
    suite: Suite,
    pixels: str,
    teachers: Sequence[Run | Weights],
    fusion: Run | None,
    methods: Mapping[str, Traits],
    controls: Mapping[str, TrainSpec],
    init: Run | Weights | None,
) -> tuple[Run, ...]:
    """Return a run for each seed, teacher and method, seed by seed; without a teacher, one for each seed."""
    found = []
    for number, seed in enumerate(suite.seeds):
        own = teachers[number : number + 1] if suite.teacher.seeds == "paired" else teachers
        for teacher, (name, method) in product(own, methods.items()):
            if teacher is not own[0] and not method.looks:
                continue
            train = controls.get(name, suite.train)
            run = Run(
                model=suite.student,
                # A student that is not stacked is the same run as in a suite without stacks.
                train=train if method.stacks else train.model_copy(update={"stacked": False}),
                data=suite.data.train,
                pixels=pixels,
                images=suite.data.images,
                method="none" if name in controls else name,
                params=method.params,
                seed=seed,
                teacher=(fusion or teacher if method.fuses else teacher) if method.looks else None,
                labels=suite.teacher.labels if method.labels else "patches",
                init=init,
            )
            found.append(run)
    return tuple(found)


def _tell_missing_code(references: Iterable[str], display: Display) -> None:
    """Say which of the user's own methods are taken from the store."""
    for part in (part for reference in references for part in reference.split("+")):
        if part.endswith(".py") and not Path(part).exists():
            display.say(f"{part} is missing: its latest version in the store is used")


def trial_runs(plan: Plan, column: str, count: int) -> list[Run]:
    """Return the runs of a search of a method's weights, or of a control's learning rate, the default's first."""
    like = next(run for run in plan.students if plan.column(run) == column)
    teacher = like.teacher and (plan.fusion if like.teacher == plan.fusion else tuning_teacher(plan))
    fixed = {"seed": tuning_seed(plan.suite.seeds), "teacher": teacher}
    if like.method != "none":
        params = (trial(plan.traits[column], i) for i in range(count))
        return [Run(**dict(like) | fixed | {"params": one}) for one in params]
    rates = (trial_rate(like.train.learning_rate, i) for i in range(count))
    return [Run(**dict(like) | fixed | {"train": like.train.model_copy(update={RATE: one})}) for one in rates]


def tuning_teacher(plan: Plan) -> Run | Weights:
    """Return the teacher of all trials: that of seed 0, so that the trials do not depend on the suite's seeds."""
    return Run(**dict(plan.teacher) | {"seed": 0}) if isinstance(plan.teacher, Run) else plan.teacher


def verdict(run: Run, plan: Plan, store: ArtifactStore) -> float | str | None:
    """Return a trial's mean PSNR-Y in dB on the validation images, or why it failed; None if it is not done."""
    pixels = pixels_of(store, plan.suite.data.validation or "") or MISSING
    scores = kept_scores(measurement(run, pixels, plan.suite.data.scale, self_ensemble=False), store)
    if scores is not None:
        return fmean(values["psnr_y"] for values in scores.values())
    return store.failure(run)


def _tuned(plan: Plan, store: ArtifactStore, options: str, references: Mapping[str, str]) -> Plan:
    """Give each student the weights or learning rate that were best on the validation images, but not `none`."""
    if plan.suite.data.validation is None:
        raise SrkdError("tuned weights need validation images", "--set data.validation=photos-valid")
    done: dict[str, list[tuple[Run, float]]] = {}
    for name in plan.methods:
        if name != "none" and searched(name, plan.traits[name]):
            found = ((run, verdict(run, plan, store)) for run in trial_runs(plan, name, MOST))
            tried = takewhile(lambda one: one[1] is not None, found)
            done[name] = [(run, value if isinstance(value, float) else -inf) for run, value in tried]
    most = max(map(len, done.values()), default=0)
    if lacking := [name for name, tried in done.items() if len(tried) < max(most, FEWEST)]:
        counts = ", ".join(f"{name} {len(tried)}" for name, tried in done.items())
        asked = " ".join(f"--method {references[name]}" for name in lacking)
        raise MissingError(
            f"suite {plan.suite.name} needs the same number of tuning trials for each method; available: {counts}",
            f"srkd tune {options} {asked} --trials {most if most >= FEWEST else USUAL}",
        )
    best = {name: max(tried, key=lambda one: one[1])[0] for name, tried in done.items()}
    chosen = [(run, best.get(plan.column(run), run)) for run in plan.students]
    students = tuple(Run(**dict(run) | {"params": one.params, "train": one.train}) for run, one in chosen)
    trials = {name: tuple(run for run, _ in tried) for name, tried in done.items()}
    return replace(plan, students=students, trials=trials)


def _spread(asked: Iterable[str], suite: Suite, display: Display) -> list[str]:
    """Return methods with `all` written out; it leaves out those that need what the suite does not have."""
    found: list[str] = []
    for one in asked:
        if one != "all":
            found.append(one)
            continue
        from srkd_bench.methods import registry

        for name in registry.names():
            method, given = registry.find(name), suite.params.get(name, {})
            needs = ["several teachers"] * (method.fuses and not suite.teachers)
            needs += [f"params.{name}.{key}" for key in registry.required(method) if not given.get(key)]
            if needs:
                display.say(f"left out of all: {name}, which needs {' and '.join(needs)}")
            else:
                found.append(name)
    return list(dict.fromkeys(found))


def _code(methods: Iterable[Traits]) -> tuple[sources.Source, ...]:
    """Return the sources of the own methods among these, and the encoder files that methods use."""
    parts = [part for one in methods for part in one.params.items()]
    own = {name: params["sha256"] for name, params in parts if "sha256" in params}
    files = [encoders.source_of(value) for _, params in parts for value in params.values()]
    code = [sources.seen(name, str(sha256)) for name, sha256 in own.items()]
    return (*code, *dict.fromkeys(file for file in files if file is not None))


def _named_parameters(suite: Suite, asked: list[str]) -> list[str]:
    """Return the installed methods that the suite has parameters for; those of own methods go with these."""
    parts = [part for name in (*asked, *suite.methods) for part in (name, *name.split("+"))]
    own = {sources.name_of(part) for part in parts if any(map(sources.is_code, part.split("+")))}
    return [name for name in suite.params if name not in own and not is_control(name)]


def _resolved(suite: Suite, store: ArtifactStore, *, readonly: bool) -> Suite:
    """Return the suite with what must be known of its networks written in."""
    known = partial(resolved, store=store, readonly=readonly)
    teachers = [
        one.model_copy(update={"model": one.model and known(one.model)}) for one in suite.all_teachers
    ]
    several = {"teachers": teachers} if suite.teachers else {}
    return suite.model_copy(update={"student": known(suite.student), "teacher": teachers[0], **several})


def _check_methods(methods: Mapping[str, Traits], suite: Suite) -> None:
    for name, method in methods.items():
        if suite.train.batch < method.min_batch:
            raise SrkdError(
                f"{name} compares the images of a batch and cannot work with a batch of {suite.train.batch}",
                f"--set train.batch={max(8, method.min_batch)}",
            )
        if suite.train.patch < (least := method.min_patch):
            problem = f"{name} needs patches of {least} LR pixels or more, not {suite.train.patch}"
            raise SrkdError(problem, f"--set train.patch={2 * least}")
        if method.fuses and not suite.teachers:
            raise SrkdError(
                f"{name} learns from the fusion of several teachers, and suite {suite.name} has one",
                "list two or more under teachers instead of teacher: teachers: [{weights: A.pt}, {weights: B.pt}]",
            )
        if method.lacking:
            raise SrkdError(
                f"{name} needs an encoder file: {', '.join(method.lacking)}",
                f"--set {method.lacking[0]}=FILE.pt2; the method's page says what the file returns",
            )
