"""Train the networks of a plan that the store does not have."""

import json
import platform
import time
from collections import Counter

import torch
from torch import Tensor

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.suite import DataSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.files import put, room_for, write
from srkd_bench.core.provenance import device_name, provenance
from srkd_bench.core.units import clock
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.patches import Patches
from srkd_bench.evaluation.scoring import validation
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.trials import in_words, varied
from srkd_bench.methods import registry
from srkd_bench.networks.loading import to_safetensors
from srkd_bench.networks.stored import adopt_weights, load
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, EVENTS, FAILED, WEIGHTS
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.distributed import ALONE, Ranks, Training
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit
from srkd_bench.training.teacher_cache import TeacherCache, TeacherSR, open_cache

SAMPLE = 64  # training patches that a method's adapter may take statistics of


def ensure_teacher(
    plan: Plan, images: ImageSet, place: Workplace, ranks: Ranks | None = None
) -> list[SrkdError]:
    """Train the suite's teacher, or take its weights into the store, unless it is there; return why it failed.

    Raises:
        Stopped: a signal came; a checkpoint is written.
    """
    if isinstance(plan.teacher, Run):
        return ensure_group([plan.teacher], images, plan.suite.data, place, ranks)
    adopt_weights(plan.suite.teacher, plan.suite.data.scale, place)
    return []


def ensure_group(
    runs: list[Run], images: ImageSet, data: DataSpec, place: Workplace, ranks: Ranks | None = None
) -> list[SrkdError]:
    """Make the runs that are missing, side by side on the same batches, and return what failed.

    Raises:
        Stopped: a signal came; checkpoints are written.
    """
    store, ranks = place.store, ranks or ALONE
    with store.locked(f"run-{run.digest[:20]}" for run in runs if not store.has(run)):
        runs = [run for run in runs if not store.has(run)]
        if not runs:
            ranks.tell(None)  # another process was faster
            return []
        begun = time.monotonic()
        train, seed = runs[0].train, runs[0].seed
        known = next((run.teacher for run in runs if run.teacher), None)
        teacher = load(known, store).to(place.device).requires_grad_(False) if known else None
        if teacher and train.compile:
            teacher.compile()
        sample = sample_of(images, train)
        store.take_up(runs)
        room_for(
            store.home, sum(2 * 16 * run.model.parameters for run in runs)
        )  # a checkpoint beside the last
        ranks.tell(Training(runs[0], checkpoints.steps_done(store.work(runs[0]))))
        learners: dict[str, Learner] = {}
        for run, name in zip(runs, _names(runs), strict=True):
            (store.work(run) / FAILED).unlink(missing_ok=True)
            method = registry.rebuild(run.method, run.params)
            sees = teacher if method.looks else None
            learners[name] = Learner(run, method, sees, sample, store.work(run), place.device, ranks)
        validate = None
        if data.validation is not None:
            validate = validation(open_set(store, data.validation, data.scale), place.device)
        cache = _cache(runs, known, data.scale, place) if known else None
        counts = Counter(run.method for run in runs)
        who = ", ".join(f"{name} ×{n}" if n > 1 else name for name, n in counts.items())
        title = f"{runs[0].model}, seed {seed}: {who}"
        first = min(learner.step for learner in learners.values())
        place.display.say(f"training {title}" + (f", from step {first:,}" if first else ""))
        with place.display.training(f"seed {seed}", first, train.steps) as move:
            fit(
                list(learners.values()),
                teacher,
                Patches(images, train, seed, ranks.part(train.batch)),
                device=place.device,
                checkpoint_seconds=place.options.checkpoint_seconds,
                cache=cache,
                validate=validate,
                watch=lambda step: move(step, learners),
                hand_on=lambda last: store.hand_on(runs, last=last),
            )
        if cache:
            cache.close()
        failures = [learner.error for learner in learners.values() if learner.error]
        for learner in learners.values():
            _keep(learner, sorted(learners), store)
        if not failures:
            place.display.say(f"trained  {title} in {clock(time.monotonic() - begun)}")
        return failures


def sample_of(images: ImageSet, train: TrainSpec) -> Tensor:
    """Return the LR training patches, (64, 3, patch, patch), that a method's adapter may take statistics of."""
    return Patches(images, train.model_copy(update={"batch": SAMPLE}), "sample").batch(0)[0]


def _names(runs: list[Run]) -> list[str]:
    """Return what tells the runs of a group apart: the method, and its weights where it is there several times."""
    counts = Counter(run.method for run in runs)
    return [
        run.method if counts[run.method] == 1 else f"{run.method} {in_words(run.params, varied(run, runs))}"
        for run in runs
    ]


def _cache(runs: list[Run], teacher: Run | Weights, scale: int, place: Workplace) -> TeacherCache | None:
    train = runs[0].train
    key = TeacherSR(
        teacher=teacher.digest,
        pixels=runs[0].pixels,
        scale=scale,
        seed=runs[0].seed,
        batch=train.batch,
        patch=train.patch,
        augment=train.augment,
        precision=train.precision,
        compile=train.compile,
        machine=f"{platform.machine()} {device_name(place.device)}, torch {torch.__version__},"
        f" {torch.get_num_threads()} threads",
    )
    cache, why = open_cache(key, train, place.store, place.options.teacher_cache)
    if why:
        place.display.say(f"what the teacher sees is not kept for later runs: {why}")
    return cache


def _keep(learner: Learner, group: list[str], store: ArtifactStore) -> None:
    """Put a finished run into the store; of a failed one, keep the reason beside its last checkpoint."""
    if learner.error is not None:
        learner.folder.mkdir(exist_ok=True)
        put(learner.folder / FAILED, json.dumps({"error": learner.error.message}))
        return
    with store.writing(learner.run) as folder:
        write(folder / WEIGHTS, to_safetensors(learner.student))
        write(folder / EVENTS, "".join(json.dumps(event) + "\n" for event in learner.events))
        card = provenance(learner.device) | {"seconds": round(learner.seconds, 1), "trained beside": group}
        if learner.ranks.size > 1:
            card["ranks"] = learner.ranks.size
        write(folder / CARD, json.dumps(card, indent=1))
