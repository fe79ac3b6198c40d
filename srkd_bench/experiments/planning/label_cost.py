"""What teacher labels cost, compared with a forward pass of the teacher on every batch."""

from collections.abc import Mapping, Sequence

from srkd_bench.config.suite import Suite
from srkd_bench.config.training import TrainSpec
from srkd_bench.data.image_set import hr_sizes
from srkd_bench.methods.metadata import Traits
from srkd_bench.store.artifact_store import ArtifactStore


def lr_pixels(store: ArtifactStore, name: str, scale: int) -> int | None:
    """Return the number of LR pixels of a data set's images; None if they are not here."""
    sizes = hr_sizes(store, name)
    return (
        None
        if sizes is None
        else sum((height // scale) * (width // scale) for height, width in sizes.values())
    )


def steps_paid(train: TrainSpec, pixels: int, passes: int) -> float:
    """Return how many training steps' teacher passes cost as much as labels.

    Args:
        pixels: LR pixels of all training images.
        passes: of the teacher over each image.
    """
    return passes * pixels / (train.batch * train.patch**2)


def teacher_share(
    suite: Suite, builtin: Mapping[str, Traits], methods: Sequence[str], store: ArtifactStore
) -> float:
    """Return the teacher passes that a distillation pays for; 1 is a pass on every batch of its own.

    Labels are shared equally among the suite's trainings that use them. If one of its methods needs features, which
    takes a pass on every batch, the share is 1.

    Args:
        builtin: traits of the built-in methods among `methods`. A user's own methods, whose code may not run here,
            count as using labels alone.
        methods: all of the suite that learn from a teacher.
    """
    pixels = lr_pixels(store, suite.data.train, suite.data.scale)
    users = sum(name not in builtin or builtin[name].labels for name in methods) * len(suite.seeds)
    live = any(one.live for one in builtin.values())
    if suite.teacher.labels == "patches" or pixels is None or live or not users:
        return 1.0
    passes = 8 if suite.teacher.labels == "ensemble" else 1
    return steps_paid(suite.train, pixels, passes) / suite.train.steps / users
