"""Tell which parts of a plan are finished."""

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import pixels_of
from srkd_bench.evaluation.scores import measurement
from srkd_bench.experiments.planning.grid import GridPlan, Plans, name_of, networks_of, plans_of
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.teachers import MISSING
from srkd_bench.store import checkpoints
from srkd_bench.store.artifact_store import ArtifactStore


def announce(plan: Plans, store: ArtifactStore, display: Display) -> None:
    """Print what is in the store and what will be created."""
    runs = networks_of(plan)
    cached = sum(store.has(run) for run in runs)
    begun = sum(checkpoints.steps_done(store.work(run)) > 0 for run in runs)
    more = f" ({begun} of them from a checkpoint)" if begun else ""
    cells = f" ({len(plan.cells):,} cells)" if isinstance(plan, GridPlan) else ""
    display.say(
        f"Suite {name_of(plan)}{cells}: {cached} of {len(runs)} networks are in the store,"
        f" {len(runs) - cached} to train{more}"
    )


def finished(plan: Plans, store: ArtifactStore) -> bool:
    """Return whether all networks and scores of a plan are in the store."""
    plans = plans_of(plan)
    return all(map(store.has, networks_of(plan))) and not any(unmeasured(one, store) for one in plans)


def unmeasured(plan: Plan, store: ArtifactStore) -> list[Run | Weights | None]:
    """Return the networks (None: bicubic), finished or not, without scores on one of the suite's data sets."""
    data, ensemble = plan.suite.data, plan.suite.evaluate.self_ensemble
    sets = [pixels_of(store, name) or MISSING for name in data.test]
    return [
        network
        for network in (None, *plan.networks)
        if not all(
            store.has(measurement(network, pixels, data.scale, self_ensemble=ensemble)) for pixels in sets
        )
    ]
