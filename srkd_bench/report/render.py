"""Render results in any format.

`tables` makes each `Table` from `Results`; `formats` and `page` write a `Document`; `grids` does both for the cells
of a grid; `FORMATS` lists the formats.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from srkd_bench.core.errors import SrkdError, unknown
from srkd_bench.core.files import put
from srkd_bench.evaluation.regions import Panel
from srkd_bench.evaluation.results import Results
from srkd_bench.report.document import Document
from srkd_bench.report.formats.latex import to_latex
from srkd_bench.report.formats.markdown import to_markdown
from srkd_bench.report.formats.score_file import compressed
from srkd_bench.report.formats.terminal import print_table, to_text
from srkd_bench.report.grids.document import GridDocument
from srkd_bench.report.tables.claims import Verdict
from srkd_bench.report.tables.table import Highlight, Table

Content = Document | GridDocument
"""What a report is of: one suite, or all cells of a grid."""


class Format(NamedTuple):
    """A format of reports: the suffix of its files, and what writes a document in it."""

    suffix: str
    write: Callable[[Content], str]


def _of_tables(write: Callable[[Table], str]) -> Callable[[Content], str]:
    return lambda document: "\n".join(map(write, document.tables()))


FORMATS = {
    "terminal": Format(".txt", _of_tables(to_text)),
    "markdown": Format(".md", _of_tables(to_markdown)),
    "latex": Format(".tex", _of_tables(to_latex)),
    "html": Format(".html", lambda document: document.html()),
    "csv": Format(".csv", lambda document: document.csv()),
    "json": Format(".json", lambda document: document.json()),
}
"""Every format; terminal is without colour here."""
GZIP = ".gz"  # after the suffix of csv: compressed


def render(
    results: Results,
    format: str,
    *,
    reference: bool = False,
    highlight: Highlight = "printed",
    verdicts: Sequence[Verdict] = (),
    panels: Sequence[Panel] = (),
) -> str:
    """Return the whole report in a format.

    Args:
        format: a key of `FORMATS`.
        reference: show published numbers too; csv and json hold measured scores only.
        highlight: what ranks are based on, see `comparison`.
        verdicts: on claims; csv has none.
        panels: regions of images as each model renders them; html has them.
    Raises:
        SrkdError: the format or a metric is unknown, or a metric was measured by two protocols.
    """
    return written(Document(results, reference, highlight, verdicts, panels), format)


def written(document: Content, format: str) -> str:
    """Return a document in a format.

    Raises:
        SrkdError: the format is unknown.
    """
    if format not in FORMATS:
        raise unknown("report format", format, FORMATS)
    return FORMATS[format].write(document)


def print_document(document: Content, console: Console) -> None:
    """Print a document's tables; a footnote of several tables stands below the first of them only."""
    known: set[str] = set()
    for table in document.tables():
        new = [note for note in table.footnotes if note not in known]
        known.update(new)
        print_table(replace(table, footnotes=new), console)
        console.print()


def write_report(path: Path, text: str) -> None:
    """Write a rendered report; a file whose name ends in `.gz` is compressed.

    Raises:
        SrkdError: it cannot be written.
    """
    put(path, compressed(text) if path.suffix.lower() == GZIP else text)


def format_of(path: Path) -> str:
    """Return the format that a file's suffix asks for.

    Raises:
        SrkdError: no format has this suffix.
    """
    for name, format in FORMATS.items():
        if path.name.lower().removesuffix(GZIP if name == "csv" else "").endswith(format.suffix):
            return name
    suffixes = ", ".join([*(format.suffix for format in FORMATS.values()), f"{FORMATS['csv'].suffix}{GZIP}"])
    raise SrkdError(f"no report format for '{path.name}'", f"end the name in {suffixes}")
