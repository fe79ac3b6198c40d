"""Reports: results become tables, and tables become text in the reader's format.

`table` makes a `Table` from `Results`; `terminal`, `markdown` and `latex` write it; `data` writes the scores.
"""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from srkd_bench.errors import SrkdError, unknown
from srkd_bench.report.data import to_csv, to_json
from srkd_bench.report.latex import to_latex
from srkd_bench.report.markdown import to_markdown
from srkd_bench.report.results import Network, Results
from srkd_bench.report.table import Cell, Table, comparison, costs
from srkd_bench.report.terminal import print_table, to_text

__all__ = [
    "FORMATS",
    "Cell",
    "Network",
    "Results",
    "Table",
    "comparison",
    "costs",
    "format_of",
    "print_report",
    "render",
]

FORMATS = {"terminal": ".txt", "markdown": ".md", "latex": ".tex", "csv": ".csv", "json": ".json"}
"""Every format and the suffix of its files."""

_OF_TABLES = {"terminal": to_text, "markdown": to_markdown, "latex": to_latex}
_OF_SCORES = {"csv": to_csv, "json": to_json}


def render(results: Results, format: str, *, reference: bool = False) -> str:
    """Return the whole report: a table a metric and what the networks cost, or all scores for csv and json.

    Args:
        format: a key of `FORMATS`; terminal is without colour here.
        reference: show the study's numbers too; csv and json hold measured scores only.
    Raises:
        SrkdError: the format or a metric is unknown, or a metric was measured by two protocols.
    """
    if format not in FORMATS:
        raise unknown("report format", format, FORMATS)
    if format in _OF_SCORES:
        return _OF_SCORES[format](results)
    return "\n".join(_OF_TABLES[format](table) for table in _tables(results, reference))


def print_report(results: Results, console: Console, *, reference: bool = False) -> None:
    """Print the terminal's report, in the console's colours; what two tables say is said below the last."""
    tables = _tables(results, reference)
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


def _tables(results: Results, reference: bool) -> list[Table]:
    tables = [comparison(results, metric, reference=reference) for metric in results.metrics]
    return [*tables, costs(results)] if results.networks else tables
