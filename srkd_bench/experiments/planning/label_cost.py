"""What teacher labels cost, compared with a forward pass of the teacher on every batch."""

from collections.abc import Sequence
from typing import NamedTuple

from srkd_bench.config.suite import Suite
from srkd_bench.config.training import TrainSpec
from srkd_bench.data.image_set import hr_sizes
from srkd_bench.evaluation.controls import is_control
from srkd_bench.methods import encoders, sources
from srkd_bench.methods.metadata import Traits, traits
from srkd_bench.store.artifact_store import ArtifactStore


class TeacherShares(NamedTuple):
    """The number of teacher passes per batch that a distillation pays for; 1 is a pass of its own on every batch.

    None where it depends on training images that are missing.

    Attributes:
        labels: of a method that uses labels.
        equal: of the suite's distillations, as `none@equal-cost` counts them.
        fused: of a method that uses labels of the fusion of several teachers.
        trainings: how many trainings share the labels.
    """

    labels: float | None = 1.0
    equal: float | None = 1.0
    fused: float | None = 1.0
    trainings: int = 0

    def of(self, method: Traits) -> float | None:
        """Return the share of a method that uses the teacher."""
        if not method.labels or method.live:
            return 1.0
        return self.fused if method.fuses else self.labels


ALL_PASSES = TeacherShares()


def lr_pixels(store: ArtifactStore, name: str, scale: int, images: int | None = None) -> int | None:
    """Return the number of LR pixels of a data set's images; None if they are missing.

    Args:
        images: how many of them count, each with the mean number of pixels; None: all.
    """
    if (sizes := hr_sizes(store, name)) is None:
        return None
    pixels = sum((height // scale) * (width // scale) for height, width in sizes.values())
    return pixels if images is None else pixels * images // len(sizes)


def steps_paid(train: TrainSpec, pixels: int, passes: int) -> float:
    """Return how many training steps' teacher passes cost as much as labels.

    Args:
        pixels: LR pixels of all training images.
        passes: of the teacher over each image.
    """
    return passes * pixels / (train.batch * train.patch**2)


def teacher_shares(
    suite: Suite, methods: Sequence[str], store: ArtifactStore, *, here: bool, readonly: bool
) -> TeacherShares:
    """Return the shares of the teacher's passes in a suite, whichever of its methods are chosen.

    The labels of a teacher are shared equally among the trainings that use them. With `data.images`, only the
    labels of that many images count. If one of the suite's built-in methods needs features, which takes a pass on
    every batch, the control at equal cost counts that. A user's own methods, whose code may not run here, count as
    using labels alone.

    Args:
        methods: all of the suite's.
        here: whether the training images are available.
        readonly: leave the store as it is.
    """
    names = [sources.name_of(one) for one in methods if one != "none" and not is_control(one)]
    if suite.teacher.labels == "patches" or not names:
        return ALL_PASSES
    builtin = [one for one in names if set(one.split("+")) <= set(sources.builtin())]
    about = traits(builtin, encoders.resolved(suite.params, optional=True), store, readonly=readonly)
    fusing = sum(one.fuses and one.labels for one in about.values())
    users = sum(one not in about or about[one].labels for one in names) - fusing
    seeds = 1 if suite.teacher.seeds == "paired" else len(suite.seeds)
    data = suite.data
    pixels = lr_pixels(store, data.train, data.scale, data.images) if here else None

    def share(trainings: int) -> float | None:
        if pixels is None or not trainings:
            return None if trainings else 1.0
        passes = 8 if suite.teacher.labels == "ensemble" else 1
        return steps_paid(suite.train, pixels, passes) / suite.train.steps / (trainings * seeds)

    labels = share(users)
    live = not users or any(one.live for one in about.values() if not one.fuses)
    return TeacherShares(labels, 1.0 if live else labels, share(fusing), users * seeds)
