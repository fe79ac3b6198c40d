"""Train the networks of a plan that are not in the store."""

import json
import time
from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from typing import Literal

from torch import Tensor

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.suite import DataSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.files import put, room_for, write
from srkd_bench.core.progress import last_values
from srkd_bench.core.provenance import provenance
from srkd_bench.core.units import clock
from srkd_bench.data.catalog import copy_name
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.labels import LabelReader
from srkd_bench.data.patches import Patches
from srkd_bench.evaluation.scoring import validation
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import columns_in_words, seeds_in_words, teacher_of
from srkd_bench.experiments.planning.teachers import initial_weights
from srkd_bench.experiments.planning.trials import in_words, varied
from srkd_bench.experiments.runs.labels import open_labels
from srkd_bench.methods import registry
from srkd_bench.networks.architectures.fusion import fused_state
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import to_safetensors
from srkd_bench.networks.stored import adopt_weights, load
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, EVENTS, FAILED, WEIGHTS
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.compilation import compile_network
from srkd_bench.training.distributed import ALONE, Ranks, Training
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit

SAMPLE = 64  # training patches for the statistics of a method's adapter


def ensure_teacher(
    plan: Plan,
    images: ImageSet,
    place: Workplace,
    ranks: Ranks | None = None,
    teacher: Run | Weights | None = None,
) -> list[SrkdError]:
    """Train a teacher of the suite, or import its weights, if it is missing in the store; return the failures.

    Args:
        teacher: the plan's first if not given.
    Raises:
        Stopped: a signal arrived; a checkpoint is written.
    """
    teacher = teacher or plan.teacher
    if isinstance(teacher, Run):
        title = f"teacher {teacher.model}" + (" (1 of 2)" if plan.students else "")
        if plan.fusion is not None:
            title = (
                f"{plan.title(teacher)}: {teacher.model}" if teacher != plan.fusion else plan.title(teacher)
            )
        elif len(plan.teachers) > 1:
            place_in_order = f"{plan.teachers.index(teacher) + 1} of {len(plan.teachers)} teachers"
            title = f"teacher {teacher.model}, seed {teacher.seed} ({place_in_order})"
        return ensure_group([teacher], images, plan.suite.data, place, title, ranks, "teacher")
    if not place.store.has(teacher):
        number = plan.all_teachers.index(teacher) if plan.fusion else 0
        adopt_weights(plan.suite.all_teachers[number], plan.suite.data.scale, place)
    return []


def ensure_students(runs: list[Run], plan: Plan, images: ImageSet, place: Workplace) -> list[SrkdError]:
    """Train the students of a group that are missing; see `ensure_group`."""
    seeds = list(dict.fromkeys(run.seed for run in plan.students))
    missing = [run for run in runs if not place.store.has(run)]
    if missing and isinstance(missing[0].init, Weights) and not place.store.has(missing[0].init):
        adopt_weights(initial_weights(plan.suite), 2, place)
    title = f"{len(missing)} student{'s' * (len(missing) != 1)}"
    if missing:
        title += f", {seeds_in_words(missing, plan)}"
    if len({run.seed for run in missing}) == 1 and len(seeds) > 1:
        title += f" ({seeds.index(missing[0].seed) + 1} of {len(seeds)} seeds)"
    title += f" of {plan.cell}" if plan.cell else ""
    return ensure_group(runs, images, plan.suite.data, place, title, column=plan.column)


def ensure_group(
    runs: list[Run],
    images: ImageSet,
    data: DataSpec,
    place: Workplace,
    title: str,
    ranks: Ranks | None = None,
    role: Literal["student", "teacher"] = "student",
    column: Callable[[Run], str] = attrgetter("method"),
) -> list[SrkdError]:
    """Train the missing runs together, those of a seed on the same batches, and return the failures.

    Args:
        title: name of the group in messages.
        role: of the networks, for their cards.
        column: what messages call a run.
    Raises:
        Stopped: a signal arrived; checkpoints are written.
    """
    store, ranks = place.store, ranks or ALONE
    with store.locked(run.lock for run in runs if not store.has(run)):
        runs = [run for run in runs if not store.has(run)]
        if not runs:
            ranks.tell(None)  # another process was faster
            return []
        begun = time.monotonic()
        teacher = _loaded_teacher(runs, place)
        learners = _learners(runs, teacher, images, place, ranks)
        first = min(learner.step for learner in learners.values())
        resumed = f", resumed from step {first:,}" if first else ""
        methods = "" if role == "teacher" else f": {columns_in_words(map(column, runs))}"
        place.display.say(f"Training {title}{resumed}{methods}")
        _fit(learners, teacher, images, data, place)
        for learner in learners.values():
            _keep(learner, role, sorted(learners), store)
        failures = [learner.error for learner in learners.values() if learner.error]
        if not failures:
            place.display.say(f"Trained {title}{methods} in {clock(time.monotonic() - begun)}")
        for line in last_values(learners):
            place.display.say(line)
        return failures


