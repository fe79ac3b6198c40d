"""What commands print: tables for people, one JSON object for programs, on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from srkd_bench.evaluation.results import Results
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import Workplace


out, err = Console(), Console(stderr=True)
LONG = 200  # rows


def print_results(plan: Plan, store: ArtifactStore, json_: bool) -> None:
    """Print the tables of what is finished of a plan, or its scores as JSON."""
    from srkd_bench.experiments.analysis import collect

    print_scores(collect.results(plan, store), json_)


def print_scores(results: Results, json_: bool) -> None:
    """Print results as tables, or as JSON."""
    from srkd_bench.report.render import print_report, render

    if json_:
        print(render(results, "json"), end="")
    else:
        print_report(results, out)


def print_forecast(
    plan: Plan, place: Workplace, json_: bool, slots: int = 1, more: dict[str, Any] | None = None
) -> None:
    """Print what a plan needs.

    Args:
        slots: how many processes will work on it at once, each on a device of its own.
        more: goes into the JSON, too.
    """
    from srkd_bench.core.units import clock, size
    from srkd_bench.experiments.analysis.forecast import forecast, together

    jobs = forecast(plan, place, slots)
    known = [job.seconds for job in jobs if job.seconds is not None]
    disk, flops = sum(job.disk for job in jobs), sum(job.flops for job in jobs)
    total = {"seconds": round(sum(known)), "disk": disk, "flops": flops}
    if json_:
        rows = [vars(job) for job in jobs]
        print_json({"schema": 1, "suite": plan.suite.name, "jobs": rows, **total, **(more or {})})
        return
    shown = [
        {
            "what": job.what,
            "state": job.state,
            "FLOPs": f"{job.flops:.2g}" if job.flops else "",
            "time": "" if not job.seconds else f"about {clock(job.seconds)}",
            "disk": size(job.disk) if job.disk else "",
        }
        for job in jobs
    ]
    print_table(shown)
    if missing := [job.what.removeprefix("data ") for job in jobs if job.state == "to download"]:
        print(f"first: srkd download {' '.join(missing)}")
    print(f"in all about {clock(sum(known))} on {place.device}, {size(disk)} of disk, {flops:.2g} FLOPs")
    if slots > 1:
        print(f"with {slots} such devices about {clock(together(jobs, slots))}")
    print(f"store: {place.store.home}")


def print_datasets(store: ArtifactStore, json_: bool) -> None:
    """Print the table of data sets."""
    from srkd_bench.experiments.analysis import listing

    print_rows("datasets", listing.datasets(store), json_)


def print_rows(what: str, rows: list[dict[str, Any]], json_: bool) -> None:
    """Print rows as a table, or as JSON."""
    if json_:
        print_json({"schema": 1, what: rows})
    elif rows:
        print_table(rows)
    else:
        err.print(f"no {what} yet", markup=False)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows that have the same keys; lines are folded for a terminal only."""
    from rich.table import Table
    from rich.text import Text

    if len(rows) > LONG or not out.is_terminal:  # rich takes seconds to lay out thousands
        texts = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        for line in texts:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    out.print(table)


def print_json(data: dict[str, Any]) -> None:
    """Print one object."""
    print(json.dumps(data, indent=1))
