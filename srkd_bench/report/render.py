"""Reports: results become tables, and tables become text in the reader's format.

`table`, `paired` and `claims` make a `Table` from `Results`; `terminal`, `markdown` and `latex` write it; `data`
writes the scores; `html` writes a page of all that there is.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from srkd_bench.core.errors import SrkdError, unknown
from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import Results
from srkd_bench.report.formats.data import to_csv, to_json
from srkd_bench.report.formats.latex import to_latex
from srkd_bench.report.formats.markdown import to_markdown
from srkd_bench.report.formats.terminal import print_table, to_text
from srkd_bench.report.page.page import to_html
from srkd_bench.report.tables.claims import Verdict, claims_table
from srkd_bench.report.tables.comparison import comparison
from srkd_bench.report.tables.costs import costs
from srkd_bench.report.tables.differences import paired
from srkd_bench.report.tables.table import Highlight, Table

FORMATS = {
    "terminal": ".txt",
    "markdown": ".md",
    "latex": ".tex",
    "html": ".html",
    "csv": ".csv",
    "json": ".json",
}
"""Every format and the suffix of its files."""
_OF_TABLES = {"terminal": to_text, "markdown": to_markdown, "latex": to_latex}


def render(
    results: Results,
    format: str,
    *,
    reference: bool = False,
    highlight: Highlight = "printed",
    verdicts: Sequence[Verdict] = (),
    panels: Sequence[Panel] = (),
) -> str:
    """Return the whole report: the tables of each metric, claims and what the networks cost; or scores as data.

    Args:
        format: a key of `FORMATS`; terminal is without colour here.
        reference: show the study's numbers too; csv and json hold measured scores only.
        highlight: what the best and the second go by, see `comparison`.
        verdicts: on claims; csv has none.
        panels: regions of images as every model shows them; html has them.
    Raises:
        SrkdError: the format or a metric is unknown, or a metric was measured by two protocols.
    """
    if format not in FORMATS:
        raise unknown("report format", format, FORMATS)
    if format == "csv":
        return to_csv(results)
    if format == "json":
        return to_json(results, verdicts)
    if format == "html":
        return to_html(
            results,
            panels,
            figures=_drawn(results),
            verdicts=verdicts,
            reference=reference,
            highlight=highlight,
        )
    return "\n".join(_OF_TABLES[format](table) for table in _tables(results, reference, highlight, verdicts))


def print_report(
    results: Results,
    console: Console,
    *,
    reference: bool = False,
    highlight: Highlight = "printed",
    verdicts: Sequence[Verdict] = (),
) -> None:
    """Print the terminal's report, in the console's colours; what two tables say is said below the last."""
    tables = _tables(results, reference, highlight, verdicts)
    for i, table in enumerate(tables):
        later = {note for other in tables[i + 1 :] for note in other.footnotes}
        print_table(
            replace(table, footnotes=[note for note in table.footnotes if note not in later]), console
        )
        console.print()


def format_of(path: Path) -> str:
    """Return the format that a file's suffix asks for.

    Raises:
        SrkdError: no format has this suffix.
    """
    for name, suffix in FORMATS.items():
        if path.suffix.lower() == suffix:
            return name
    raise SrkdError(f"no report format for '{path.name}'", f"end the name in {', '.join(FORMATS.values())}")


def _drawn(results: Results) -> dict[str, str]:
    """Return the figures as `<svg>` elements; matplotlib takes a second to import."""
    from srkd_bench.report.figures.registry import figures
    from srkd_bench.report.figures.svg import to_svg

    return {name: to_svg(figure, name) for name, figure in figures(results).items()}


def _tables(
    results: Results, reference: bool, highlight: Highlight, verdicts: Sequence[Verdict]
) -> list[Table]:
    tables: list[Table | None] = []
    for metric in results.metrics:
        tables.append(comparison(results, metric, reference=reference, highlight=highlight))
        tables.append(paired(results, metric))
    tables.append(claims_table(results, verdicts) if verdicts else None)
    tables.append(costs(results) if results.networks else None)
    return [table for table in tables if table is not None]
