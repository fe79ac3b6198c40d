"""`srkd tune`: search loss weights and learning rates on validation images."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from srkd_bench.cli import completion, lists
from srkd_bench.cli.options import (
    Checkpoint,
    Device,
    DryRun,
    Home,
    Json,
    Settings,
    SuiteArgument,
    Teacher,
    run_options,
)
from srkd_bench.cli.output import print_json, print_table
from srkd_bench.cli.registration import DEFAULT_SUITE
from srkd_bench.cli.session import forecast_run, open_store
from srkd_bench.experiments.planning.trials import FEWEST, MOST, USUAL
from srkd_bench.experiments.workflow import check_devices, make, naming, with_teacher, workplace

if TYPE_CHECKING:
    from srkd_bench.config.artifacts import Run
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.experiments.planning.tuning import Trial
    from srkd_bench.store.artifact_store import ArtifactStore
    from srkd_bench.store.workspace import RunOptions

Tuned = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        metavar="METHOD[,METHOD…]",
        callback=lists.methods,
        autocompletion=completion.methods,
        help="Methods, or all (installed); repeatable. Default: the suite's.",
    ),
]
Trials = Annotated[
    int,
    typer.Option("--trials", metavar="N", min=FEWEST, max=MOST, help="Trials of each method."),
]


def tune(
    suite: SuiteArgument = DEFAULT_SUITE,
    method: Tuned = None,
    trials: Trials = USUAL,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Device = "auto",
    checkpoint_seconds: Checkpoint = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Search loss weights on a suite's validation images.

    Loss weights are searched from a tenth to ten times the default. For `none@2x`, `none@equal-cost` and, if named,
    `none`, the learning rate is searched from a quarter to four times the default. Every method has the same
    number of trials, and the first trial is the default. Trials use a seed that the suite does not have, and remain
    in the store. A suite with `tuned: true` uses the best trial of each method except `none`.
    """
    from srkd_bench.config.suite_file import load_suite
    from srkd_bench.experiments.planning import planner, tuning

    changes = with_teacher(settings, teacher)
    asked, options = load_suite(suite, changes), run_options(device, None, checkpoint_seconds)
    store, display = open_store(home)
    plan = planner.plan(tuning.searchable(asked), store, display, method or (), readonly=dry_run)
    names = tuning.tunable(plan, method or [])
    search = tuning.search(plan, names, trials, store)
    if dry_run:
        forecast_run(search, workplace(store, display, options), json_)
        return
    _make(search, store, display, options)
    tried = [tuning.trials(plan, name, trials, store) for name in names]
    doubts = [doubt for of_one in tried for doubt in tuning.doubts(plan, of_one)]
    _print_trials(tried, doubts, search, store, json_)
    for doubt in doubts:
        display.say(f"Warning: {doubt}")
    rates = {} if asked.tuned else tuning.best_rates(tried)
    if set(names) > set(rates):
        use = naming(suite, [*changes, *([] if asked.tuned else ["tuned=true"])])
        display.say(f"To use the best trial of each method: srkd run {shlex.join(use)}")
    if rates:
        use = naming(suite, [*changes, *rates.values()])
        display.say(f"To use the best learning rates: srkd run {shlex.join(use)}")


def _make(search: Plan, store: ArtifactStore, display: Display, options: RunOptions) -> None:
    """Train and measure the trials. One that fails is reported as a trial, unless there is no teacher."""
    from srkd_bench.experiments.executors.serial import execute
    from srkd_bench.experiments.planning.status import finished

    check_devices(options)
    if finished(search, store):
        return
    failed = make(execute, search, store, display, options)
    if failed and not store.has(search.teacher):
        raise failed


def _print_trials(
    tried: Sequence[Sequence[Trial]], doubts: list[str], search: Plan, store: ArtifactStore, json_: bool
) -> None:
    """Print the result of a search, evaluated on the suite's validation images."""
    from srkd_bench.experiments.planning.tuning import row

    rows = [row(one, trials[0], _share(one.run, store)) for trials in tried for one in trials]
    suite, seed, validation = search.suite, search.suite.seeds[0], search.suite.data.test[0]
    if json_:
        about = {"suite": suite.name, "validation": validation, "seed": seed}
        print_json({"schema": 1, **about, "trials": rows, "warnings": doubts})
    else:
        print(f"PSNR-Y in dB on {validation}, seed {seed}, {suite.train}\n")
        print_table([_shown(one) for one in rows])


def _share(run: Run, store: ArtifactStore) -> float | None:
    """Return the mean gradient share over a finished training."""
    from srkd_bench.store.layout import EVENTS

    if not store.has(run):
        return None
    events = [json.loads(line) for line in store.read(run.place, EVENTS).splitlines()]
    return fmean(event["share"] for event in events)


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """Return a trial's row as a table shows it."""
    number, gain, share = row["psnr_y"], row["against_default"], row["share"]
    return {
        "method": row["method"],
        "trial": str(row["trial"]),
        "tried": row["weights"],
        "PSNR-Y": row["problem"] if number is None else f"{number:.3f}",
        "against default": "" if gain is None or row["trial"] == 0 else f"{gain:+.3f}",
        "gradient share": "" if share is None else f"{share:.2g}",
        "": ", ".join(["default"] * (row["trial"] == 0) + ["best"] * row["best"]),
    }
