"""`srkd train-teacher`, `srkd distill` and `srkd run`: train and evaluate a suite."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from srkd_bench.cli import completion, lists
from srkd_bench.cli.options import (
    AUTO,
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
    Teacher,
    TensorBoard,
    run_options,
)
from srkd_bench.cli.registration import DEFAULT_SUITE
from srkd_bench.cli.session import find_plan, find_plans, forecast_run, open_store, show_results, work
from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError
from srkd_bench.experiments.workflow import make, with_teacher, workplace

if TYPE_CHECKING:
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning.grid import Plans
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import RunOptions

TeacherWeights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE|URL|NAME",
        help="Load these weights instead of training, such as edsr-official.",
    ),
]
Trained = Annotated[
    list[str],
    typer.Option(
        "--method",
        "-m",
        metavar="METHOD[,METHOD…]",
        callback=lists.methods,
        autocompletion=completion.methods,
        help="Methods: a name, a+b, all (installed), or FILE.py or MODULE:CLASS, whose code is run; repeatable.",
    ),
]


OnlySeed = Annotated[
    list[int] | None,
    typer.Option(
        "--only-seed",
        metavar="SEED",
        min=0,
        help="Train this one of the suite's seeds; the suite is not changed. Repeatable.",
    ),
]


def train_teacher(
    suite: SuiteArgument = DEFAULT_SUITE,
    settings: Settings = None,
    weights: TeacherWeights = None,
    home: Home = None,
    device: Device = "auto",
    checkpoint_seconds: Checkpoint = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Train and evaluate a suite's teachers, or load weights.

    Teacher labels are computed if the suite uses them. Under torchrun, all processes train one teacher together.
    """
    from srkd_bench.experiments.planning.parts import of_teachers

    changes = with_teacher(settings, weights)
    if torchrun_env.rank():
        if not dry_run:
            from srkd_bench.experiments.executors.torchrun import follow, label

            follow(open_store(home)[0], device)
            plan, store, _ = find_plan(suite, changes, home, ["none"], readonly=True)
            label(of_teachers(plan), store, device)
        return
    options = run_options(device, None, checkpoint_seconds)
    plan, store, display = find_plan(
        suite, changes, home, ["none"], readonly=dry_run, execution=None if dry_run else options
    )
    plan = of_teachers(plan)
    if dry_run:
        from srkd_bench.experiments.executors.torchrun import check_ranks

        check_ranks(plan, store)
        forecast_run(plan, workplace(store, display, options), json_)
        return
    from srkd_bench.experiments.executors.torchrun import execute

    if failed := make(execute, plan, store, display, options):
        raise failed
    show_results(plan, store, json_)
    if weights:
        display.say(f"To distill from it: {shlex.join(['srkd', 'run', suite, '--teacher', weights])}")


def distill(
    method: Trained,
    suite: SuiteArgument = DEFAULT_SUITE,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Devices = AUTO,
    jobs: Jobs = None,
    checkpoint_seconds: Checkpoint = None,
    tensorboard: TensorBoard = None,
    only_seed: OnlySeed = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Train and evaluate students of selected methods.

    The students of a seed are trained side by side. The teacher is trained first if a method needs it.
    """
    from srkd_bench.experiments.planning.parts import of_seeds, without_unused_fusion

    changes = with_teacher(settings, teacher)
    options = run_options(device, jobs, checkpoint_seconds)
    execution = None if dry_run else options
    plan, store, display = find_plan(suite, changes, home, method, readonly=dry_run, execution=execution)
    if only_seed:
        plan = of_seeds(plan, only_seed)
    looks = any(run.teacher for run in plan.students)
    plan = without_unused_fusion(plan)
    plan = replace(plan, with_teacher=looks or all(map(store.has, plan.all_teachers)))
    if dry_run:
        _forecast(plan, store, display, options, json_)
    else:
        work(plan, store, display, options, json_=json_, tensorboard=tensorboard)


def run(
    suite: SuiteArgument = DEFAULT_SUITE,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Devices = AUTO,
    jobs: Jobs = None,
    executor: Executor = "local",
    address: Address = None,
    checkpoint_seconds: Checkpoint = None,
    tensorboard: TensorBoard = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Run a suite, or all cells of a grid: teacher, students, evaluation, report.

    Finished work is reused, and interrupted training resumes from its checkpoint.
    """
    if executor == "local" and address:
        raise SrkdError("--address needs --executor ray", "--executor ray")
    if executor != "local" and dry_run:
        raise SrkdError(
            "--dry-run forecasts this machine only",
            f"srkd plan {shlex.quote(suite)}, or leave out --executor",
        )
    changes = with_teacher(settings, teacher)
    options = run_options(device, jobs, checkpoint_seconds, address)
    execution = options if executor == "local" and not dry_run else None
    found = find_plans(suite, changes, home, readonly=dry_run, execution=execution)
    if dry_run:
        _forecast(*found, options, json_)
    else:
        work(*found, options, json_=json_, executor=executor, tensorboard=tensorboard)


def _forecast(plan: Plans, store: ArtifactStore, display: Display, options: RunOptions, json_: bool) -> None:
    """Print what a plan will cost on all devices that the options name."""
    from srkd_bench.store.workspace import Workplace
    from srkd_bench.training.devices import choose_devices

    devices = choose_devices(options.devices, options.jobs)
    forecast_run(plan, Workplace(store, display, devices[0], options), json_, len(devices))
