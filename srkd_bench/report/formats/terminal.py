"""Write tables for terminals and text files."""

from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from srkd_bench.report.tables.table import Cell, Table

STYLES = {0: "", 1: "red", 2: "bright_blue"}
MARKS = {0: "", 1: "¹", 2: "²"}


def print_table(table: Table, console: Console) -> None:
    """Print the table and its footnotes; one too wide for the console is printed with its models as rows."""
    coloured = console.color_system is not None and not console.no_color
    cells = [[Cell(text) for text in table.header], *table.rows]
    grid = _grid(table, cells, coloured)
    if (width := _width(grid, console)) > console.width:
        turned = _grid(table, [list(column) for column in zip(*cells, strict=True)], coloured)
        grid = turned if _width(turned, console) < width else grid
    console.print(Text(table.title))
    console.print(grid)
    console.print()
    for note in table.footnotes:
        console.print(Text(note))
    if table.highlighted:
        console.print(_legend(table, coloured))


def to_text(table: Table) -> str:
    """Return what `print_table` prints, without colour, 120 columns wide."""
    console = Console(file=StringIO(), width=120, color_system=None, force_terminal=False)
    with console.capture() as captured:
        print_table(table, console)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _width(grid: Grid, console: Console) -> int:
    return console.measure(grid, options=console.options.update(max_width=10_000)).maximum


def _grid(table: Table, cells: list[list[Cell]], coloured: bool) -> Grid:
    header, *rows = cells
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for index, cell in enumerate(header):
        grid.add_column(Text(cell.text), justify="right" if index else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(_text(cell, coloured) for cell in row))
    return grid


def _text(cell: Cell, coloured: bool) -> Text:
    if coloured:
        return Text(cell.text, style=f"{STYLES[cell.rank]} {'bold' if cell.beats else ''}")
    return Text(f"{MARKS[cell.rank]}{'+' if cell.beats else ''} {cell.text}".lstrip())


def _legend(table: Table, coloured: bool) -> Text:
    best, second, beats = table.legend
    if coloured:
        red, blue, bold = ("red", STYLES[1]), ("blue", STYLES[2]), ("bold", "bold")
        return Text.assemble(red, f": {best}; ", blue, f": {second}; ", bold, f": {beats}")
    return Text(f"{MARKS[1]}: {best}; {MARKS[2]}: {second}; +: {beats}")
