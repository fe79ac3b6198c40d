"""`srkd train-teacher`, `srkd distill` and `srkd run`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from srkd_bench.cli.options import (
    Address,
    Checkpoint,
    Device,
    Devices,
    DryRun,
    Executor,
    Home,
    Jobs,
    Json,
    Offline,
    Runner,
    Settings,
    SuiteArgument,
    SuiteOption,
    Teacher,
    TeacherCache,
    suite_name,
)
from srkd_bench.cli.output import (
    print_forecast,
    print_results,
)
from srkd_bench.cli.session import find_plan, make, open_store, with_cluster, with_teacher, work, workplace
from srkd_bench.core import torchrun_env


def train_teacher(
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    settings: Settings = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE|URL|edsr-official", help="Take these weights instead of training."
        ),
    ] = None,
    home: Home = None,
    device: Device = "auto",
    checkpoint_seconds: Checkpoint = None,
    offline: Offline = False,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Train the suite's teacher, or load its weights, and measure it. Under torchrun, all processes train it."""
    if torchrun_env.rank():
        if not dry_run:
            from srkd_bench.experiments.executors import torchrun

            torchrun.follow(open_store(home), device)
        return
    suite, changes = suite_name(suite, suite_option), with_teacher(settings, source)
    plan, store, display = find_plan(suite, changes, home, ["none"], readonly=dry_run)
    plan = replace(plan, students=())
    place = workplace(store, display, device, checkpoint_seconds)
    if dry_run:
        print_forecast(plan, place, json_)
        return
    from srkd_bench.experiments.executors import torchrun

    failed = make(plan, place, ranks=torchrun.lead(plan, place))
    if failed:
        raise failed
    print_results(plan, store, json_)
    if source:
        display.say(f"to distil from it: srkd run {suite} --set teacher.weights={source}")


def distill(
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            "-m",
            metavar="NAME|FILE.py|MODULE:CLASS",
            help="A method, or a+b; repeatable; `all` is every installed one. The code of a file is run.",
        ),
    ],
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Devices = "auto",
    jobs: Jobs = None,
    checkpoint_seconds: Checkpoint = None,
    teacher_cache: TeacherCache = 2.0,
    offline: Offline = False,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Train students by some methods, side by side, and measure them. The teacher goes first if one looks at it."""
    suite, changes = suite_name(suite, suite_option), with_teacher(settings, teacher)
    plan, store, display = find_plan(suite, changes, home, method, readonly=dry_run)
    looks = any(run.teacher for run in plan.students)
    plan = replace(plan, with_teacher=looks or store.has(plan.teacher))
    work(plan, store, display, device, jobs, checkpoint_seconds, teacher_cache, dry_run, json_)


def run(
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Devices = "auto",
    jobs: Jobs = None,
    executor: Runner = Executor.LOCAL,
    address: Address = None,
    checkpoint_seconds: Checkpoint = None,
    teacher_cache: TeacherCache = 2.0,
    offline: Offline = False,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Do all of a suite: teacher, students, scores, table. What is in the store already isn't done again."""
    cluster = with_cluster(executor, address, dry_run)
    suite, changes = suite_name(suite, suite_option), with_teacher(settings, teacher)
    found = find_plan(suite, changes, home, readonly=dry_run)
    work(*found, device, jobs, checkpoint_seconds, teacher_cache, dry_run, json_, cluster)
