"""Render the page of a grid."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from srkd_bench import __version__
from srkd_bench.config.metrics import METRICS, rules
from srkd_bench.evaluation.grids.cells import axes_of
from srkd_bench.report.figures.svg import to_svg
from srkd_bench.report.grids.figures import CAPTIONS
from srkd_bench.report.grids.names import axis_title, baseline_of, cell_names, value
from srkd_bench.report.page.embedded import drawing
from srkd_bench.report.page.page import SIGNS, assets, template
from srkd_bench.report.tables.table import label

if TYPE_CHECKING:
    from srkd_bench.report.grids.document import GridDocument


def to_html(document: GridDocument) -> str:
    """Return the page as a single file, which loads nothing."""
    figures = {name: drawing(to_svg(figure, name)) for name, figure in document.figures().items()}
    page = template("grid.html.j2").render(
        _context(document) | assets(),
        signs=SIGNS,
        metrics=[
            {
                "label": METRICS[metric].label,
                "tables": document.tables_of(metric),
                "figures": {
                    name: {**figures[f"{name}-{metric}"], "caption": caption}
                    for name, caption in CAPTIONS.items()
                    if f"{name}-{metric}" in figures
                },
            }
            for metric in document.gains
        ],
        next_table=partial(next, count(1)),
        next_figure=partial(next, count(1)),
    )
    return page.strip() + "\n"


def _headline(document: GridDocument) -> str:
    """Return how many comparisons have each verdict, by the first metric."""
    gains = next(iter(document.gains.values()))
    found = [one.difference.verdict for one in gains if one.difference is not None and one.difference.verdict]
    if not found:
        return f"No method can be tested against {baseline_of(document.cells)} yet."
    counts = ", ".join(f"{found.count(word)} {word}" for word in ("better", "worse", "not significant"))
    return f"{len(found)} comparisons in {len(document.cells)} cells: {counts}."


def _context(document: GridDocument) -> dict[str, Any]:
    """Return what the template shows apart from tables and figures."""
    cells, calls = document.cells, cell_names(document.cells)
    scores = [score for cell in cells for score in cell.results.scores]
    return {
        "name": document.name,
        "headline": _headline(document),
        "control": baseline_of(cells),
        "axes": {
            axis_title(key): ", ".join(value(key, text) for text in labels)
            for key, labels in axes_of(cells).items()
        },
        "datasets": ", ".join(dict.fromkeys(label(name) for cell in cells for name in cell.results.datasets)),
        "budgets": {calls[cell.name]: cell.results.budget for cell in cells if cell.results.budget},
        "protocols": {name: rules(name) for name in dict.fromkeys(score.protocol for score in scores)},
        "version": __version__,
    }
