"""Print tables on a terminal, or one JSON object for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping

    from srkd_bench.experiments.analysis.forecast import Forecast
    from srkd_bench.experiments.analysis.sensitivity import Sensitivity
    from srkd_bench.report.render import Content


out, err = Console(), Console(stderr=True)
LONG = 200  # rows
SLOW = 1.2  # slowdown by other work that is worth a line


def print_report(document: Content, json_: bool) -> None:
    """Print a report as tables, or as JSON."""
    from srkd_bench.report.render import print_document, written

    if json_:
        print(written(document, "json"), end="")
    else:
        print_document(document, out)


def print_forecast(found: Forecast, json_: bool, more: dict[str, Any] | None = None) -> None:
    """Print what a plan will cost.

    Args:
        more: goes into the JSON, too.
    """
    from srkd_bench.core.units import clock, size

    if json_:
        total: dict[str, object] = {"seconds": round(found.seconds), "disk": found.disk, "flops": found.flops}
        rows = [
            {key: one for key, one in vars(job).items() if one or key not in ("cell", "networks")}
            for job in found.jobs
        ]
        total |= {"precisions": dict(found.precisions), "slowdown": round(found.slowdown, 2)}
        print_json({"schema": 1, "suite": found.suite, "jobs": rows, **total, **(more or {})})
        return
    shown = [
        {
            "what": job.what,
            "state": job.state,
            "FLOPs": f"{job.flops:.2g}" if job.flops else "",
            "time": "" if not job.seconds else f"about {clock(job.seconds)}",
            "disk": size(job.disk) if job.disk else "",
        }
        for job in found.by_cell
    ]
    print_table(shown)
    if found.missing:
        print(f"First: srkd download {' '.join(found.missing)}")
    needs = f"{size(found.disk)} of disk space, {found.flops:.2g} FLOPs"
    print(f"Total: about {clock(found.seconds)} on {found.device}, {needs}")
    if found.slots > 1:
        print(f"With {found.slots} such devices: about {clock(found.seconds_together)}")
    if found.seconds and found.slowdown > SLOW:
        print(
            f"Other work keeps the processor busy: at present this takes {found.slowdown:.1f} times as long"
        )
    if found.precisions:
        print(_precision_advice(found.precisions))
    print(f"Store: {found.home}")


def _precision_advice(seconds: Mapping[str, float]) -> str:
    """Return which precision is faster, given the seconds of a training step in each."""
    best = min(seconds, key=seconds.__getitem__)
    ratio = seconds["bf16"] / seconds["fp32"]
    return (
        f"Precision: a step in bf16 takes {ratio:.2f} of a step in fp32 here; faster: train.precision={best}"
    )


def print_sensitivity(found: Sensitivity) -> None:
    """Print which difference a plan detects, and the seeds that the difference asked for needs."""
    methods = f"{found.methods} method{'s' * (found.methods > 1)}"
    known = f"{methods}; standard deviation {found.deviation:.3f} dB, from the {found.source}"
    if found.detectable is None:
        print(f"Detectable difference: none with one {found.unit} ({known})")
    else:
        size = f"{found.detectable:.3f} dB on all data sets with 80 % power"
        print(f"Detectable difference: {size} ({found.seeds} {found.unit}s, {known})")
    if found.difference is not None:
        needed = "more than 10,000" if found.seeds_needed is None else f"{found.seeds_needed:,}"
        print(f"{found.unit.capitalize()}s needed to detect {found.difference:g} dB: {needed}")


def print_rows(what: str, rows: list[dict[str, Any]], json_: bool) -> None:
    """Print rows as a table, or as JSON."""
    if json_:
        print_json({"schema": 1, what: rows})
    elif rows:
        print_table(rows)
    else:
        hint = "; `srkd run demo` trains some" if what == "runs" else ""
        err.print(f"no {what} yet{hint}", markup=False)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows that have the same keys. On a terminal, only the widest column is wrapped, between words."""
    from rich.table import Table
    from rich.text import Text

    from srkd_bench.report.formats.glyphs import fitted

    rows = [{fitted(k, out.encoding): fitted(str(v), out.encoding) for k, v in row.items()} for row in rows]
    if len(rows) > LONG or not out.is_terminal:  # rich takes seconds to lay out thousands
        texts = [list(rows[0]), *(list(row.values()) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        for line in texts:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    longest = {name: max(len(str(row[name])) for row in rows) for name in rows[0]}
    widest = max(longest, key=longest.__getitem__)
    for name in longest:
        table.add_column(name, overflow="fold", no_wrap=name != widest)
    for row in rows:
        table.add_row(*map(Text, row.values()))
    out.print(table)


def print_json(data: dict[str, Any]) -> None:
    """Print one object."""
    print(json.dumps(data, indent=1))
