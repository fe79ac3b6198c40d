"""`python -m benchmarks` measures everything, prints a table, writes it as JSON; `--quick` shows that it works."""

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row

SCRIPTS = (
    "lockstep",
    "stops",
    "kept",
    "precision",
    "patches",
    "waiting",
    "convolutions",
    "peers",
    "evaluation",
    "start",
    "soak",
    "memory",
    "growth",
    "forecast",
    "statistics",
)


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


HEADS = ("target", "measured", "limit", "other way", "")


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's words, one for each of `HEADS`."""
    limit = "" if row.limit is None else f"{'≥' if row.more else '≤'} {shown(row.limit)}"
    verdict = {True: "", False: "missed; ", None: ""}[row.kept]
    measured = "–" if row.measured is None else f"{shown(row.measured)} {row.unit}"
    return row.target, measured, limit, shown(row.peer), verdict + row.note


def table(rows: list[Row]) -> Table:
    grid = Table(box=None, pad_edge=False)
    for title in HEADS:
        grid.add_column(title, justify="left" if title in ("target", "") else "right", overflow="fold")
    for row in rows:
        grid.add_row(*cells(row))
    return grid


def markdown(rows: list[Row]) -> str:
    """Return the table as docs/developer/benchmarks.md has it."""
    lines = [HEADS, (":--", "--:", "--:", "--:", ":--"), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCRIPTS))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: that it works, not how fast")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the rows as JSON")
    words = parser.parse_args()
    if unknown := set(words.names) - set(SCRIPTS):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    machine += f", {torch.get_num_threads()} threads, torch {torch.__version__}"
    rows: list[Row] = []
    for name in words.names or SCRIPTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += import_module(f"benchmarks.{name}").rows(words.quick)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if words.markdown:
        print(markdown(rows))
    else:
        console.print(table(rows))
    console.print(machine, highlight=False)
    if words.output:
        document = {
            "schema": 1,
            "machine": machine,
            "quick": words.quick,
            "rows": [asdict(row) for row in rows],
        }
        words.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
