"""The content of a report, before a format renders it."""

from collections.abc import Sequence
from dataclasses import dataclass

from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables.claims import Verdict, claims_table
from srkd_bench.report.tables.comparison import comparison
from srkd_bench.report.tables.costs import costs
from srkd_bench.report.tables.differences import paired
from srkd_bench.report.tables.gains import gains
from srkd_bench.report.tables.published import published_table
from srkd_bench.report.tables.table import Highlight, Table


@dataclass(frozen=True)
class Document:
    """A report's content; formats write as much of it as they can hold.

    Args:
        highlight: what ranks are based on, see `comparison`.
        panels: regions of images as each model renders them.
    """

    results: Results
    reference: bool = False
    highlight: Highlight = "printed"
    verdicts: Sequence[Verdict] = ()
    panels: Sequence[Panel] = ()

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
        tables.append(claims_table(results, self.verdicts) if self.verdicts else None)
        tables.append(costs(results) if results.networks else None)
        return [table for table in tables if table is not None]
