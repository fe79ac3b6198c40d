"""Open the store, plan a suite, execute the plan and print its results."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srkd_bench.cli.options import run_options
from srkd_bench.cli.output import err, print_forecast, print_report
from srkd_bench.experiments import workflow

if TYPE_CHECKING:
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning.grid import Plans
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import RunOptions, Workplace


def open_store(home: Path | None) -> tuple[ArtifactStore, Display]:
    """Return the store, and the display, which prints reasons for waiting on stderr."""
    from srkd_bench.core.progress import Display

    display = Display(err)
    return workflow.open_store(home, display), display


def open_workplace(home: Path | None, device: str) -> Workplace:
    """Return the workplace of a command that runs on one device."""
    return workflow.workplace(*open_store(home), run_options(device))


def find_plan(
    suite: str,
    settings: list[str] | None,
    home: Path | None,
    chosen: Sequence[str] = (),
    *,
    readonly: bool = False,
    scored: bool = False,
    execution: RunOptions | None = None,
) -> tuple[Plan, ArtifactStore, Display]:
    """Return a suite's plan, and the store and display that it was made with; see `workflow.find_plan`."""
    from srkd_bench.core.progress import Display

    display = Display(err)
    found = workflow.find_plan(
        suite, settings, home, display, chosen, readonly=readonly, scored=scored, execution=execution
    )
    return *found, display


def find_plans(
    suite: str,
    settings: list[str] | None,
    home: Path | None,
    *,
    readonly: bool = False,
    execution: RunOptions | None = None,
) -> tuple[Plans, ArtifactStore, Display]:
    """Return as `find_plan` the plan of a suite, or of the cells of a grid."""
    from srkd_bench.core.progress import Display

    display = Display(err)
    found = workflow.find_plans(suite, settings, home, display, readonly=readonly, execution=execution)
    return *found, display


def show_forecast(
    plan: Plans, place: Workplace, json_: bool, slots: int = 1, more: dict[str, Any] | None = None
) -> None:
    """Print the predicted cost of a plan on a number of devices like this one.

    Args:
        more: goes into the JSON, too.
    """
    from srkd_bench.experiments.analysis.forecast import forecast

    print_forecast(forecast(plan, place, slots), json_, more)


def forecast_run(plan: Plans, place: Workplace, json_: bool, slots: int = 1) -> None:
    """Print what a plan will cost, as `show_forecast`, or refuse it where its execution would be refused."""
    from srkd_bench.experiments.planning.grid import plans_of
    from srkd_bench.experiments.planning.status import finished
    from srkd_bench.experiments.runs.preflight import check_precision

    if not finished(plan, place.store):
        for one in plans_of(plan):
            check_precision(one, place.device)
    show_forecast(plan, place, json_, slots)


def show_results(plan: Plans, store: ArtifactStore, json_: bool) -> None:
    """Print the tables of what is finished of a plan, or its scores as JSON."""
    from srkd_bench.cli.grids import of_plan
    from srkd_bench.experiments.analysis.collect import results
    from srkd_bench.experiments.planning.grid import GridPlan
    from srkd_bench.report.document import Document

    found = of_plan(plan, store) if isinstance(plan, GridPlan) else Document(results(plan, store))
    print_report(found, json_)


def write_events(plan: Plans, store: ArtifactStore, display: Display, folder: Path) -> None:
    """Write the training events of a plan's finished networks for TensorBoard."""
    from srkd_bench.experiments.analysis.collect import read_trainings
    from srkd_bench.experiments.planning.grid import plans_of
    from srkd_bench.report import tensorboard

    count = 0
    for one in plans_of(plan):
        trainings = read_trainings(one, store)
        tensorboard.write(trainings, folder / one.cell)
        count += len(trainings)
    display.say(f"Wrote {count} trainings; to view them: tensorboard --logdir {shlex.quote(str(folder))}")


def work(
    plan: Plans,
    store: ArtifactStore,
    display: Display,
    options: RunOptions,
    *,
    json_: bool,
    executor: str = "local",
    tensorboard: Path | None = None,
) -> None:
    """Train, measure and print; errors of single runs are raised after all other work is finished and printed.

    Args:
        executor: a key of `EXECUTORS`.
        tensorboard: where to write training events.
    """
    if tensorboard:
        from srkd_bench.report.tensorboard import check

        check()
    from srkd_bench.experiments.planning.grid import plans_of

    failed = workflow.complete(plan, store, display, options, executor)
    show_results(plan, store, json_)
    if tensorboard:
        write_events(plan, store, display, tensorboard)
    display.say(f"Store: {store}")
    lacking = next((one.lacking for one in plans_of(plan) if one.lacking), None)
    if problem := failed or lacking:
        raise problem
