"""The table of changes: how gains change between neighbouring values of a grid's axes."""

from collections.abc import Sequence

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.grids.cells import CellResults
from srkd_bench.evaluation.grids.changes import Change
from srkd_bench.report.grids.names import labels_of, phrase, title
from srkd_bench.report.tables.differences import bracketed, signed
from srkd_bench.report.tables.table import Cell, Table

NOTES = [
    "Mean over the pairs of cells that differ in these two values only",
    "Intervals: Student's t over seeds, not adjusted for the number of rows; seeds are paired, and the cells of a"
    " seed may depend on each other",
]


def changes_table(
    name: str, cells: Sequence[CellResults], found: Sequence[Change], metric: str
) -> Table | None:
    """Return a row for each method and two neighbouring values, with the interval; None without a change."""
    if not found:
        return None
    names, decimals = labels_of(cells), METRICS[metric].decimals
    return Table(
        title=title(name, metric, "change of the gain between neighbouring values"),
        header=["", "Change", "95 % interval", "Pairs of cells"],
        rows=[
            [
                Cell(f"{names[one.model]}: {phrase(one.axis, one.before, one.after)}"),
                Cell(signed(one.mean, decimals)),
                Cell(bracketed(one.low, one.high, decimals)),
                Cell(str(one.pairs)),
            ]
            for one in found
        ],
        footnotes=list(NOTES),
        upright=True,
    )
