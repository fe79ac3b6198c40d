"""What the sections share: the device, a small training on the built-in photographs, and its results."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGINT

import torch

from srkd_bench.cli.output import err
from srkd_bench.config.artifacts import Run
from srkd_bench.config.suite import Suite
from srkd_bench.core.errors import Stopped
from srkd_bench.core.progress import Display
from srkd_bench.core.provenance import device_name
from srkd_bench.core.signals import Interrupted
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.patches import Patches
from srkd_bench.methods import registry
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.contract.random_encoder import completed
from srkd_bench.training.devices import choose_device
from srkd_bench.training.learner import Learner
from srkd_bench.training.loop import fit

CPU = torch.device("cpu")
DEVICE = choose_device("auto")
NAME = device_name(DEVICE)
ON_GPU = DEVICE.type != "cpu"


@contextmanager
def photos(name: str = "photos") -> Iterator[ImageSet]:
    """Provide a built-in data set in a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield open_set(ArtifactStore(Path(folder)), name, 2, Display(err))


def fitted(
    suite: Suite, methods: list[str], images: ImageSet, device: torch.device, stop: int | None = None
) -> dict[str, Learner]:
    """Train students at a suite's sizes, side by side, with an untrained teacher.

    Args:
        stop: the number of steps after which the training is interrupted and resumed from its checkpoints.
    """
    assert suite.teacher.model is not None
    teacher = build(suite.teacher.model, 1).to(device).requires_grad_(False).eval()
    patches = Patches(images, suite.train, 0)
    with tempfile.TemporaryDirectory() as folder:
        for end in (stop, None) if stop else (None,):

            def watch(step: int, end: int | None = end) -> None:
                if step == end:
                    raise Interrupted(SIGINT)

            learners = {
                name: learner(name, suite, teacher, patches, Path(folder) / name, device) for name in methods
            }
            with suppress(Stopped):
                fit(list(learners.values()), teacher, patches, device=device, watch=watch)
    for one in learners.values():
        if one.error is not None:
            raise one.error
    return learners


def learner(
    name: str, suite: Suite, teacher: Architecture, patches: Patches, folder: Path, device: torch.device
) -> Learner:
    """Return a student at its first step, or resumed from the checkpoint in the folder."""
    method = completed(registry.build(name, {}))
    run = Run(
        model=suite.student, train=suite.train, data="photos", pixels="", method=name,
        params=registry.identity(method, name), seed=0, teacher=None,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    sample = patches.batch(0)[0]
    return Learner(run, method, teacher, sample, folder, device)
