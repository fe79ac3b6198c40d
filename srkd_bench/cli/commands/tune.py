"""`srkd tune`, and what `srkd ls methods --measure` shows: weights that were tried."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from srkd_bench.cli.options import (
    Checkpoint,
    Device,
    DryRun,
    Home,
    Json,
    Offline,
    Settings,
    SuiteArgument,
    SuiteOption,
    Teacher,
    TeacherCache,
    suite_name,
)
from srkd_bench.cli.output import err, print_forecast, print_json, print_rows, print_table
from srkd_bench.cli.session import make, naming, open_store, with_teacher, workplace
from srkd_bench.core.errors import failed_runs
from srkd_bench.experiments.planning.trials import FEWEST, MOST, USUAL

if TYPE_CHECKING:
    from srkd_bench.config.artifacts import Run
    from srkd_bench.experiments.planning.planner import Plan
    from srkd_bench.store.artifact_store import ArtifactStore


def tune(
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", "-m", help="A method, or a+b; repeatable; the suite's, if none is given, or `all`."
        ),
    ] = None,
    trials: Annotated[
        int,
        typer.Option("--trials", metavar="N", min=FEWEST, max=MOST, help="Weights to try, of each method."),
    ] = USUAL,
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    teacher: Teacher = None,
    settings: Settings = None,
    home: Home = None,
    device: Device = "auto",
    checkpoint_seconds: Checkpoint = None,
    teacher_cache: TeacherCache = 2.0,
    offline: Offline = False,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Search the methods' weights on the suite's validation images: a tenth of the default to ten times it.

    Every method gets the same number of trials, the first of them its default. They are trained side by side with
    a seed of their own and kept in the store; a suite that says `params: tuned` takes each method's best.
    """
    from srkd_bench.config.suite_file import load_suite
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.planning import planner, status, tuning

    suite, changes = suite_name(suite, suite_option), with_teacher(settings, teacher)
    asked = load_suite(suite, changes)
    read = tuning.searchable(asked)
    store, display = open_store(home), Display(err)
    plan = planner.plan(read, store, display, method or (), readonly=dry_run)
    names = tuning.tunable(plan, method or [])
    search = tuning.search(plan, names, trials, store)
    if dry_run:
        print_forecast(search, workplace(store, display, device), json_)
        return
    if not status.finished(search, store):
        failed = make(search, workplace(store, display, device, checkpoint_seconds, teacher_cache))
        if failed and not store.has(search.teacher):
            raise failed
    tried = {name: tuning.trials(plan, name, trials, store) for name in names}
    rows = [tuning.row(one, of_one[0], _share(one.run, store)) for of_one in tried.values() for one in of_one]
    doubts = [doubt for of_one in tried.values() for doubt in tuning.doubts(plan, of_one)]
    if json_:
        about = {"suite": read.name, "validation": read.data.validation, "seed": search.suite.seeds[0]}
        print_json({"schema": 1, **about, "trials": rows, "warnings": doubts})
    else:
        print(f"PSNR-Y in dB on {read.data.validation}, seed {search.suite.seeds[0]}, {read.train}\n")
        print_table([_shown(one) for one in rows])
    for doubt in doubts:
        display.say(f"warning: {doubt}")
    use = naming(suite, [*changes, *([] if asked.tuned else ["tuned=true"])])
    display.say(f"to use each method's best: srkd run {use}")


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
        "weights": row["weights"],
        "PSNR-Y": row["problem"] if number is None else f"{number:.3f}",
        "against default": "" if gain is None or row["trial"] == 0 else f"{gain:+.3f}",
        "gradient share": "" if share is None else f"{share:.2g}",
        "": ", ".join(["default"] * (row["trial"] == 0) + ["best"] * row["best"]),
    }


def print_measured(
    suite: str, settings: list[str] | None, home: Path | None, device: str, json_: bool
) -> None:
    """Print the installed methods' gradient shares; the suite's teacher is trained first if need be."""
    from srkd_bench.config.suite_file import load_suite
    from srkd_bench.core.progress import Display
    from srkd_bench.experiments.analysis import gradient_shares
    from srkd_bench.experiments.planning import planner
    from srkd_bench.experiments.runs import preflight, train

    read = load_suite(suite, settings or []).model_copy(update={"tuned": False})
    store, display = open_store(home), Display(err)
    plan: Plan = planner.plan(read, store, display, ["all"])
    place = workplace(store, display, device)
    images, _ = preflight.prepare(plan, place)
    if failed := failed_runs(train.ensure_teacher(plan, images, place)):
        raise failed
    found = gradient_shares.measure(plan, images, place)
    if json_:
        rows = [gradient_shares.row(one) for one in found]
        print_json({"schema": 1, "suite": read.name, "steps": gradient_shares.steps(plan), "methods": rows})
        return
    print(gradient_shares.explained(plan) + "\n")
    print_rows("methods", [gradient_shares.shown(one) for one in found], json_)
