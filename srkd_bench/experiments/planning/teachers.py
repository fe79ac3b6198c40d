"""Find the teachers of a suite by their identity, and the network that fuses several of them."""

from collections.abc import Callable

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.network import FusionSpec
from srkd_bench.config.suite import Suite, TeacherSpec
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.methods.metadata import Traits
from srkd_bench.networks.pretrained import find_weights
from srkd_bench.store.artifact_store import ArtifactStore

MISSING = "missing"  # stands for the digest of images or weights that are missing

Found = tuple[tuple[Run | Weights, ...], Run | None, MissingError | None]


def teachers_of(
    suite: Suite,
    pixels: str,
    none: Traits,
    store: ArtifactStore,
    display: Display,
    *,
    readonly: bool,
    optional: bool,
) -> Found:
    """Return the teachers, the fusion of several, and why weights are missing if they are optional.

    Of several teachers that are fused, the first is returned. A network like the student replaces missing weights.

    Args:
        none: the traits of the training without distillation.
        readonly: as in `planner.plan`.
    Raises:
        MissingError: weights are missing. SrkdError: they are of another scale, or two teachers are the same.
    """

    def key(teacher: TeacherSpec) -> Run | Weights:
        if teacher.weights is None:
            return _trained(teacher, suite, pixels, none)
        _, weights = find_weights(teacher, suite.data.scale, store, display, readonly=readonly)
        if weights.model.scale != suite.data.scale:
            which = f" of {teacher.weights}" if suite.teachers else ""
            scales = f"{weights.model.scale}, the suite's is {suite.data.scale}"
            raise SrkdError(f"the teacher's weights{which} are for scale {scales}")
        return weights

    try:
        first, fusion = key(suite.teacher), _fusion(suite, key, pixels, none)
    except MissingError as error:
        if not optional:
            raise
        return (Weights(sha256=MISSING, model=suite.student),), None, error
    if isinstance(first, Weights):
        return (first,), fusion, None
    seeds = suite.seeds if suite.teacher.seeds == "paired" else suite.teacher.seeds or [0]
    return tuple(first.model_copy(update={"seed": seed}) for seed in seeds), fusion, None


def _trained(teacher: TeacherSpec, suite: Suite, pixels: str, none: Traits) -> Run:
    """Return a teacher that is trained, with seed 0."""
    assert teacher.model is not None
    assert teacher.train is not None
    return Run(
        model=teacher.model,
        train=teacher.train,
        data=suite.data.train,
        pixels=pixels,
        method="none",
        params=none.params,
        seed=0,
        teacher=None,
    )


def _fusion(
    suite: Suite, key: Callable[[TeacherSpec], Run | Weights], pixels: str, none: Traits
) -> Run | None:
    """Return the network that is trained to fuse the suite's teachers; None if it has one teacher."""
    if suite.fusion is None:
        return None
    fused = tuple(map(key, suite.teachers))
    digests = [one.digest for one in fused]
    if twins := [i for i, digest in enumerate(digests) if digest in digests[:i]]:
        first, second = digests.index(digests[twins[0]]) + 1, twins[0] + 1
        raise SrkdError(f"teachers {first} and {second} are the same network", "leave out one of them")
    model = FusionSpec(
        fused=tuple(one.model for one in fused),
        n_feats=suite.fusion.n_feats,
        n_resblocks=suite.fusion.n_resblocks,
        scale=suite.data.scale,
    )
    training = TeacherSpec(model=model, train=suite.fusion.train)
    return _trained(training, suite, pixels, none).model_copy(update={"fused": fused})
