"""The `srkd` command: parse, call, print. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Never

import typer

from srkd_bench import __version__, torchrun
from srkd_bench.cli_method import method_app
from srkd_bench.cli_network import export, profile, upscale
from srkd_bench.cli_pictures import crops
from srkd_bench.cli_plan import plan
from srkd_bench.cli_report import compare, report
from srkd_bench.cli_store import store_app
from srkd_bench.cli_tune import print_measured, tune
from srkd_bench.errors import SrkdError, Stopped
from srkd_bench.options import (
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
    SuiteName,
    SuiteOption,
    Teacher,
    TeacherCache,
    suite_name,
)
from srkd_bench.printing import (
    err,
    print_datasets,
    print_forecast,
    print_json,
    print_results,
    print_rows,
    print_scores,
)
from srkd_bench.work import find_plan, make, open_store, with_cluster, with_teacher, work, workplace

app = typer.Typer(
    help="Which way of distilling a super-resolution network really helps, by how much, and how sure is that?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(store_app, name="store")
app.add_typer(method_app, name="method")


class What(StrEnum):
    """What `ls` lists."""

    RUNS = "runs"
    METHODS = "methods"
    DATASETS = "datasets"
    SUITES = "suites"


@app.command()
def download(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="Data sets, see `srkd ls datasets`.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR|ARCHIVE", help="Adopt images that you have; LR ones are ignored."
        ),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show what is here.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take it again, even if it is here.")] = False,
    home: Home = None,
    offline: Offline = False,
    json_: Json = False,
) -> None:
    """Fetch data sets, or adopt what you have, and pack their images."""
    from srkd_bench import adopt, datasets, packs
    from srkd_bench.progress import Display

    store, display = open_store(home), Display(err)
    if listing or not names:
        print_datasets(store, json_)
        return
    for name in names:
        datasets.find(name)
    digests = {}
    for name in names:
        here = None if replace else packs.packed(store, name)
        if here is not None and source is None:
            display.say(f"{name} is here")
            digests[name] = here
            continue
        digests[name] = (
            adopt.adopt(store, name, source, display) if source else adopt.download(store, name, display)
        )
        alike = adopt.is_known_copy(store, name)
        known = "" if alike else "; its pixels differ from those that srkd's own numbers are of"
        display.say(f"{name}: {datasets.find(name).count} images packed{known}")
    if json_:
        print_json(
            {"schema": 1, "datasets": [{"name": name, "pixels": pixels} for name, pixels in digests.items()]}
        )


@app.command("train-teacher")
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
    if torchrun.rank():
        if not dry_run:
            from srkd_bench import joint

            joint.follow(open_store(home), device)
        return
    suite, changes = suite_name(suite, suite_option), with_teacher(settings, source)
    plan, store, display = find_plan(suite, changes, home, ["none"], readonly=dry_run)
    plan = replace(plan, students=())
    place = workplace(store, display, device, checkpoint_seconds)
    if dry_run:
        print_forecast(plan, place, json_)
        return
    from srkd_bench import joint

    failed = make(plan, joint.lead(plan, place))
    if failed:
        raise failed
    print_results(plan, store, json_)
    if source:
        display.say(f"to distil from it: srkd run {suite} --set teacher.weights={source}")


@app.command()
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


@app.command()
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


@app.command()
def evaluate(
    suite: SuiteArgument = None,
    suite_option: SuiteOption = None,
    settings: Settings = None,
    model: Annotated[str | None, typer.Option("--model", help="`bicubic`: needs no suite.")] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="FILE", help="Any network's weights: needs no suite.")
    ] = None,
    sr_dir: Annotated[
        Path | None,
        typer.Option("--sr-dir", metavar="DIR", help="Anyone's SR images, by name: needs no suite."),
    ] = None,
    datasets: Annotated[
        str | None, typer.Option("--datasets", metavar="A,B", help="Instead of the suite's.")
    ] = None,
    scale: Annotated[int, typer.Option("--scale", min=2, max=4, help="Of bicubic and --sr-dir.")] = 2,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Mean over 8 flips and rotations.")
    ] = False,
    home: Home = None,
    device: Device = "auto",
    offline: Offline = False,
    json_: Json = False,
) -> None:
    """Measure a suite's finished runs, or bicubic, a weights file or a folder of SR images."""
    names = [name.strip() for name in (datasets or "").split(",") if name.strip()]
    if (model is not None) + (weights is not None) + (sr_dir is not None) > 1:
        raise SrkdError(
            "--model, --weights and --sr-dir are three ways to say what to measure", "give one of them"
        )
    if model is None and weights is None and sr_dir is None:
        changes = [*(settings or [])]
        changes += [f"data.test={json.dumps(names)}"] if names else []
        changes += ["evaluate.self_ensemble=true"] if self_ensemble else []
        from srkd_bench import planning

        plan, store, display = find_plan(suite_name(suite, suite_option), changes, home)
        if not planning.finished(plan, store):
            from srkd_bench import runs

            place = workplace(store, display, device)
            runs.ensure_scores([None, *plan.networks], plan, runs.prepare(plan, place)[1], place)
        print_results(plan, store, json_)
        return
    if model not in (None, "bicubic"):
        raise SrkdError(f"no model named '{model}'", "--model bicubic, or --weights FILE")
    if not names:
        raise SrkdError("say what to measure on", "--datasets set5,set14")
    if self_ensemble and weights is None:
        raise SrkdError(
            "--self-ensemble goes with --weights", "SR images and bicubic are measured as they are"
        )
    from srkd_bench import standalone
    from srkd_bench.progress import Display

    place = workplace(open_store(home), Display(err), device)
    results = standalone.measure(
        names, place, scale=scale, weights=weights, sr_dir=sr_dir, self_ensemble=self_ensemble
    )
    print_scores(results, json_)