def _loaded_teacher(runs: list[Run], place: Workplace) -> Architecture | None:
    """Return the teacher that the runs of a group share, None if no run needs more of it than labels."""
    known = teacher_of(runs)
    if known is None or not any(map(_needs_network, runs)):
        return None
    teacher = load(known, place.store).to(place.device).requires_grad_(False)
    compile_network(teacher, runs[0].train.compile)
    return teacher


def _needs_network(run: Run) -> bool:
    """Return whether a training needs its teacher's network; labels replace it for methods that use only its SR."""
    method = registry.rebuild(run.method, run.params)
    return method.uses("features", "network") or (run.teacher_labels is None and method.uses("sr"))


def _learners(
    runs: list[Run], teacher: Architecture | None, images: ImageSet, place: Workplace, ranks: Ranks
) -> dict[str, Learner]:
    """Return the learners of a group by name, at their first step or resumed from their checkpoints."""
    store, sample = place.store, sample_of(images, runs[0].train, runs[0].images)
    store.take_up(runs)
    init = initial_state(runs[0], store)
    room_for(store.home, sum(2 * 16 * run.model.parameters for run in runs))  # two checkpoints
    ranks.tell(Training(runs[0], checkpoints.steps_done(store.work(runs[0]))))
    for run in runs:
        (store.work(run) / FAILED).unlink(missing_ok=True)
    return {
        name: Learner(run, None, teacher, sample, store.work(run), place.device, ranks, init)
        for run, name in zip(runs, _names(runs), strict=True)
    }


def initial_state(run: Run, store: ArtifactStore) -> dict[str, Tensor]:
    """Return the weights of other networks that a training starts from: `run.init`, or those that it fuses."""
    if run.fused:
        return fused_state([load(one, store).state_dict() for one in run.fused])
    return load(run.init, store).state_dict() if run.init else {}


def _fit(
    learners: dict[str, Learner],
    teacher: Architecture | None,
    images: ImageSet,
    data: DataSpec,
    place: Workplace,
) -> None:
    """Train the learners of a group and show the progress."""
    runs, group = [one.run for one in learners.values()], list(learners.values())
    train, ranks = runs[0].train, group[0].ranks
    first = min(learner.step for learner in group)
    labels = _labels(runs, images, place)
    validate = None
    if data.validation is not None:
        validate = validation(open_set(place.store, data.validation, data.scale), place.device)
    seeds = dict.fromkeys(run.seed for run in runs)
    with place.display.training(_seeds(runs), first, train.steps) as move:
        fit(
            group,
            teacher,
            {
                seed: Patches(images, train, seed, ranks.part(train.batch), labels, runs[0].images)
                for seed in seeds
            },
            device=place.device,
            checkpoint_seconds=place.options.checkpoint_seconds,
            validate=validate,
            watch=lambda step: move(step, learners),
            hand_on=lambda last: place.store.hand_on(runs, last=last),
        )


def _labels(runs: list[Run], images: ImageSet, place: Workplace) -> LabelReader | None:
    """Open the labels that the runs of a group share; None if they use none."""
    for run in runs:
        if run.teacher is not None and (key := run.teacher_labels) is not None:
            return open_labels(key, run.teacher, run.train, images, place)
    return None


def sample_of(images: ImageSet, train: TrainSpec, count: int | None) -> Tensor:
    """Return the LR training patches, (64, 3, patch, patch), for the statistics of a method's adapter.

    Args:
        count: number of training images; None: all.
    """
    sampled = train.model_copy(update={"batch": SAMPLE})
    return Patches(images, sampled, "sample", count=count).batch(0)[0]


def _names(runs: list[Run]) -> list[str]:
    """Return distinct names for the runs of a group: the method, with its seed or loss weights if repeated."""
    if len({run.seed for run in runs}) > 1:
        return [f"{run.method} seed {run.seed}" for run in runs]
    counts = Counter(run.method for run in runs)
    return [
        run.method if counts[run.method] == 1 else f"{run.method} {in_words(run.params, varied(run, runs))}"
        for run in runs
    ]


def _seeds(runs: list[Run]) -> str:
    """Return the seeds of a group of runs in words."""
    seeds = dict.fromkeys(run.seed for run in runs)
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _keep(learner: Learner, role: str, group: list[str], store: ArtifactStore) -> None:
    """Store a finished run; for a failed one, store the reason next to its last checkpoint."""
    if learner.error is not None:
        learner.folder.mkdir(exist_ok=True)
        put(learner.folder / FAILED, json.dumps({"error": learner.error.message}))
        return
    with store.writing(learner.run) as folder:
        write(folder / WEIGHTS, to_safetensors(learner.result))
        write(folder / EVENTS, "".join(json.dumps(event) + "\n" for event in learner.events))
        card = provenance(learner.device) | {"role": role, "seconds": round(learner.seconds, 3)}
        card["trained beside"] = group
        card["dataset"] = copy_name(learner.run.data, learner.run.pixels)
        if learner.ranks.size > 1:
            card["ranks"] = learner.ranks.size
        write(folder / CARD, json.dumps(card, indent=1))
