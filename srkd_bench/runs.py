"""Making what a plan asks for and the store doesn't have: networks and scores."""

import json
import os
import platform
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import torch
from torch import Tensor

from srkd_bench import __version__, checkpoint, methods, torchrun
from srkd_bench.architecture import Architecture
from srkd_bench.config import DataSpec, Run, TeacherSpec, TrainSpec, Weights
from srkd_bench.disk import put, room_for, write
from srkd_bench.distributed import ALONE, Ranks, Training
from srkd_bench.errors import MissingError, SrkdError, command_line
from srkd_bench.evaluate import Upscaler, bicubic, network, score, validation
from srkd_bench.foreign import Foreign
from srkd_bench.models import load_weights, to_safetensors
from srkd_bench.packs import ImageSet, check_patch, open_set, pixels_of
from srkd_bench.patches import Patches
from srkd_bench.planning import CARD, EVENTS, FAILED, SCORES, WEIGHTS, Plan, kept_scores, measurement
from srkd_bench.pretrained import find_weights
from srkd_bench.progress import Display, clock
from srkd_bench.scores import Scores
from srkd_bench.store import ArtifactStore
from srkd_bench.survey import looked_over
from srkd_bench.teacher_cache import TeacherCache, TeacherSR, open_cache
from srkd_bench.train import Learner, fit
from srkd_bench.trials import in_words, varied

SAMPLE = 64  # training patches that a method's adapter may take statistics of
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Workplace:
    """Where and how work is done; nothing here changes a number."""

    store: ArtifactStore
    display: Display
    device: torch.device = CPU
    checkpoint_seconds: float | None = None
    teacher_cache: float = 0.0  # bytes that the teacher's kept SR may take
    ranks: Ranks = ALONE  # that train a teacher together


def prepare(plan: Plan, place: Workplace) -> tuple[ImageSet, list[ImageSet]]:
    """Return training and test images, after checking all that can be checked before work starts.

    Raises:
        SrkdError: data is missing, a patch is larger than an image, or the device can't do the precision.
    """
    suite = plan.suite
    specs = [suite.train, *([plan.teacher.train] if isinstance(plan.teacher, Run) else [])]
    asked = {spec.precision for spec in specs}
    if place.device.type == "cpu" and (lacking := asked & {"tf32", "fp16"}):
        raise SrkdError(f"precision {min(lacking)} needs a CUDA device", "--set train.precision=bf16")
    missing = [name for name in suite.data.names if pixels_of(place.store, name) is None]
    if missing:
        names = " ".join(missing)
        raise MissingError(f"data sets that are not here: {names}", f"srkd download {names}")
    train = open_set(place.store, suite.data.train, suite.data.scale, place.display)
    for spec in specs:
        check_patch(train, spec.patch)
    return train, [open_set(place.store, name, suite.data.scale, place.display) for name in suite.data.test]


def check_methods(plan: Plan, place: Workplace) -> None:
    """See that the methods of what is to be trained are here: own ones may have gone, or not be allowed to run.

    Raises:
        SrkdError: one isn't.
    """
    for run in plan.students:
        if not place.store.has(run):
            methods.rebuild(run.method, run.params)


def ensure_teacher(plan: Plan, images: ImageSet, place: Workplace) -> list[SrkdError]:
    """Train the suite's teacher, or take its weights into the store, unless it is there; return why it failed.

    Raises:
        Stopped: a signal came; a checkpoint is written.
    """
    if isinstance(plan.teacher, Run):
        return ensure_group([plan.teacher], images, plan.suite.data, place)
    adopt_weights(plan.suite.teacher, plan.suite.data.scale, place)
    return []


def ensure_group(runs: list[Run], images: ImageSet, data: DataSpec, place: Workplace) -> list[SrkdError]:
    """Make the runs that are missing, side by side on the same batches, and return what failed.

    Raises:
        Stopped: a signal came; checkpoints are written.
    """
    store = place.store
    with store.locked(f"run-{run.digest[:20]}" for run in runs if not store.has(run)):
        runs = [run for run in runs if not store.has(run)]
        if not runs:
            place.ranks.tell(None)  # another process was faster
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
        place.ranks.tell(Training(runs[0], checkpoint.steps_done(store.work(runs[0]))))
        learners: dict[str, Learner] = {}
        for run, name in zip(runs, _names(runs), strict=True):
            (store.work(run) / FAILED).unlink(missing_ok=True)
            method = methods.rebuild(run.method, run.params)
            sees = teacher if method.looks else None
            learners[name] = Learner(run, method, sees, sample, store.work(run), place.device, place.ranks)
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
                Patches(images, train, seed, place.ranks.part(train.batch)),
                device=place.device,
                checkpoint_seconds=place.checkpoint_seconds,
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
        machine=f"{platform.machine()} {_device_name(place.device)}, torch {torch.__version__},"
        f" {torch.get_num_threads()} threads",
    )
    cache, why = open_cache(key, train, place.store, place.teacher_cache)
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
        card = _card(learner.device) | {"seconds": round(learner.seconds, 1), "trained beside": group}
        if learner.ranks.size > 1:
            card["ranks"] = learner.ranks.size
        write(folder / CARD, json.dumps(card, indent=1))


