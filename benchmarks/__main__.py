"""`python -m benchmarks` measures everything, prints a table, writes it as JSON; `--quick` shows that it works.

A benchmark that fails is reported, and the others continue. `gpu` names all sections of the GPU check, which is not
part of the default. The exit code is 1 if a benchmark failed, or if a section of the GPU check missed a limit.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu import SECTIONS
from benchmarks.measure import Row
from srkd_bench.core.units import clock

SCRIPTS = (
    "lockstep",
    "students",
    "stops",
    "labels",
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


HEADS = ("target", "measured", "limit", "before", "other way", "")


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's words, one for each of `HEADS`."""
    limit = "" if row.limit is None else f"{'≥' if row.more else '≤'} {shown(row.limit)}"
    verdict = {True: "", False: "missed; ", None: ""}[row.kept]
    measured = "–" if row.measured is None else f"{shown(row.measured)} {row.unit}"
    note = f"failed: {row.error}" if row.error else verdict + row.note
    return row.target, measured, limit, shown(row.before), shown(row.peer), note


def table(rows: list[Row]) -> Table:
    grid = Table(box=None, pad_edge=False)
    for title in HEADS:
        grid.add_column(title, justify="left" if title in ("target", "") else "right", overflow="fold")
    for row in rows:
        grid.add_row(*cells(row))
    return grid


def markdown(rows: list[Row]) -> str:
    """Return the table as docs/developer/benchmarks.md has it."""
    lines = [HEADS, (":--", "--:", "--:", "--:", "--:", ":--"), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measured(names: Sequence[str], *, quick: bool) -> tuple[list[Row], bool]:
    """Return the rows of some benchmarks, and whether one failed."""
    rows, failed = list[Row](), False
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        begun = time.perf_counter()
        try:
            found = import_module(f"benchmarks.{name}").rows(quick)
        except Exception as error:
            traceback.print_exc()
            found = [Row(name, None, "", error=f"{type(error).__name__}: {str(error)[:200]}")]
        print(f"{name}: {clock(time.perf_counter() - begun)}", file=sys.stderr)
        rows += found
        failed |= any(row.error or (name in SECTIONS and row.kept is False) for row in found)
    return rows, failed


def accelerator() -> str:
    """Return the GPU that the sections of the GPU check use."""
    from benchmarks.gpu.common import NAME, ON_GPU

    return NAME if ON_GPU else "no GPU: only the parts for the CPU were measured"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*SCRIPTS, "gpu", *SECTIONS]))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: that it works, not how fast")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the rows as JSON")
    words = parser.parse_args()
    names = [part for name in words.names for part in (SECTIONS if name == "gpu" else [name])]
    if unknown := set(names) - {*SCRIPTS, *SECTIONS}:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    machine += f", {torch.get_num_threads()} threads, torch {torch.__version__}"
    if set(names) & set(SECTIONS):
        machine += f", {accelerator()}"
    rows, failed = measured(names or SCRIPTS, quick=words.quick)
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
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
