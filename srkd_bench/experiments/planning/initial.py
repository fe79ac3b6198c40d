"""Find the network whose weights the students of a suite start from."""

import re
from pathlib import Path

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.network import ForeignSpec, ModelSpec
from srkd_bench.config.suite import Suite, TeacherSpec
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.networks.pretrained import find_weights
from srkd_bench.store.artifact_store import ArtifactStore, find_run


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
