"""What a training step of each column costs over a step of the student alone, in multiply-adds.

What a method computes beside the teacher's pass on the batch is counted once for each pair of networks and kept in
a file: counting needs torch, reports do not.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import Field

from srkd_bench.config.artifacts import Run
from srkd_bench.config.base import Spec
from srkd_bench.core.errors import CODE_ERRORS, SrkdError
from srkd_bench.core.sealed_cache import SealedCache, code_digest
from srkd_bench.experiments.planning.budgets import step_cost
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.methods import metadata
from srkd_bench.store.artifact_store import ArtifactStore

SHIPPED = Path(__file__).with_suffix(".json")


class _Counts(Spec):
    """The multiply-adds of steps over those without distillation, without the teacher's pass on the batch."""

    relative: dict[str, float] = Field(default_factory=dict)


def step_costs(plan: Plan, store: ArtifactStore) -> dict[str, float]:
    """Return what a step of each method and control of a plan costs, where that is known.

    A method whose labels replace the teacher's pass pays for its share of the labels. The cost is unknown without
    the teacher's weights, the training images on which the share depends, or the code of a method or network; and
    for a method that does not run on the networks.
    """
    runs = {column: run for column, run in _runs(plan).items() if run.teacher is None or plan.knows_teacher}
    counts = _counts(counted_runs([plan]), store)
    costs = {}
    for column, run in runs.items():
        method = plan.traits[column]
        relative = 1.0 if method.stacks else counts.get(_key(run))  # such methods compute nothing else
        share = plan.shares.of(method) if method.looks else 0.0
        if relative is not None and share is not None:
            teacher = 0.0 if run.teacher is None else step_cost(run.model, run.teacher.model) - 1
            costs[column] = relative + share * teacher
    return costs


def _runs(plan: Plan) -> dict[str, Run]:
    """Return the first run of each column."""
    return {plan.column(run): run for run in reversed(plan.students)}


def _counts(runs: Iterable[Run], store: ArtifactStore) -> dict[str, float]:
    """Return the counts of runs by key, where they are known, and keep those that are new."""
    wanted = {_key(run): run for run in runs}
    found = {key: one for key, one in _shipped().items() if key in wanted}
    if wanted.keys() == found.keys():
        return found
    kept = _file(store.home / "step-costs.json")
    known = kept.read().relative
    counted = {key: _counted(run) for key, run in wanted.items() if key not in found and key not in known}
    new = {key: one for key, one in counted.items() if one is not None}
    if new:
        kept.write(_Counts(relative=known | new))
    return known | new | found


def _counted(run: Run) -> float | None:
    """Return the count of a run; None if its method or its networks cannot be loaded, or do not fit."""
    from srkd_bench.methods import registry
    from srkd_bench.networks.loading import build
    from srkd_bench.training.contract.counting import relative

    with suppress(SrkdError, *CODE_ERRORS):
        method, student = registry.rebuild(run.method, run.params), build(run.model, 0)
        teacher = build(run.teacher.model, 0).requires_grad_(False).eval() if run.teacher else None
        return round(relative(method, student, teacher, run.train), 4)
    return None


def _key(run: Run) -> str:
    """Return the digest of what the count depends on."""
    about = {
        "method": run.params,
        "student": run.model.model_dump(mode="json"),
        "teacher": run.teacher and run.teacher.model.model_dump(mode="json"),
        "patch": run.train.patch,
        "loss": run.train.loss,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _file(path: Path) -> SealedCache[_Counts]:
    return SealedCache(path, _Counts, _code())


@cache
def _code() -> str:
    """Return the digest of the source of what is counted, and of the counting."""
    package = Path(__file__).parents[2]
    networks = sorted((package / "networks" / "architectures").glob("*.py"))
    return metadata.code() + code_digest([package / "training" / "contract" / "counting.py", *networks])


@cache
def _shipped() -> dict[str, float]:
    return _file(SHIPPED).read().relative


def counted_runs(plans: Iterable[Plan]) -> Iterator[Run]:
    """Yield the runs whose steps are counted: their methods compute more than the teacher's pass on the batch."""
    for plan in plans:
        for column, run in _runs(plan).items():
            if not plan.traits[column].stacks and (run.teacher is None or plan.knows_teacher):
                yield run


def ship(plans: Iterable[Plan]) -> None:
    """Write the file that comes with srkd: the counts of these plans."""
    runs = {_key(run): run for run in counted_runs(plans)}
    counts = {key: one for key, run in runs.items() if (one := _counted(run)) is not None}
    _file(SHIPPED).write(_Counts(relative=counts))
