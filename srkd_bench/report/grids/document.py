"""The content of a report of a grid, before a format renders it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from srkd_bench.core.errors import MissingError
from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import CellResults, metrics_of
from srkd_bench.evaluation.grids.changes import Change, changes
from srkd_bench.evaluation.grids.effects import fitted_gains
from srkd_bench.evaluation.grids.gains import CellGain, cell_gains
from srkd_bench.evaluation.grids.regression import Fit
from srkd_bench.report.formats.grid_file import to_csv
from srkd_bench.report.grids.changes import changes_table
from srkd_bench.report.grids.data import to_json
from srkd_bench.report.grids.effects import effects_table
from srkd_bench.report.grids.gains import gains_table, heat_table
from srkd_bench.report.tables.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GridDocument:
    """A report's content on all cells of a grid.

    Args:
        name: of the grid's suite.
        cells: at least one.
    """

    name: str
    cells: Sequence[CellResults]

    def __post_init__(self) -> None:
        """Check that there is something to report."""
        if not self.cells:
            raise MissingError(f"grid {self.name} has no cells", f"srkd run {self.name}")

    @cached_property
    def gains(self) -> dict[str, list[CellGain]]:
        """The gains in all cells, by metric."""
        return {metric: cell_gains(self.cells, metric) for metric in metrics_of(self.cells)}

    @cached_property
    def fits(self) -> dict[str, dict[str, Fit]]:
        """The fits of the gains, by metric and method."""
        return {metric: fitted_gains(self.cells, gains) for metric, gains in self.gains.items()}

    @cached_property
    def changes(self) -> dict[str, list[Change]]:
        """The changes of the gains between neighbouring values of the axes, by metric."""
        return {metric: changes(self.cells, gains) for metric, gains in self.gains.items()}

    def tables(self) -> list[Table]:
        """Return for each metric the gains in each cell and over two axes, the effects, and the changes."""
        return [table for metric in self.gains for table in self.tables_of(metric)]

    def tables_of(self, metric: str) -> list[Table]:
        """Return the tables of a metric."""
        gains = self.gains[metric]
        compared = dict.fromkeys(one.model for one in gains if one.difference is not None)
        methods = [model for model in compared if not is_control(model)]
        found = [
            gains_table(self.name, self.cells, gains, metric),
            *(heat_table(self.name, self.cells, gains, metric, model) for model in methods),
            effects_table(self.name, self.cells, self.fits[metric], metric),
            changes_table(self.name, self.cells, self.changes[metric], metric),
        ]
        return [table for table in found if table is not None]

    def csv(self) -> str:
        """Return the scores of all cells."""
        return to_csv(self.cells)

    def json(self) -> str:
        """Return the reports of all cells, gains, training multipliers, effects and changes."""
        return to_json(self.name, self.cells, self.gains, self.fits, self.changes)

    def figures(self) -> dict[str, Figure]:
        """Return all figures that have something to draw, by name: `heat-psnr_y`, `curves-psnr_y`, …"""
        from srkd_bench.report.grids.figures import figures

        return figures(self.cells, self.gains)

    def html(self) -> str:
        """Return the page with its figures."""
        from srkd_bench.report.grids.page import to_html

        return to_html(self)
