"""The command line application: register the commands, report errors, set the exit code."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Annotated, Never

import typer

from srkd_bench import __version__
from srkd_bench.cli import registration, shells, streams
from srkd_bench.cli.commands import method, store
from srkd_bench.cli.commands.compare import advise, compare
from srkd_bench.cli.commands.data import download
from srkd_bench.cli.commands.evaluate import evaluate
from srkd_bench.cli.commands.figures import crops
from srkd_bench.cli.commands.inspect import list_, show
from srkd_bench.cli.commands.network import export, profile, upscale
from srkd_bench.cli.commands.plan import plan
from srkd_bench.cli.commands.report import report
from srkd_bench.cli.commands.run import distill, run, train_teacher
from srkd_bench.cli.commands.tune import tune
from srkd_bench.cli.output import err
from srkd_bench.cli.registration import DATA, INSPECT, METHODS, NETWORKS, RUN, STORE, Group
from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError, Stopped

UNWRITTEN = "the results are kept; free disk space and run the same command again to print them"
EPILOG = "Examples:\n  srkd run demo\n  srkd report demo -o demo.html\n  srkd run --help"

app = typer.Typer(
    cls=Group,
    help="Benchmark knowledge distillation for image super-resolution: train a teacher and its students under "
    "identical conditions, evaluate them with one protocol, and report which differences are significant.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_add = partial(registration.register, app)
_add(
    run,
    "srkd run demo",
    "srkd run demo --seeds 6 --jobs 2",
    "srkd run my-study.yaml --set train.steps=2000 --dry-run",
    panel=RUN,
    online=True,
    seeds=True,
)
_add(
    train_teacher,
    "srkd train-teacher demo",
    "srkd train-teacher paper --weights edsr_x2.pt",
    name="train-teacher",
    panel=RUN,
    online=True,
    renamed={"--from": "--weights"},
)
_add(
    distill,
    "srkd distill demo --method none,hkd",
    "srkd distill demo --method ./mymethod.py --seeds 6",
    panel=RUN,
    online=True,
    seeds=True,
)
_add(
    evaluate,
    "srkd evaluate demo",
    "srkd evaluate --weights edsr_x2.pt --datasets set5,set14",
    panel=RUN,
    online=True,
    seeds=True,
)
_add(
    tune,
    "srkd tune demo --method hkd,ckd --trials 5",
    "srkd tune demo --seeds 6",
    panel=RUN,
    online=True,
    seeds=True,
)
_add(
    plan,
    "srkd plan demo",
    "srkd plan bsds --format slurm --jobs 6 > bsds.sh",
    panel=RUN,
    online=True,
    seeds=True,
)
_add(
    report,
    "srkd report demo",
    "srkd report demo -o demo.html -o scores.csv",
    "srkd report demo --fail-if 'hkd.photos-test < none.photos-test'",
    panel=INSPECT,
    seeds=True,
)
_add(
    advise,
    "srkd advise --params 50000 --steps 10000 --images 400",
    "srkd advise --params 50000 --steps 10000 --images 400 --from grid.csv.gz",
    panel=INSPECT,
)
_add(compare, "srkd compare demo hkd none", "srkd compare old.csv new.csv", panel=INSPECT, seeds=True)
_add(
    crops,
    "srkd crops demo -o crops.png",
    "srkd crops demo -o crops.pdf --crop chelsea:100,60,48,48",
    panel=INSPECT,
    seeds=True,
)
_add(list_, "srkd ls", "srkd ls methods", "srkd ls methods demo --measure", name="ls", panel=INSPECT)
_add(show, "srkd show 4f1a", "srkd show demo", panel=INSPECT)
_add(
    download,
    "srkd download set5 set14",
    "srkd download bsds500 --from ~/BSDS500-master.zip",
    panel=DATA,
    online=True,
    renamed={"--replace": "--force"},
)
_add(
    upscale,
    "srkd upscale photo.png -o sr --run 4f1a",
    "srkd upscale photos -o sr --weights edsr_x2.pt",
    panel=NETWORKS,
    online=True,
)
_add(export, "srkd export 4f1a --to onnx -o student.onnx", panel=NETWORKS, online=True)
_add(profile, "srkd profile 4f1a --size 320x180", panel=NETWORKS, online=True)

store_app = typer.Typer(
    cls=Group,
    help="Verify, clean, measure and move the artifact store.",
    no_args_is_help=True,
)
_store = partial(registration.register, store_app)
_store(store.verify, "srkd store verify", "srkd store verify --repair")
_store(store.push, "SRKD_STORE=s3://bucket/runs srkd store push")
_store(store.gc, "srkd store gc", "srkd store gc --keep demo,my-study.yaml --yes")
_store(store.du, "srkd store du")
_store(store.export, "srkd store export demo -o demo.tar", "srkd store export 4f1a 9c02 -o runs.tar")
_store(store.import_, "srkd store import demo.tar", name="import")
app.add_typer(store_app, name="store", rich_help_panel=STORE)

method_app = typer.Typer(
    cls=Group, help="Create and check a distillation method of your own.", no_args_is_help=True
)
_method = partial(registration.register, method_app)
_method(method.new, "srkd method new mymethod")
_method(method.check, "srkd method check ./mymethod.py")
app.add_typer(method_app, name="method", rich_help_panel=METHODS)


@app.callback(invoke_without_command=True)
def _first(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
    trust: registration.TRUST = False,
) -> None:
    if version:
        print(f"srkd {__version__}")
        raise typer.Exit
    command = context.invoked_subcommand
    if torchrun_env.ranks() > 1 and command != "train-teacher":
        raise SrkdError(
            f"torchrun runs `srkd train-teacher` only; `srkd {command}` needs a single process",
            f"torchrun … -m srkd_bench train-teacher, then srkd {command} without torchrun",
        )


def main() -> Never:
    """Run the command; an error of the user ends with one message, one hint and its exit code."""
    if shells.VARIABLE in os.environ:
        shells.answer(app)
    streams.guard()
    code = _run()
    if (problem := streams.problem_of_output()) and not code:
        code = _report(SrkdError(f"cannot write standard output: {problem.strerror}", UNWRITTEN))
    sys.exit(code)


def _run() -> int:
    """Run the command and return its exit code."""
    from srkd_bench.core.signals import Interrupted, interruptible

    try:
        with interruptible():
            app()
    except Interrupted as signal:
        return _report(signal.stopped())
    except SrkdError as error:
        return _report(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _report(error: SrkdError) -> int:
    """Print an error and its hint; return its exit code."""
    if torchrun_env.rank() and isinstance(error, Stopped):  # rank 0 reports it
        return error.exit_code
    rank = f"rank {torchrun_env.rank()}: " if torchrun_env.rank() else ""
    title = "" if isinstance(error, Stopped) else "[bold red]error:[/] "
    err.print(f"{title}{rank}{_plain(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        err.print(f"[bold]hint:[/] {_plain(error.hint)}", highlight=False, soft_wrap=True)
    return error.exit_code


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
