"""The command line application: register the commands, report errors, set the exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Never

import typer

from srkd_bench import __version__
from srkd_bench.cli import streams
from srkd_bench.cli.commands import method, store
from srkd_bench.cli.commands.compare import compare
from srkd_bench.cli.commands.data import download
from srkd_bench.cli.commands.evaluate import evaluate
from srkd_bench.cli.commands.figures import crops
from srkd_bench.cli.commands.inspect import list_, show
from srkd_bench.cli.commands.network import export, profile, upscale
from srkd_bench.cli.commands.plan import plan
from srkd_bench.cli.commands.report import report
from srkd_bench.cli.commands.run import distill, run, train_teacher
from srkd_bench.cli.commands.tune import tune
from srkd_bench.cli.options import online
from srkd_bench.cli.output import err
from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError, Stopped

UNWRITTEN = "what the command made is kept; make room and give the same command again to print it"

app = typer.Typer(
    help="Which way of distilling a super-resolution network really helps, by how much, and how sure is that?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(online(download))
app.command("train-teacher")(online(train_teacher))
app.command()(online(distill))
app.command()(online(run))
app.command()(online(evaluate))
app.command()(report)
app.command()(compare)
app.command()(crops)
app.command()(online(upscale))
app.command()(online(export))
app.command()(online(profile))
app.command()(online(tune))
app.command()(online(plan))
app.command("ls")(list_)
app.command()(show)

store_app = typer.Typer(
    help="Check, tidy, measure and move what is kept: runs, weights, scores, images.", no_args_is_help=True
)
store_app.command()(store.verify)
store_app.command()(store.push)
store_app.command()(store.gc)
store_app.command()(store.du)
store_app.command()(store.export)
store_app.command("import")(store.import_)
app.add_typer(store_app, name="store")

method_app = typer.Typer(help="Begin a method of your own, and check one.", no_args_is_help=True)
method_app.command()(method.new)
method_app.command()(method.check)
app.add_typer(method_app, name="method")


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
    if torchrun_env.ranks() > 1 and command != "train-teacher":
        raise SrkdError(
            f"torchrun's processes share the training of a teacher; `srkd {command}` is for one process",
            f"torchrun … -m srkd_bench train-teacher, then srkd {command} without torchrun",
        )


def main() -> Never:
    """Run the command; a mistake of the user's ends with one message, one hint and its exit code."""
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
    if torchrun_env.rank() and isinstance(error, Stopped):  # rank 0 says so
        return error.exit_code
    who = f"rank {torchrun_env.rank()}: " if torchrun_env.rank() else ""
    err.print(f"[bold red]error:[/] {who}{_plain(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        err.print(f"[bold]hint:[/] {_plain(error.hint)}", highlight=False, soft_wrap=True)
    return error.exit_code


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