app.command()(report)
app.command()(compare)
app.command()(crops)
app.command()(upscale)
app.command()(export)
app.command()(profile)
app.command()(tune)
app.command()(plan)


@app.command("ls")
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
    from srkd_bench import listing

    if measure and what != What.METHODS:
        raise SrkdError(f"--measure is about methods, not {what}", "srkd ls methods --measure")
    if measure:
        print_measured(suite, settings, home, device, json_)
    elif what == What.DATASETS:
        print_datasets(open_store(home), json_)
    else:
        rows = {What.RUNS: listing.runs, What.METHODS: listing.methods, What.SUITES: listing.suites}[what]
        print_rows(what, rows(open_store(home)), json_)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="RUN|SUITE", help="The first digits of a run's id, or a suite.")
    ],
    home: Home = None,
    json_: Json = False,
) -> None:
    """Show a run's settings, card and scores, or print a suite."""
    from srkd_bench import listing, suitefile

    if name in suitefile.suite_files():
        print(suitefile.suite_files()[name].read_text(), end="")
        return
    shown = listing.one_run(open_store(home), name)
    if json_:
        print_json({"schema": 1, **shown})
    else:
        import yaml

        print(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), end="")


@app.callback(invoke_without_command=True)
def _first(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
    trust: Annotated[
        bool,
        typer.Option("--trust", envvar="SRKD_TRUST", help="Run the code that a suite names."),
    ] = False,
) -> None:
    if trust:
        os.environ["SRKD_TRUST"] = "1"  # for processes that this one starts, too
    if version:
        print(f"srkd {__version__}")
        raise typer.Exit
    command = context.invoked_subcommand
    if torchrun.ranks() > 1 and command != "train-teacher":
        raise SrkdError(
            f"torchrun's processes share the training of a teacher; `srkd {command}` is for one process",
            f"torchrun … -m srkd_bench train-teacher, then srkd {command} without torchrun",
        )


def main() -> Never:
    """Run the command; a mistake of the user's ends with one message, one hint and its exit code."""
    from srkd_bench.signals import Interrupted, interruptible

    try:
        with interruptible():
            app()
    except Interrupted as signal:
        _end(Stopped(f"stopped by {signal}; what is finished is kept", signal.exit_code))
    except SrkdError as error:
        _end(error)
    except BrokenPipeError:
        sys.stderr.close()
    sys.exit(0)


def _end(error: SrkdError) -> Never:
    if torchrun.rank() and isinstance(error, Stopped):  # rank 0 says so
        sys.exit(error.exit_code)
    who = f"rank {torchrun.rank()}: " if torchrun.rank() else ""
    err.print(f"[bold red]error:[/] {who}{_plain(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        err.print(f"[bold]hint:[/] {_plain(error.hint)}", highlight=False, soft_wrap=True)
    sys.exit(error.exit_code)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
