"""What a training step of each column costs over a step of the student alone, in multiply-adds.

What a method computes beside the teacher's pass on the batch is counted once for each pair of networks and kept in
a file: counting needs torch, reports do not.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from srkd_bench.config.artifacts import Run
from srkd_bench.config.base import Spec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.sealed_cache import SealedCache, code_digest
from srkd_bench.experiments.planning.budgets import step_cost
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.store.artifact_store import ArtifactStore

SHIPPED = Path(__file__).with_suffix(".json")
PACKAGE = Path(__file__).parents[2]


class _Counts(Spec):
    """The multiply-adds of steps over those without distillation, without the teacher's pass on the batch."""

    relative: dict[str, float] = Field(default_factory=dict)


def step_costs(plan: Plan, store: ArtifactStore) -> dict[str, float]:
    """Return what a step of each method and control of a plan costs, where that is known.

    A method whose labels replace the teacher's pass pays for its share of the labels. The cost is unknown without
    the teacher's weights, the training images on which the share depends, or the code of a method or network; and
    for a method that does not run on the networks.
    """
    costs = {}
    for column, relative in _counts(plan, store).items():
        run, method = _runs(plan)[column], plan.traits[column]
        share = plan.shares.of(method) if method.looks else 0.0
        if share is not None:
            teacher = 0.0 if run.teacher is None else step_cost(run.model, run.teacher.model) - 1
            costs[column] = relative + share * teacher
    return costs


def _runs(plan: Plan) -> dict[str, Run]:
    """Return the first run of each column."""
    return {plan.column(run): run for run in reversed(plan.students)}


def _counts(plan: Plan, store: ArtifactStore) -> dict[str, float]:
    """Return what was or could be counted, by column, and keep what is new."""
    cache, shipped = _file(store.home / "step-costs.json"), _file(SHIPPED).read().relative
    known = cache.read().relative
    new, found = dict[str, float](), dict[str, float]()
    for column, run in _runs(plan).items():
        if run.teacher is not None and not plan.knows_teacher:
            continue
        key = _key(run)
        one = 1.0 if plan.traits[column].stacks else shipped.get(key, known.get(key))
        if one is None and (one := _counted(run)) is not None:
            new[key] = one
        if one is not None:
            found[column] = one
    if new:
        cache.write(_Counts(relative=known | new))
    return found


def _counted(run: Run) -> float | None:
    from srkd_bench.methods import registry
    from srkd_bench.networks.loading import build
    from srkd_bench.training.contract.counting import relative

    with suppress(
        SrkdError, RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError
    ):
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
    counting = PACKAGE / "training" / "contract" / "counting.py"
    methods = PACKAGE / "methods"
    code = code_digest([counting, methods / "base.py", *sorted((methods / "builtin").rglob("*.py"))])
    return SealedCache(path, _Counts, code)


def ship(plans: Iterable[Plan], store: ArtifactStore) -> None:
    """Write the file that comes with srkd: the counts of these plans."""
    counts: dict[str, float] = {}
    for plan in plans:
        found = _counts(plan, store)
        counts |= {
            _key(run): found[column]
            for column, run in _runs(plan).items()
            if column in found and not plan.traits[column].stacks
        }
    _file(SHIPPED).write(_Counts(relative=counts))
