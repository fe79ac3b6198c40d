"""`srkd train-teacher`, `srkd distill` and `srkd run`: train and evaluate a suite."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli.options import (
    CACHE_GB,
    Address,
    Checkpoint,
    Device,
    Devices,
    DryRun,
    Executor,
    Home,
    Jobs,
    Json,
    Settings,
    SuiteArgument,
    SuiteOption,
    Teacher,
    TeacherCache,
    run_options,
    suite_name,
)
from srkd_bench.cli.session import (
    find_plan,
    forecast_run,
    make,
    open_store,
    show_results,
    with_teacher,
    work,
    workplace,
)
from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError

if TYPE_CHECKING:
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import RunOptions

TeacherSource = Annotated[
    str | None,
    typer.Option("--from", metavar="FILE|URL|edsr-official", help="Take these weights instead of training."),
]
Trained = Annotated[
    list[str],
    typer.Option(
        "--method",
        "-m",
        metavar="NAME|FILE.py|MODULE:CLASS",
        help="A method, or a+b; repeatable; `all` is every installed one. The code of a file is run.",
    ),
]


def train_teacher(
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    settings: Settings = None,
    source: TeacherSource = None,
    home: Home = None,
    device: Device = "auto",
    checkpoint_seconds: Checkpoint = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Train the suite's teacher, or load its weights, and measure it. Under torchrun, all processes train it."""
    if torchrun_env.rank():
        if not dry_run:
            from srkd_bench.experiments.executors.torchrun import follow

            follow(open_store(home), device)
        return
    suite, changes = suite_name(suite, suite_option), with_teacher(settings, source)
    plan, store, display = find_plan(suite, changes, home, ["none"], readonly=dry_run)
    plan, options = replace(plan, students=()), run_options(device, None, checkpoint_seconds)
    if dry_run:
        from srkd_bench.experiments.executors.torchrun import check_ranks

        check_ranks(plan, store)
        forecast_run(plan, workplace(store, display, options), json_)
        return
    from srkd_bench.experiments.executors.torchrun import execute

    if failed := make(execute, plan, store, display, options):
        raise failed
    show_results(plan, store, json_)
    if source:
        display.say(f"to distil from it: srkd run {suite} --set teacher.weights={source}")


def distill(
    method: Trained,
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Devices = "auto",
    jobs: Jobs = None,
    checkpoint_seconds: Checkpoint = None,
    teacher_cache: TeacherCache = CACHE_GB,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Train students by some methods, side by side, and measure them. The teacher goes first if one looks at it."""
    suite, changes = suite_name(suite, suite_option), with_teacher(settings, teacher)
    plan, store, display = find_plan(suite, changes, home, method, readonly=dry_run)
    looks = any(run.teacher for run in plan.students)
    plan = replace(plan, with_teacher=looks or store.has(plan.teacher))
    options = run_options(device, jobs, checkpoint_seconds, teacher_cache)
    if dry_run:
        _forecast(plan, store, display, options, json_)
    else:
        work(plan, store, display, options, json_=json_)


def run(
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Devices = "auto",
    jobs: Jobs = None,
    executor: Executor = "local",
    address: Address = None,
    checkpoint_seconds: Checkpoint = None,
    teacher_cache: TeacherCache = CACHE_GB,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Do all of a suite: teacher, students, scores, table. What is in the store already isn't done again."""
    if executor == "local" and address:
        raise SrkdError("--address is of a Ray cluster", "--executor ray")
    if executor != "local" and dry_run:
        raise SrkdError("--dry-run is about this machine", "srkd plan SUITE --jobs N, or without --executor")
    suite, changes = suite_name(suite, suite_option), with_teacher(settings, teacher)
    found = find_plan(suite, changes, home, readonly=dry_run)
    options = run_options(device, jobs, checkpoint_seconds, teacher_cache, address)
    if dry_run:
        _forecast(*found, options, json_)
    else:
        work(*found, options, json_=json_, executor=executor)


def _forecast(plan: Plan, store: ArtifactStore, display: Display, options: RunOptions, json_: bool) -> None:
    """Print what a plan will cost on all devices that the options name."""
    from srkd_bench.store.workspace import Workplace
    from srkd_bench.training.devices import choose_devices

    devices = choose_devices(options.devices, options.jobs)
    forecast_run(plan, Workplace(store, display, devices[0], options), json_, len(devices))
