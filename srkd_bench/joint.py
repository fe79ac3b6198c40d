"""A teacher's training that torchrun's processes share: rank 0 does what one process would, the others follow."""

from dataclasses import replace

from srkd_bench import checkpoint, methods, torchrun
from srkd_bench.config import Run
from srkd_bench.distributed import check_shareable, join
from srkd_bench.errors import SrkdError
from srkd_bench.packs import open_set
from srkd_bench.patches import Patches
from srkd_bench.planning import Plan
from srkd_bench.runs import Workplace, choose_device, sample_of
from srkd_bench.signals import deadly
from srkd_bench.store import ArtifactStore
from srkd_bench.train import Learner, fit


def lead(plan: Plan, place: Workplace) -> Workplace:
    """Return the place with the other ranks in it, if torchrun started any.

    Raises:
        SrkdError: they can't share the training of the plan's teacher.
    """
    if not isinstance(plan.teacher, Run) or place.store.has(plan.teacher):
        join(place.device).tell(None)
        return place
    check_shareable(plan.teacher, torchrun.ranks())
    return replace(place, ranks=join(place.device))


def follow(store: ArtifactStore, device_name: str) -> None:
    """Train what rank 0 trains, with this rank's part of each batch. Nothing is written, shown or measured.

    Raises:
        SrkdError: this rank's machine doesn't see the store as rank 0 does.
        Stopped: a signal came to one of the ranks; rank 0 has written a checkpoint.
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
    if images.pixels != run.pixels or checkpoint.steps_done(store.work(run)) != training.done:
        raise SrkdError(
            f"{store.home} holds other images or another checkpoint than rank 0's",
            "--home on a file system that all machines share",
        )
    method = methods.rebuild(run.method, run.params)
    learner = Learner(run, method, None, sample_of(images, run.train), store.work(run), device, ranks)
    patches = Patches(images, run.train, run.seed, ranks.part(run.train.batch))
    fit([learner], None, patches, device=device)
