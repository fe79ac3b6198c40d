"""`srkd ls` and `srkd show`: list and describe what is available."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.options import Device, Home, Json, OptionalSuite, Settings, refuse, run_options
from srkd_bench.cli.output import print_json, print_rows
from srkd_bench.cli.registration import DEFAULT_SUITE
from srkd_bench.cli.session import open_store
from srkd_bench.cli.streams import write_file
from srkd_bench.core.errors import SrkdError, failed_runs, unknown
from srkd_bench.experiments.workflow import workplace


class What(StrEnum):
    """What `ls` lists."""

    RUNS = "runs"
    METHODS = "methods"
    DATASETS = "datasets"
    SUITES = "suites"


def list_(
    what: Annotated[What, typer.Argument(metavar="WHAT", help="What to list.")] = What.RUNS,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Measure the methods' gradient shares on SUITE. A missing teacher is trained first.",
        ),
    ] = False,
    suite: OptionalSuite = None,
    settings: Settings = None,
    home: Home = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """List runs, methods, data sets or suites."""
    from srkd_bench.experiments.analysis import listing

    if measure and what != What.METHODS:
        raise SrkdError(
            f"--measure needs `srkd ls methods`, not `srkd ls {what}`", "srkd ls methods --measure"
        )
    if measure:
        _print_measured(suite or DEFAULT_SUITE, settings, home, device, json_)
        return
    given = {"SUITE": suite, "--set": settings, "--device": device != "auto"}
    refuse(f"`srkd ls {what}`", given, "srkd ls methods SUITE --measure takes them")
    rows = {
        What.RUNS: listing.runs,
        What.METHODS: listing.methods,
        What.DATASETS: listing.datasets,
        What.SUITES: listing.suites,
    }[what]
    print_rows(what, rows(open_store(home)[0]), json_)


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SUITE",
            autocompletion=completion.suites_and_runs,
            help="An unambiguous prefix of a run's id, or a suite or its file.",
        ),
    ],
    home: Home = None,
    json_: Json = False,
) -> None:
    """Show a run, or print a suite file.

    A run is shown with its settings, provenance and scores.
    """
    from srkd_bench.config.suite_names import suite_files
    from srkd_bench.experiments.analysis.listing import one_run

    if name in suite_files() or name.endswith((".yaml", ".yml")):
        _print_suite(name, json_)
        return
    if not re.fullmatch("[0-9a-f]+", name):
        raise unknown("run or suite", name, suite_files())
    shown = one_run(open_store(home)[0], name)
    if json_:
        print_json({"schema": 1, **shown})
    else:
        import yaml

        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")


def _print_suite(name: str, json_: bool) -> None:
    from srkd_bench.config.suite_file import raw_suite, suite_text

    if json_:
        print_json({"schema": 1, **raw_suite(name)[0]})
    else:
        write_file(suite_text(name))


def _print_measured(
    suite: str, settings: list[str] | None, home: Path | None, device: str, json_: bool
) -> None:
    """Print the installed methods' gradient shares; the suite's teachers are trained first if needed."""
    from srkd_bench.config.suite_file import load_suite
    from srkd_bench.experiments.analysis import gradient_shares
    from srkd_bench.experiments.planning.planner import plan as find
    from srkd_bench.experiments.runs.preflight import prepare
    from srkd_bench.experiments.runs.train import ensure_teacher

    read = load_suite(suite, settings or []).model_copy(update={"tuned": False})
    store, display = open_store(home)
    plan = find(read, store, display, ["all"])
    place = workplace(store, display, run_options(device))
    images, _ = prepare(plan, place)
    teachers = plan.all_teachers if plan.fusion else [plan.teacher]
    if failed := failed_runs(
        [error for one in teachers for error in ensure_teacher(plan, images, place, None, one)]
    ):
        raise failed
    found = gradient_shares.measure(plan, images, place)
    if json_:
        rows = [gradient_shares.row(one) for one in found]
        print_json({"schema": 1, "suite": read.name, "steps": gradient_shares.steps(plan), "methods": rows})
        return
    print(gradient_shares.explained(plan) + "\n")
    print_rows("methods", [gradient_shares.shown(one) for one in found], json_)
