"""Write tables as GitHub markdown."""

import html
import re

from srkd_bench.report.tables.table import Cell, Table

WRAP = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}
LEGEND = "**bold**: {}; <u>underlined</u>: {}"


def to_markdown(table: Table) -> str:
    """Return a heading, the table and its footnotes as a list."""
    lines = [
        f"### {_escape(table.title)}",
        "",
        _line([_escape(text) for text in table.header]),
        _line([":--"] + ["--:"] * (len(table.header) - 1)),
        *(_line([_cell(cell) for cell in row]) for row in table.rows),
        "",
        *(f"- {_escape(note)}" for note in table.footnotes),
    ]
    if table.highlighted:
        lines.append(f"- {LEGEND.format(*map(_escape, table.legend))}")
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    return WRAP[cell.rank].format(_escape(cell.text))


def _escape(text: str) -> str:
    """Return the text with every character spelled so that GitHub shows it instead of obeying it."""
    text = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", html.escape(text.strip(), quote=False))
    return re.sub(r"^(\d*)(?=[-+.)](?:[-\s]|$))", r"\1\\", text)  # else it begins a list, or is a line
