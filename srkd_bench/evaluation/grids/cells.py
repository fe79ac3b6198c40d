"""The results of a grid's cells, and what they have in common."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from srkd_bench.evaluation.results import Results


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
    """

    name: str
    axes: Mapping[str, str]
    factors: Mapping[str, float]
    results: Results
