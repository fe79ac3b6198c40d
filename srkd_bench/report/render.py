"""Render results in any format.

`tables` makes each `Table` from `Results`; `formats` and `page` write a `Document`; `FORMATS` lists the formats.
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
from srkd_bench.report.formats.data import to_json
from srkd_bench.report.formats.latex import to_latex
from srkd_bench.report.formats.markdown import to_markdown
from srkd_bench.report.formats.score_file import compressed, to_csv
from srkd_bench.report.formats.terminal import print_table, to_text
from srkd_bench.report.tables.claims import Verdict
from srkd_bench.report.tables.table import Highlight, Table


class Format(NamedTuple):
    """A format of reports: the suffix of its files, and what writes a document in it."""

    suffix: str
    write: Callable[[Document], str]


def _of_tables(write: Callable[[Table], str]) -> Callable[[Document], str]:
    return lambda document: "\n".join(map(write, document.tables()))


def _page(document: Document) -> str:
    """Return the page with its figures; matplotlib takes a second to import."""
    from srkd_bench.report.figures.registry import figures
    from srkd_bench.report.figures.svg import to_svg
    from srkd_bench.report.page.page import to_html

    drawn = {name: to_svg(figure, name) for name, figure in figures(document.results).items()}
    return to_html(
        document.results,
        document.panels,
        figures=drawn,
        verdicts=document.verdicts,
        reference=document.reference,
        highlight=document.highlight,
    )


FORMATS = {
    "terminal": Format(".txt", _of_tables(to_text)),
    "markdown": Format(".md", _of_tables(to_markdown)),
    "latex": Format(".tex", _of_tables(to_latex)),
    "html": Format(".html", _page),
    "csv": Format(".csv", lambda document: to_csv(document.results)),
    "json": Format(".json", lambda document: to_json(document.results, document.verdicts)),
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
    if format not in FORMATS:
        raise unknown("report format", format, FORMATS)
    return FORMATS[format].write(Document(results, reference, highlight, verdicts, panels))


def print_report(
    results: Results,
    console: Console,
    *,
    reference: bool = False,
    highlight: Highlight = "printed",
    verdicts: Sequence[Verdict] = (),
) -> None:
    """Print the terminal's report; a footnote of several tables stands below the first of them only."""
    known: set[str] = set()
    for table in Document(results, reference, highlight, verdicts).tables():
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
