"""Train a teacher in the processes that torchrun started."""

import time

from srkd_bench.config.artifacts import Run
from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.core.signals import deadly
from srkd_bench.core.worker_progress import Relay
from srkd_bench.data.image_set import open_set
from srkd_bench.data.patches import Patches
from srkd_bench.experiments.executors.serial import do, do_all
from srkd_bench.experiments.executors.worker import begin
from srkd_bench.experiments.planning.grid import Plans, plans_of, teachers_in
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import tasks
from srkd_bench.experiments.runs.train import initial_state, sample_of
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import RunOptions, Workplace
from srkd_bench.training.devices import choose_device
from srkd_bench.training.distributed import ALONE, Ranks, check_shareable, join
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit

LOOK_SECONDS = 0.5  # between two looks for the teacher of rank 0


def execute(plan: Plans, store: ArtifactStore, display: Display, options: RunOptions) -> list[SrkdError]:
    """Execute a plan as rank 0, or alone without torchrun; see `Executor`."""
    place = Workplace(store, display, choose_device(options.devices), options)
    ranks = lead(plan, place)
    begin(plan, place)
    return do_all(plan, place, ranks)


def lead(plan: Plans, place: Workplace) -> Ranks:
    """Return the ranks that train the missing teacher together: those started by torchrun, or this process alone.

    Raises:
        SrkdError: they cannot share the training of the plan's teacher, or several teachers are missing.
    """
    if not _missing(plan, place.store):
        join(place.device).tell(None)
        return ALONE
    check_ranks(plan, place.store)
    return join(place.device)


def check_ranks(plan: Plans, store: ArtifactStore) -> None:
    """Check that torchrun's processes can share the training of a plan's teacher, if it must be trained.

    Raises:
        SrkdError: they cannot.
    """
    missing = _missing(plan, store)
    if len(missing) > 1 and torchrun_env.ranks() > 1:
        hint = (
            "train them without torchrun"
            if any(one.fusion for one in plans_of(plan))
            else f"--set teacher.seeds=[{missing[0].seed}], then the others"
        )
        raise SrkdError(f"torchrun trains one teacher at a time; {len(missing)} are missing", hint)
    for run in missing:
        check_shareable(run, torchrun_env.ranks())


def _missing(plan: Plans, store: ArtifactStore) -> list[Run]:
    """Return the teachers that are to be trained."""
    return [one for one in teachers_in(plan) if isinstance(one, Run) and not store.has(one)]


def label(plan: Plan, store: ArtifactStore, device_name: str) -> None:
    """Compute labels together with rank 0, once it has stored the teacher they are of; print nothing."""
    place = Workplace(store, Relay(lambda news: None, ""), choose_device(device_name))
    for task in tasks(plan, store):
        if task.labels is not None:
            (teacher,) = task.networks
            while teacher is not None and not store.has(teacher):  # torchrun ends this rank if rank 0 fails
                time.sleep(LOOK_SECONDS)
                store.look_again()
            do(task, plan, place)


def follow(store: ArtifactStore, device_name: str) -> None:
    """Train together with rank 0 on this rank's part of each batch, without writing, printing or measuring.

    Raises:
        SrkdError: this rank's machine does not share the store with rank 0.
        Stopped: a signal reached one of the ranks; rank 0 has written a checkpoint.
    """
    device = choose_device(device_name)
    with deadly():
        ranks = join(device)
        training = ranks.hear()
    if training is None:
        ranks.leave()
        return
    run = training.run
    images = open_set(store, run.data, run.model.scale)
    store.take_up([run])
    if images.pixels != run.pixels or checkpoints.steps_done(store.work(run)) != training.done:
        raise SrkdError(
            f"{store.home} holds other images or another checkpoint than rank 0's",
            "--home on a file system that all machines share",
        )
    sample, init = sample_of(images, run.train, run.images), initial_state(run, store)
    learner = Learner(run, None, None, sample, store.work(run), device, ranks, init)
    patches = Patches(images, run.train, run.seed, ranks.part(run.train.batch), count=run.images)
    fit([learner], None, patches, device=device)
