"""Find the networks that students learn from or start from: teachers, their fusion, and initial students."""

import re
from collections.abc import Callable
from pathlib import Path

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.network import ForeignSpec, FusionSpec, ModelSpec
from srkd_bench.config.suite import Suite, TeacherSpec
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.methods.metadata import Traits
from srkd_bench.networks.pretrained import find_weights
from srkd_bench.store.artifact_store import ArtifactStore, find_run

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
            raise SrkdError(
                f"the teacher's weights{which} are for scale {scales}",
                f"--set data.scale={weights.model.scale}, or other weights",
            )
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


def initial_weights(suite: Suite) -> TeacherSpec:
    """Return where the file is that students start from, described as a teacher's weights are."""
    model = suite.student if isinstance(suite.student, ForeignSpec) else None
    return TeacherSpec(weights=suite.student_init, model=model)


def initial_network(
    suite: Suite, store: ArtifactStore, display: Display, *, readonly: bool, scored: bool
) -> Run | Weights | None:
    """Return the network whose weights the suite's students start from, if the suite names one.

    Args:
        readonly, scored: as in `plan`; scores from elsewhere need no weights here.
    Raises:
        MissingError: no such file or run. SrkdError: the network has another shape, or a scale that does not fit.
    """
    if (where := suite.student_init) is None:
        return None
    key: Run | Weights
    try:
        if re.fullmatch("[0-9a-f]{4,64}", where) and not Path(where).exists():
            key = Run.model_validate(find_run(store, where)[1])
        else:
            _, key = find_weights(initial_weights(suite), 2, store, display, readonly=readonly)
    except MissingError:
        if not scored:
            raise
        return Weights(sha256="", model=suite.student)
    like: dict[str, float] = {"scale": key.model.scale}
    if isinstance(key, Weights) and isinstance(key.model, ModelSpec) and isinstance(suite.student, ModelSpec):
        like["res_scale"] = key.model.res_scale  # a file need not state it
    same = suite.student.model_copy(update=like).digest == key.model.digest
    if not same or key.model.scale not in (2, suite.data.scale):
        raise SrkdError(
            f"student.init is {key.model} ×{key.model.scale}, the students are {suite.student} ×{suite.data.scale}",
            "students start from a network of their own size, at their scale or at scale 2",
        )
    return key
