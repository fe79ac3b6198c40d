"""`srkd ls` and `srkd show`: list and show what is available."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from srkd_bench.cli.commands.tune import print_measured
from srkd_bench.cli.options import (
    Device,
    Home,
    Json,
    Settings,
    SuiteName,
)
from srkd_bench.cli.output import (
    print_datasets,
    print_json,
    print_rows,
)
from srkd_bench.cli.session import open_store
from srkd_bench.core.errors import SrkdError


class What(StrEnum):
    """What `ls` lists."""

    RUNS = "runs"
    METHODS = "methods"
    DATASETS = "datasets"
    SUITES = "suites"


def list_(
    what: Annotated[What, typer.Argument(help="What to list.")] = What.RUNS,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Of methods: measure what share of the gradient their weights give on a suite."
        ),
    ] = False,
    suite: SuiteName = "demo",
    settings: Settings = None,
    home: Home = None,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """List runs, methods (own ones that the store was used with, too), data sets or suites."""
    from srkd_bench.experiments.analysis import listing as listing_module

    if measure and what != What.METHODS:
        raise SrkdError(f"--measure is about methods, not {what}", "srkd ls methods --measure")
    if measure:
        print_measured(suite, settings, home, device, json_)
    elif what == What.DATASETS:
        print_datasets(open_store(home), json_)
    else:
        rows = {
            What.RUNS: listing_module.runs,
            What.METHODS: listing_module.methods,
            What.SUITES: listing_module.suites,
        }[what]
        print_rows(what, rows(open_store(home)), json_)


def show(
    name: Annotated[
        str, typer.Argument(metavar="RUN|SUITE", help="The first digits of a run's id, or a suite.")
    ],
    home: Home = None,
    json_: Json = False,
) -> None:
    """Show a run's settings, card and scores, or print a suite."""
    from srkd_bench.config import suite_file
    from srkd_bench.experiments.analysis import listing as listing_module

    if name in suite_file.suite_files():
        print(suite_file.suite_files()[name].read_text(), end="")
        return
    shown = listing_module.one_run(open_store(home), name)
    if json_:
        print_json({"schema": 1, **shown})
    else:
        import yaml

        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")
