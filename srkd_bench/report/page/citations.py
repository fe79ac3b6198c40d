"""BibTeX entries of what a report is based on."""

import re
from collections.abc import Iterator
from pathlib import Path

from srkd_bench import __version__
from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables.table import one_line

AUTHOR = "The srkd maintainers"
TITLE = "srkd: a benchmark of knowledge distillation for image super-resolution"
REFERENCES = Path(__file__).parent / "assets" / "references.bib"


def bibtex(results: Results, year: str) -> str:
    """Return the entries of srkd, the study and the methods' sources, as far as they are known.

    Args:
        year: of the report's last training; empty if it is not known.
    """
    return "\n\n".join(dict.fromkeys([_srkd(year), known()["study"], *_sources(results)]))


def known() -> dict[str, str]:
    """Return the entries of `references.bib` by method, which ends a key such as `park2019rkd`."""
    entries = REFERENCES.read_text(encoding="utf-8").strip().split("\n\n")
    keys = [entry.partition("{")[2].partition(",")[0] for entry in entries]
    return {re.sub(r"^[a-z]+\d{4}", "", key): entry for key, entry in zip(keys, entries, strict=True)}


def _srkd(year: str) -> str:
    lines = [f"author    = {{{{{AUTHOR}}}}}", f"title     = {{{TITLE}}}", f"version   = {{{__version__}}}"]
    lines += [f"year      = {{{year}}}"] if year.isdigit() else []
    return "\n".join(["@software{srkd,", *(f"  {line}," for line in lines), "}"])


def _sources(results: Results) -> Iterator[str]:
    """Return the entry of each method, in the report's order; of the parts of a composition."""
    entries = known()
    for method, about in results.about.items():
        if method in results.columns and about.kind == "composition":
            yield from (entries[part] for part in method.split("+") if part in entries)
        elif method in results.columns and about.source:
            yield _entry(entries, method, about.source)


def _entry(entries: dict[str, str], method: str, source: str) -> str:
    """Return the known entry with the identifier that a source names, else one that quotes the source."""
    named = re.search(r"(?:arXiv|doi):(\S+)", source)
    for entry in entries.values():
        if named and f"{{{named[1]}}}" in entry:
            return entry
    key = re.sub(r"[^A-Za-z0-9]", "", method) or "method"
    return f"@misc{{{key},\n  note      = {{{re.sub('[{}]', '', one_line(source))}}},\n}}"
