"""Open the store, plan a suite, execute the plan and print its results."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srkd_bench.cli.output import err, print_forecast, print_results
from srkd_bench.core.errors import FailedRuns, failed_runs

if TYPE_CHECKING:
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.executors.base import Executor
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import RunOptions, Workplace


def open_store(home: Path | None) -> ArtifactStore:
    """Return the store; what makes the user wait is said on stderr."""
    from srkd_bench.store.artifact_store import ArtifactStore

    return ArtifactStore(home, say=lambda line: err.print(line, markup=False, highlight=False))


def with_teacher(settings: Sequence[str] | None, weights: str | None) -> list[str]:
    """Return a suite's settings with its teacher's weights among them."""
    return [*(settings or []), *([f"teacher.weights={json.dumps(weights)}"] if weights else [])]


def find_plan(
    suite: str,
    settings: list[str] | None,
    home: Path | None,
    chosen: Sequence[str] = (),
    *,
    readonly: bool = False,
    scored: bool = False,
) -> tuple[Plan, ArtifactStore, Display]:
    """Return a suite's plan, and the store and display that it was made with."""
    from srkd_bench.config.suite_file import load_suite
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning import planner

    read = load_suite(suite, settings or [])
    store, display = open_store(home), Display(err)
    options = shlex.join(naming(suite, settings))
    plan = planner.plan(read, store, display, chosen, readonly=readonly, scored=scored, options=options)
    return plan, store, display


def naming(suite: str, settings: Sequence[str] | None) -> list[str]:
    """Return the suite and its settings as words of a command line."""
    return [suite, *(word for one in settings or [] for word in ("--set", one))]


def workplace(store: ArtifactStore, display: Display, options: RunOptions) -> Workplace:
    """Return where to work in this process, on the one device that the options name."""
    from srkd_bench.store.workspace import Workplace
    from srkd_bench.training.devices import choose_device

    return Workplace(store, display, choose_device(options.devices), options)


def show_forecast(
    plan: Plan, place: Workplace, json_: bool, slots: int = 1, more: dict[str, Any] | None = None
) -> None:
    """Print what a plan will cost on so many devices like this one.

    Args:
        more: goes into the JSON, too.
    """
    from srkd_bench.experiments.analysis.forecast import forecast

    print_forecast(forecast(plan, place, slots), json_, more)


def show_results(plan: Plan, store: ArtifactStore, json_: bool) -> None:
    """Print the tables of what is finished of a plan, or its scores as JSON."""
    from srkd_bench.experiments.analysis.collect import results

    print_results(results(plan, store), json_)


def write_events(plan: Plan, store: ArtifactStore, display: Display, folder: Path) -> None:
    """Write the training events of a plan's finished networks for TensorBoard."""
    from srkd_bench.experiments.analysis.collect import results
    from srkd_bench.report import tensorboard

    trainings = results(plan, store, trainings=True).trainings
    tensorboard.write(trainings, folder)
    display.say(
        f"Wrote {len(trainings)} trainings; to view them: tensorboard --logdir {shlex.quote(str(folder))}"
    )


def make(
    execute: Executor, plan: Plan, store: ArtifactStore, display: Display, options: RunOptions
) -> FailedRuns | None:
    """Make what isn't in the store; return what failed."""
    failures = execute(plan, store, display, options)
    store.look_again()
    return failed_runs(failures)


def work(
    plan: Plan,
    store: ArtifactStore,
    display: Display,
    options: RunOptions,
    *,
    dry_run: bool,
    json_: bool,
    executor: str = "local",
    tensorboard: Path | None = None,
) -> None:
    """Train, measure and print, or forecast that; what failed is raised after all else is done and shown.

    Args:
        executor: a key of `EXECUTORS`.
        tensorboard: where to write training events.
    """
    from srkd_bench.experiments.executors.base import find_executor
    from srkd_bench.experiments.planning import status
    from srkd_bench.store.workspace import Workplace

    if dry_run:
        from srkd_bench.training.devices import choose_devices

        devices = choose_devices(options.devices, options.jobs)
        show_forecast(plan, Workplace(store, display, devices[0], options), json_, len(devices))
        return
    if tensorboard:
        from srkd_bench.report.tensorboard import check

        check()
    failed: FailedRuns | None = None
    if status.finished(plan, store):
        status.announce(plan, store, display)
    else:
        failed = make(find_executor(executor), plan, store, display, options)
    show_results(plan, store, json_)
    if tensorboard:
        write_events(plan, store, display, tensorboard)
    display.say(f"Store: {store}")
    if failed:
        raise failed
