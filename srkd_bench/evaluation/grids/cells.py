"""The results of a grid's cells, and what they have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.results import Results

STEPS = "train.steps"
"""The axis of training lengths."""


@dataclass(frozen=True)
class CellResults:
    """The results of one cell of a grid, which is an ordinary suite.

    Args:
        name: of the cell, different from that of every other cell.
        axes: label of the cell's value on each axis of the grid, by the axis' key (`train.steps`, `student`), in
            the grid's order.
        factors: the number behind the label, by key: the value itself, or the number of parameters of a network.
            Axes without a number are absent.
        results: those of the suite; a cell that is not finished lacks scores.
        costs: multiply-adds of one training, by column of the results, where they are known.
    """

    name: str
    axes: Mapping[str, str]
    factors: Mapping[str, float]
    results: Results
    costs: Mapping[str, float] = field(default_factory=dict)


def axes_of(cells: Sequence[CellResults]) -> dict[str, list[str]]:
    """Return the labels of each axis, those of axes with numbers by size, the others in order of the cells."""
    found: dict[str, dict[str, float]] = {}
    for place, cell in enumerate(cells):
        for key, label in cell.axes.items():
            found.setdefault(key, {}).setdefault(label, cell.factors.get(key, place))
    return {key: sorted(labels, key=lambda one: labels[one]) for key, labels in found.items()}


def free(cells: Sequence[CellResults]) -> list[str]:
    """Return the axes with two labels at least that do not follow from the number of steps."""
    return [key for key in varied(cells) if key not in tied(cells)]


def varied(cells: Sequence[CellResults]) -> list[str]:
    """Return the axes with two labels at least."""
    return [key for key, labels in axes_of(cells).items() if len(labels) > 1]


def grouped(cells: Sequence[CellResults], *keys: str) -> list[list[CellResults]]:
    """Return groups of cells that are equal on all axes but these, in order of the cells."""
    found: dict[tuple[str, ...], list[CellResults]] = {}
    for cell in cells:
        place = tuple(label for key, label in cell.axes.items() if key not in keys)
        found.setdefault(place, []).append(cell)
    return list(found.values())


def by_steps(cells: Sequence[CellResults]) -> list[list[CellResults]]:
    """Return groups of cells that differ in their training steps only, shortest training first.

    Training settings that vary together with the steps, such as their learning rate, may differ too. Cells whose
    number of steps is not known are left out.
    """
    known = [cell for cell in cells if cell.factors.get(STEPS, 0) > 0]
    groups = grouped(known, STEPS, *tied(known))
    return [sorted(own, key=lambda cell: cell.factors[STEPS]) for own in groups]


def tied(cells: Sequence[CellResults]) -> list[str]:
    """Return the axes of training settings with one label for each number of steps, such as a learning rate."""

    def follows(key: str) -> bool:
        pairs = {(cell.axes.get(STEPS), cell.axes[key]) for cell in cells}
        return len(pairs) == len({steps for steps, _ in pairs})

    return [key for key in varied(cells) if key.startswith("train.") and key != STEPS and follows(key)]


def measured(cell: CellResults, metric: str) -> set[str]:
    """Return the columns of a cell's results that have scores of students."""
    return {one.model for one in cell.results.scores if one.metric == metric and one.seed is not None}


def lengths_alone(cell: CellResults, metric: str) -> dict[str, float]:
    """Return the number of steps of the student alone, by column with scores: `none` and its longer trainings."""
    steps = {**cell.results.steps, "none": cell.factors[STEPS]}
    known = measured(cell, metric)
    return {
        model: steps[model]
        for model in cell.results.columns
        if model in known and model in steps and (model == "none" or is_control(model))
    }


def metrics_of(cells: Sequence[CellResults]) -> list[str]:
    """Return the metrics of all cells in order."""
    return list(dict.fromkeys(metric for cell in cells for metric in cell.results.metrics))


def columns_of(cells: Sequence[CellResults]) -> list[str]:
    """Return the columns of all cells in order."""
    return list(dict.fromkeys(model for cell in cells for model in cell.results.columns))
