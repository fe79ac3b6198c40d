"""Tell which differences a plan's seeds can detect, and how many seeds a difference needs."""

from dataclasses import dataclass
from typing import Literal

from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.power import USUAL_DEVIATION, detectable, pooled_deviation, seeds_needed
from srkd_bench.evaluation.results import Unit
from srkd_bench.evaluation.statistics import differences
from srkd_bench.experiments.analysis.collect import results
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.store.artifact_store import ArtifactStore

METRIC = "psnr_y"


@dataclass(frozen=True)
class Sensitivity:
    """The differences from no distillation that a plan finds significant with a power of 80 %.

    In PSNR-Y on all data sets together; all in dB.

    Attributes:
        deviation: standard deviation over seeds of a method's difference.
        source: where the deviation comes from.
        methods: number of methods that are compared with `none`.
        seeds: number of seeds, or of teachers where they are crossed with the seeds (`unit`).
        detectable: the minimum difference that the plan's seeds detect; None for one seed.
        difference: one that is to be detected.
        seeds_needed: to detect it; None above 10,000, or if there is none.
    """

    deviation: float
    source: Literal["finished runs", "published study"]
    seeds: int
    unit: Unit
    methods: int
    detectable: float | None
    difference: float | None = None
    seeds_needed: int | None = None


def sensitivity(plan: Plan, store: ArtifactStore, difference: float | None = None) -> Sensitivity | None:
    """Return what a plan's seeds can detect; None if it does not compare a method with `none`.

    The standard deviation is that of the plan's runs in the store where two seeds or more are finished.

    Args:
        difference: one to detect, in dB.
    Raises:
        SrkdError: there is a difference to detect, but no comparison.
    """
    crossed = len(plan.teachers) > 1 and plan.suite.teacher.seeds != "paired"
    seeds, methods = len(plan.teachers if crossed else plan.suite.seeds), len(set(plan.methods) - {"none"})
    if not methods or "none" not in plan.methods:
        if difference is not None:
            raise SrkdError(
                f"suite {plan.suite.name} compares no method with none, so it detects no difference",
                "name both: --set 'methods=[none, hkd]'",
            )
        return None
    measured = pooled_deviation(differences(results(plan, store), METRIC))
    deviation = measured or USUAL_DEVIATION
    return Sensitivity(
        deviation,
        "finished runs" if measured else "published study",
        seeds,
        "teacher" if crossed else "seed",
        methods,
        detectable(deviation, seeds, methods) if seeds > 1 else None,
        difference,
        None if difference is None else seeds_needed(difference, deviation, methods),
    )
