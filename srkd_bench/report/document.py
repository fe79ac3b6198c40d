"""The content of a report, before a format renders it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import Results
from srkd_bench.report.formats.data import to_json
from srkd_bench.report.formats.score_file import to_csv
from srkd_bench.report.tables.claims import Verdict, claims_table
from srkd_bench.report.tables.comparison import comparison
from srkd_bench.report.tables.costs import costs
from srkd_bench.report.tables.differences import paired
from srkd_bench.report.tables.gains import gains
from srkd_bench.report.tables.published import published_table
from srkd_bench.report.tables.table import Highlight, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Document:
    """A report's content; formats write as much of it as they can hold.

    Args:
        highlight: what ranks are based on, see `comparison`.
        panels: regions of images as each model renders them.
        claims: whether formats other than HTML show the verdicts; the HTML page always does.
    """

    results: Results
    reference: bool = False
    highlight: Highlight = "printed"
    verdicts: Sequence[Verdict] = ()
    panels: Sequence[Panel] = ()
    claims: bool = True

    def tables(self) -> list[Table]:
        """Return for each metric gains, means and differences by data set; then claims and network costs."""
        results = self.results
        tables: list[Table | None] = []
        for metric in results.metrics:
            tables.append(gains(results, metric))
            tables.append(comparison(results, metric, reference=self.reference, highlight=self.highlight))
            if self.reference and metric == "psnr_y":
                tables.append(published_table(results))
            tables.append(paired(results, metric))
        tables.append(claims_table(results, self.verdicts) if self.verdicts and self.claims else None)
        tables.append(costs(results) if results.networks else None)
        return [table for table in tables if table is not None]

    def csv(self) -> str:
        """Return the scores."""
        return to_csv(self.results)

    def json(self) -> str:
        """Return scores, differences and verdicts."""
        return to_json(self.results, self.verdicts if self.claims else ())

    def figures(self) -> dict[str, Figure]:
        """Return all figures that have something to draw; matplotlib takes a second to import."""
        from srkd_bench.report.figures.registry import figures

        return figures(self.results)

    def html(self) -> str:
        """Return the page with its figures."""
        from srkd_bench.report.figures.svg import to_svg
        from srkd_bench.report.page.page import to_html

        return to_html(
            self.results,
            self.panels,
            figures={name: to_svg(figure, name) for name, figure in self.figures().items()},
            verdicts=self.verdicts,
            reference=self.reference,
            highlight=self.highlight,
        )
