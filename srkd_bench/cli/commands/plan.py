"""`srkd plan`: what a suite needs, as a table, or as commands for other machines."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from srkd_bench.cli.options import (
    Device,
    Home,
    Offline,
    Settings,
    SuiteArgument,
    SuiteOption,
    Teacher,
    TeacherCache,
    suite_name,
)
from srkd_bench.cli.output import print_forecast
from srkd_bench.cli.session import find_plan, with_teacher, workplace


class Format(StrEnum):
    """How a plan is printed."""

    TABLE = "table"
    JSON = "json"
    SHELL = "shell"
    SLURM = "slurm"


def plan(
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    format_: Annotated[
        Format,
        typer.Option(
            "--format", "-f", help="A table or JSON with times; a shell script or a job array for Slurm."
        ),
    ] = Format.TABLE,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            max=10_000,
            help="So many devices or array jobs at once: split for them.",
        ),
    ] = None,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Device = "auto",
    teacher_cache: TeacherCache = 2.0,
    offline: Offline = False,
) -> None:
    """Show what is in the store and what will run: operations, time, disk; or print commands. Nothing is made.

    The commands can be run in any order that keeps what stands before the groups before them, on any machines that
    share the store, at the same time, and again: nothing is made twice.
    """
    from srkd_bench.experiments.executors import slurm
    from srkd_bench.experiments.planning.tasks import tasks

    suite, changes = suite_name(suite, suite_option), with_teacher(settings, teacher)
    found, store, display = find_plan(suite, changes, home, readonly=True)
    if format_ == Format.TABLE:
        print_forecast(found, workplace(store, display, device, None, teacher_cache), False, slots=jobs or 1)
        return
    cache = [] if teacher_cache == 2.0 else ["--teacher-cache", f"{teacher_cache:g}"]
    steps = slurm.steps(
        found,
        store,
        tasks(found, store, jobs or 1),
        suite,
        changes,
        training=cache,
        device=[] if device == "auto" else ["--device", device],
    )
    if format_ == Format.JSON:
        place = workplace(store, display, device, None, teacher_cache)
        print_forecast(found, place, True, slots=jobs or 1, more={"tasks": [vars(step) for step in steps]})
    elif format_ == Format.SHELL:
        print(slurm.shell(steps), end="")
    else:
        print(slurm.slurm(steps, found, jobs), end="")
