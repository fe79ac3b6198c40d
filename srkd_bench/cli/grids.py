"""Find what a report of a grid shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from srkd_bench.cli.options import refuse
from srkd_bench.core.errors import SrkdError, unknown

if TYPE_CHECKING:
    from srkd_bench.evaluation.grids.cells import CellResults
    from srkd_bench.experiments.planning.grid import GridPlan
    from srkd_bench.report.grids.document import GridDocument
    from srkd_bench.store.artifact_store import ArtifactStore


def grid_document(
    name: str, cells: Sequence[CellResults], methods: Sequence[str], baseline: str
) -> GridDocument:
    """Return the report of a grid.

    Args:
        methods: instead of all; the baseline is kept.
        baseline: the method that all others are compared with.
    Raises:
        SrkdError: no cell has one of these methods.
    """
    from srkd_bench.evaluation.grids.cells import columns_of
    from srkd_bench.report.grids.document import GridDocument

    known = columns_of(cells)
    for method in (baseline, *methods):
        if method not in known:
            raise unknown(f"method in grid {name}", method, known)
    kept = {*methods, baseline, "bicubic", "teacher"} if methods else set(known)
    chosen = [
        replace(
            cell,
            results=replace(
                cell.results,
                baseline=baseline,
                columns=[model for model in cell.results.columns if model in kept],
                scores=[score for score in cell.results.scores if score.model in kept],
            ),
        )
        for cell in cells
    ]
    return GridDocument(name, chosen)


def of_plan(
    plan: GridPlan,
    store: ArtifactStore,
    methods: Sequence[str] = (),
    baseline: str = "none",
    *,
    trainings: bool = False,
) -> GridDocument:
    """Return the report of what is finished of a grid.

    Args:
        methods, baseline: as in `grid_document`.
        trainings: as in `cell_results`.
    """
    from srkd_bench.experiments.analysis.cells import cell_results

    return grid_document(plan.name, cell_results(plan, store, trainings=trainings), methods, baseline)


def of_file(
    source: Path, suite: str | None, settings: Sequence[str], methods: Sequence[str], baseline: str
) -> GridDocument | None:
    """Return the report of a score file with a grid, or None if it has no cells.

    Args:
        settings: `cell=LABELS` selects the cells with these labels.
        methods, baseline: as in `grid_document`.
    Raises:
        MissingError: there is no such file.
        SrkdError: it cannot be read, is of another suite than the one named, or has no such cell; other settings.
    """
    from srkd_bench.config.grid import CELL, has_labels
    from srkd_bench.report.formats.grid_file import is_grid, read_grid

    if not is_grid(source):
        return None
    cells = read_grid(source)
    name = cells[0].results.suite or source.name.partition(".")[0]
    if suite is not None and Path(suite).stem != name:
        raise SrkdError(f"{source} is of suite {name}, not {suite}", f"srkd report --from {source}")
    for setting in settings:
        key, _, labels = setting.partition("=")
        if key != CELL:
            refuse("the scores of a grid", {"--set": setting})
        if not labels.strip() or not any(has_labels(cell.name, labels) for cell in cells):
            raise SrkdError(f"{source} has no cell {labels[:80]!r}", f"for example --cell '{cells[0].name}'")
        cells = [cell for cell in cells if has_labels(cell.name, labels)]
    return grid_document(name, cells, methods, baseline)
