"""Plans of grids: a plan for each cell. Cells share all artifacts that they have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from srkd_bench.config.artifacts import Run, Weights
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
    return GridPlan(name, cells, tuple(plans))
