"""Plans of grids: a plan for each cell. Cells share all artifacts that they have in common."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from srkd_bench.config.artifacts import Labels, Run, Weights
from srkd_bench.config.grid import Cell
from srkd_bench.core.errors import SrkdError
from srkd_bench.experiments.planning.planner import Plan


@dataclass(frozen=True)
class GridPlan:
    """The plans of a grid's cells.

    Args:
        name: of the suite.
        cells: at least two, in the order of `plans`.
        plans: each with the name of its cell.
    """

    name: str
    cells: tuple[Cell, ...]
    plans: tuple[Plan, ...]


Plans = Plan | GridPlan


def name_cell(error: SrkdError, cell: str) -> None:
    """Name a cell in an error; an empty name changes nothing."""
    if cell:
        error.message = f"cell {cell}: {error.message}"
        error.args = (error.message,)


@contextmanager
def in_cell(name: str) -> Iterator[None]:
    """Name a cell in the errors of the block; an empty name changes nothing."""
    try:
        yield
    except SrkdError as error:
        name_cell(error, name)
        raise


def plans_of(plan: Plans) -> tuple[Plan, ...]:
    """Return the plans of a grid's cells, or the only plan of a suite."""
    return plan.plans if isinstance(plan, GridPlan) else (plan,)


def name_of(plan: Plans) -> str:
    """Return the name of the suite."""
    return plan.name if isinstance(plan, GridPlan) else plan.suite.name


def cell_of(plan: Plans, cell: str) -> Plan:
    """Return the plan of a cell by its name."""
    return next(one for one in plans_of(plan) if one.cell == cell)


def networks_of(plan: Plans) -> list[Run | Weights]:
    """Return all networks to train or load, each once."""
    found = {network.digest: network for one in plans_of(plan) for network in one.networks}
    return list(found.values())


def teachers_in(plan: Plans) -> list[Run | Weights]:
    """Return all teachers, each once."""
    return list({teacher.digest: teacher for one in plans_of(plan) for teacher in one.all_teachers}.values())


def plan_grid(name: str, cells: tuple[Cell, ...], planned: Callable[[Cell], Plan]) -> GridPlan:
    """Return the plan of a grid.

    Args:
        planned: returns the plan of a cell's suite.
    Raises:
        SrkdError: a cell cannot be planned; the message names it.
    """
    plans = []
    for cell in cells:
        with in_cell(cell.name):
            plans.append(replace(planned(cell), cell=cell.name))
    return GridPlan(name, cells, tuple(_sharing_labels(plans)))


def _sharing_labels(plans: Iterable[Plan]) -> Iterator[Plan]:
    """Give the plans of cells, among whose trainings the cost of common labels is shared equally.

    `none@equal-cost` keeps the length that it has in its cell alone, which is part of its identity.
    """
    plans = list(plans)
    costs, users = dict[Labels, float](), defaultdict[Labels, set[str]](set)
    for plan in plans:
        if (labels := _labels(plan)) is not None and (share := plan.shares.labels) is not None:
            cost = share * plan.shares.trainings * _pixels(plan)
            costs[labels] = max(cost, costs.get(labels, 0.0))
            users[labels] |= {run.digest for run in plan.students if run.teacher_labels == labels}
    for plan in plans:
        labels = _labels(plan)
        if labels in costs:
            share = costs[labels] / len(users[labels]) / _pixels(plan)
            plan = replace(plan, shares=plan.shares._replace(labels=share))
        yield plan


def _labels(plan: Plan) -> Labels | None:
    """Return the labels that a plan's students use, except those of a fusion."""
    used = (run.teacher_labels for run in plan.students if not plan.traits[run.method].fuses)
    return next(filter(None, used), None)


def _pixels(plan: Plan) -> int:
    """Return the number of LR pixels that a training sees."""
    train = plan.suite.train
    return train.steps * train.batch * train.patch**2