def _card(device: torch.device) -> dict[str, object]:
    return {
        "srkd": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "device": _device_name(device),
        "command": command_line(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _device_name(device: torch.device) -> str:
    """Return what decides how sums are rounded: the GPU, or the instructions that torch takes on this processor."""
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else torch.backends.cpu.get_cpu_capability()
    return f"{device.type} {name}"


def adopt_weights(where: str | TeacherSpec, scale: int, place: Workplace) -> Weights:
    """Take a file, address or `edsr-official` into the store, and return its key."""
    where = TeacherSpec(weights=where) if isinstance(where, str) else where
    path, weights = find_weights(where, scale, place.store, place.display)
    with place.store.locked([f"weights-{weights.digest[:20]}"]):
        if not place.store.has(weights):
            model = load_weights(path, where.blocks, where.overlap)
            with place.store.writing(weights) as folder:
                write(folder / WEIGHTS, to_safetensors(model))
                write(folder / CARD, json.dumps(_card(CPU) | {"from": where.weights}, indent=1))
    return weights


def load(key: Run | Weights, store: ArtifactStore) -> Architecture:
    """Return a finished network, its file checked against what was written.

    Raises:
        MissingError: it isn't in the store. IntegrityError: the file has changed.
    """
    model = load_weights(store.file(key, WEIGHTS))
    return looked_over(model) if isinstance(model, Foreign) else model


def measured(
    key: Run | Weights | None,
    images: ImageSet,
    place: Workplace,
    *,
    title: str = "",
    self_ensemble: bool = False,
) -> Scores:
    """Return the scores of a finished network (None: bicubic) on a data set, from the store or measured now."""
    wanted = measurement(key, images.pixels, images.scale, self_ensemble=self_ensemble)
    if (found := kept_scores(wanted, place.store)) is not None:
        return found
    with place.store.locked([f"score-{wanted.digest[:20]}"]):
        if (found := kept_scores(wanted, place.store)) is not None:  # another process was faster
            return found
        card = _card(place.device)
        upscale: Upscaler = bicubic(images.scale)
        if key is not None:
            upscale = network(
                load(key, place.store), device=place.device, self_ensemble=self_ensemble, card=card
            )
        with place.display.bar(f"measuring {title} on {images.name}") as tick:
            scores = score(upscale, images, tick)
        with place.store.writing(wanted) as folder:
            write(folder / SCORES, json.dumps({"dataset": images.name, "images": scores}))
            write(folder / CARD, json.dumps(card, indent=1))
    return scores


def ensure_scores(
    networks: Iterable[Run | Weights | None], plan: Plan, tests: list[ImageSet], place: Workplace
) -> None:
    """Measure those of a plan's networks (None: bicubic) that are finished on the suite's data sets."""
    finished = [key for key in networks if key is None or place.store.has(key)]
    for images in tests:
        for key in finished:
            measured(
                key, images, place, title=plan.title(key), self_ensemble=plan.suite.evaluate.self_ensemble
            )


def choose_device(name: str) -> torch.device:
    """Return the device by its name; `auto` is CUDA where there is one. Each of torchrun's ranks has its own GPU.

    Raises:
        SrkdError: it isn't there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SrkdError(f"no device named '{name}'", "auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and torchrun.ranks() > 1:
        if device.index is not None or torchrun.local_ranks() > torch.cuda.device_count():
            raise SrkdError(
                f"{torchrun.local_ranks()} ranks can't have a GPU each: {torch.cuda.device_count()} are here",
                "torchrun --nproc-per-node gpu -m srkd_bench … --device cuda",
            )
        device = torch.device("cuda", torchrun.local_rank())
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SrkdError(f"device '{name}' is not here", "--device cpu")
    if device.type not in ("cpu", "cuda"):
        raise SrkdError(f"device '{name}' is not supported", "--device cpu or cuda")
    return device


def choose_devices(names: str, jobs: int | None = None) -> list[torch.device]:
    """Return a device for each process that shall work at once.

    Args:
        names: divided by commas; `auto` is every CUDA device, or the CPU where there is none, and `all` insists on
            CUDA.
        jobs: how many processes, on these devices in turn; one a device if not given.
    Raises:
        SrkdError: a device isn't there, or is named twice.
    """
    count = torch.cuda.device_count()
    if names == "all" and not count:
        raise SrkdError("there is no CUDA device here", "--device cpu --jobs 2")
    if names in ("auto", "all") and count > 1:
        found = [torch.device("cuda", i) for i in range(count)]
    else:
        found = [choose_device("auto" if name == "all" else name.strip()) for name in names.split(",")]
    if len(set(found)) < len(found):
        raise SrkdError(f"a device is named twice in '{names}'", "--jobs sets the number of processes")
    return [found[i % len(found)] for i in range(jobs or len(found))]
