"""`srkd plan`: show what a suite needs, or print it as commands for other machines."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from srkd_bench.cli.options import (
    Device,
    Home,
    Settings,
    SuiteArgument,
    Teacher,
    choice,
    run_options,
)
from srkd_bench.cli.output import print_sensitivity
from srkd_bench.cli.registration import DEFAULT_SUITE
from srkd_bench.cli.session import find_plans, show_forecast
from srkd_bench.cli.streams import write_file
from srkd_bench.core.errors import SrkdError
from srkd_bench.experiments.executors.base import SCRIPTS, find_script
from srkd_bench.experiments.workflow import naming, with_teacher, workplace

Format = Annotated[
    str,
    choice(
        "--format",
        "-f",
        names=("table", "json", *SCRIPTS),
        help="A table or JSON with the predicted times, or a script of shell commands or Slurm jobs.",
    ),
]
AtOnce = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        max=10_000,
        help="Number of devices or array jobs that run at once.",
    ),
]


def _check_difference(value: float | None) -> float | None:
    if value is not None and not 0 < value <= 100:
        raise SrkdError(f"--detect {value:g}: not a difference above 0 and up to 100 dB", "--detect 0.02")
    return value


Detect = Annotated[
    float | None,
    typer.Option(
        "--detect",
        metavar="DB",
        callback=_check_difference,
        help="Also show how many seeds detect this difference in PSNR-Y (dB) with 80 % power.",
    ),
]


def plan(
    suite: SuiteArgument = DEFAULT_SUITE,
    format_: Format = "table",
    jobs: AtOnce = None,
    detect: Detect = None,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Device = "auto",
) -> None:
    """Show what a suite needs, or print it as a script.

    Shows what is cached and what would run, with FLOPs, time and disk space. Nothing runs.

    Also shows the minimum difference from no distillation that the suite's seeds detect with a power of 80 %.

    The commands of a script may run at the same time on several machines that share the store, and may be repeated.
    Only the teacher must be trained first. Finished work is reused.
    """
    from srkd_bench.experiments.analysis.sensitivity import sensitivity
    from srkd_bench.experiments.executors.scripts import steps
    from srkd_bench.experiments.planning.grid import GridPlan
    from srkd_bench.experiments.planning.tasks import tasks

    if detect is not None and format_ in SCRIPTS:
        raise SrkdError(
            f"--detect cannot be combined with --format {format_}", "leave out --format, or --format json"
        )
    changes = with_teacher(settings, teacher)
    found, store, display = find_plans(suite, changes, home, readonly=True)
    options, slots = run_options(device), jobs or 1
    if device != "auto":
        from srkd_bench.training.devices import check_device_name

        check_device_name(device)
    if isinstance(found, GridPlan) and detect is not None:
        raise SrkdError(f"--detect needs one cell of grid {found.name}", f"--cell '{found.cells[0].name}'")
    power = None if isinstance(found, GridPlan) or format_ in SCRIPTS else sensitivity(found, store, detect)
    if format_ == "table":
        show_forecast(found, workplace(store, display, options), False, slots)
        if power is not None:
            print_sensitivity(power)
        return
    words = _words(suite, changes, store.home, device)
    todo = steps(found, tasks(found, store, slots), words)
    if format_ == "json":
        more = {"power": power and asdict(power), "tasks": [vars(step) for step in todo]}
        show_forecast(found, workplace(store, display, options), True, slots, more)
    else:
        write_file(find_script(format_)(todo, found, jobs))


def _words(suite: str, settings: list[str], home: Path, device: str) -> list[str]:
    """Return the options of a plan's commands, which work in any folder."""
    suite = str(Path(suite).absolute()) if suite.endswith((".yaml", ".yml")) else suite
    words = [*naming(suite, settings), "--home", str(home)]
    words += [] if device == "auto" else ["--device", device]
    return words + (["--offline"] if os.environ.get("SRKD_OFFLINE") == "1" else [])
