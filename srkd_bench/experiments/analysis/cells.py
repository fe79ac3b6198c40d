"""Collect the results of a grid's cells from the store."""

from srkd_bench.config.grid import Cell, field_of
from srkd_bench.data.image_set import hr_sizes
from srkd_bench.evaluation.grids.cells import CellResults
from srkd_bench.evaluation.results import Results
from srkd_bench.experiments.analysis.collect import results
from srkd_bench.experiments.planning.grid import GridPlan
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.store.artifact_store import ArtifactStore

IMAGES = "data.images"


def cell_results(plan: GridPlan, store: ArtifactStore, *, trainings: bool = False) -> list[CellResults]:
    """Return the results of each cell that are in the store, with a note on each missing one.

    Args:
        trainings: read how networks were trained, too; their times are an axis of a figure.
    """
    return [
        _results(cell, one, results(one, store, trainings=trainings), store)
        for cell, one in zip(plan.cells, plan.plans, strict=True)
    ]


def _results(cell: Cell, plan: Plan, found: Results, store: ArtifactStore) -> CellResults:
    values = {key: _number(key, plan, store) for key in cell.axes}
    factors = {key: value for key, value in values.items() if value is not None}
    return CellResults(cell.name, cell.axes, factors, found, _costs(plan, found))


def _number(key: str, plan: Plan, store: ArtifactStore) -> float | None:
    """Return the number behind a cell's value on an axis: itself, or the number of parameters of a network."""
    if key in ("teacher", "teacher.model", "teacher.weights"):
        return float(plan.teacher.model.parameters) if plan.knows_teacher else None
    if key == "student":
        return float(plan.suite.student.parameters)
    value = field_of(plan.suite, key)
    if key == IMAGES and value is None:  # all
        sizes = hr_sizes(store, plan.suite.data.train)
        value = len(sizes) if sizes else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _costs(plan: Plan, found: Results) -> dict[str, float]:
    """Return the multiply-adds of one training, by column."""
    train = plan.suite.train
    step = 3 * plan.suite.student.multiply_adds * train.batch * train.patch**2
    return {
        name: float(step * steps * found.step_costs[name])
        for name, steps in found.steps.items()
        if name in found.step_costs
    }
