"""Write tables for terminals and text files."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import StringIO
from textwrap import wrap

from rich import box
from rich.console import Console, Group
from rich.table import Table as Grid
from rich.text import Text

from srkd_bench.report.formats.glyphs import fitted
from srkd_bench.report.tables.table import Cell, Table

STYLES = {0: "", 1: "bold", 2: "underline"}
UNBROKEN = re.compile(r"\[[^\[\]]{1,40}\]|\bp [=<] \d|\d (?:%|dB\b)")
MARKS = {0: "", 1: "¹", 2: "²"}
SPACES = "    \n"
ASCII_HEAD = box.Box(2 * SPACES + " -- \n" + 5 * SPACES, ascii=True)  # for encodings without lines
Cells = list[list[Cell]]
Draw = Callable[[Cells], Group]


def print_table(table: Table, console: Console) -> None:
    """Print the table and its footnotes. No cell is wrapped: a table that is too wide is arranged differently."""
    styled = console.color_system is not None and not console.no_color
    table = _fitted(table, console.encoding)
    marks = None if styled else {rank: fitted(mark, console.encoding) for rank, mark in MARKS.items()}
    lines = box.SIMPLE_HEAD if console.encoding.startswith("utf") else ASCII_HEAD
    cells = [[Cell(text) for text in table.header], *table.rows]
    console.print(Text(table.title))
    for grid in _fitting(cells, console, partial(_drawn, lines, marks), upright=table.upright):
        console.print(grid)
        console.print()
    for note in table.footnotes:
        console.print(Text(_wrapped(note, console.width)))
    if table.highlighted:
        console.print(_legend(table, marks))


def to_text(table: Table) -> str:
    """Return what `print_table` prints, without colour, 120 columns wide."""
    console = Console(
        file=StringIO(), width=120, color_system=None, force_terminal=False, force_jupyter=False
    )
    with console.capture() as captured:
        print_table(table, console)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _fitted(table: Table, encoding: str) -> Table:
    """Return the table with substitutes for what the encoding lacks, so that columns stay aligned."""

    def fit(cell: Cell) -> Cell:
        return replace(cell, value=fitted(cell.text, encoding), spread="")

    return replace(
        table,
        title=fitted(table.title, encoding),
        header=[fitted(text, encoding) for text in table.header],
        rows=[[fit(cell) for cell in row] for row in table.rows],
        footnotes=[fitted(note, encoding) for note in table.footnotes],
    )


def _wrapped(note: str, width: int) -> str:
    """Return the note in lines; intervals, and numbers with their units, stay on one line."""
    glued = UNBROKEN.sub(lambda found: found[0].replace(" ", "\xa0"), note)
    return "\n".join(wrap(glued, width, break_on_hyphens=False)).replace("\xa0", " ")


def _fitting(cells: Cells, console: Console, draw: Draw, *, upright: bool) -> list[Group]:
    """Return one grid that fits the console, or several, each with a part of the columns.

    Args:
        upright: rows and columns are not exchanged.
    """

    unlimited = console.options.update(max_width=10_000)

    def fits(arranged: Cells) -> bool:
        grids = (part for part in draw(arranged).renderables if isinstance(part, Grid))
        return max(console.measure(grid, options=unlimited).maximum for grid in grids) <= console.width

    turned = [list(column) for column in zip(*cells, strict=True)]
    arrangements = [cells, *([] if upright else [turned]), _grouped(cells)]
    for arranged in arrangements:
        if fits(arranged):
            return [draw(arranged)]
    blocks = min((_blocks(arranged, fits) for arranged in arrangements[1:]), key=len)
    return [draw(block) for block in blocks]


def _blocks(cells: Cells, fits: Callable[[Cells], bool]) -> list[Cells]:
    """Return parts of the columns that fit, each with the first column."""
    blocks: list[Cells] = []
    for column in list(zip(*cells, strict=True))[1:]:
        wider = [[*row, cell] for row, cell in zip(blocks[-1], column, strict=True)] if blocks else []
        if blocks and fits(wider):
            blocks[-1] = wider
        else:
            blocks.append([[row[0], cell] for row, cell in zip(cells, column, strict=True)])
    return blocks


def _grouped(cells: Cells) -> Cells:
    """Return rows `data set: method` as a row for each data set and one for each method, if all rows are such."""
    header, *rows = cells
    if not all(": " in row[0].text for row in rows):
        return cells
    found, last = [header], ""
    for name, *values in rows:
        group, _, rest = name.text.partition(": ")
        if group != last:
            found.append([Cell(f"{group}:"), *(Cell("") for _ in values)])
        found.append([Cell(rest), *values])
        last = group
    return found


def _drawn(lines: box.Box, marks: dict[int, str] | None, cells: Cells) -> Group:
    """Return a grid for the rows below each heading of `_grouped`, which may be wider than the first column."""
    texts = [[_text(cell, marks) for cell in row] for row in cells]
    headings = [len(row) > 1 and not any(cell.text for cell in row[1:]) for row in cells]
    rows = [row for row, is_heading in zip(texts, headings, strict=True) if not is_heading]
    widths = [max(text.cell_len for text in column) for column in zip(*rows, strict=True)]
    grid = _grid(lines, texts[0], widths, show_header=True)
    parts: list[Grid | Text] = [grid]
    for row, is_heading in zip(texts[1:], headings[1:], strict=True):
        if is_heading:
            grid = _grid(lines, texts[0], widths, show_header=False)
            parts += [row[0], grid]
        else:
            grid.add_row(*row)
    return Group(*parts)


def _grid(lines: box.Box, header: list[Text], widths: list[int], *, show_header: bool) -> Grid:
    grid = Grid(box=lines, pad_edge=False, show_edge=False, collapse_padding=True, show_header=show_header)
    for index, (text, width) in enumerate(zip(header, widths, strict=True)):
        grid.add_column(text, justify="right" if index else "left", no_wrap=True, min_width=width)
    return grid


def _text(cell: Cell, marks: dict[int, str] | None) -> Text:
    """Return a cell with its rank as a mark, or as a style where marks are None."""
    if marks is None:
        return Text(cell.text, style=STYLES[cell.rank])
    return Text(f"{marks[cell.rank]} {cell.text}".lstrip())


def _legend(table: Table, marks: dict[int, str] | None) -> Text:
    best, second = table.legend
    if marks is None:
        return Text.assemble(("bold", STYLES[1]), f": {best}; ", ("underlined", STYLES[2]), f": {second}")
    return Text(f"{marks[1]}: {best}; {marks[2]}: {second}")
