"""The `srkd` command: parse, call, print. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Never

import typer

from srkd_bench import __version__
from srkd_bench.cli.commands.data import download
from srkd_bench.cli.commands.evaluate import evaluate
from srkd_bench.cli.commands.figures import crops
from srkd_bench.cli.commands.inspect import list_, show
from srkd_bench.cli.commands.method import method_app
from srkd_bench.cli.commands.network import export, profile, upscale
from srkd_bench.cli.commands.plan import plan
from srkd_bench.cli.commands.report import compare, report
from srkd_bench.cli.commands.run import distill, run, train_teacher
from srkd_bench.cli.commands.store import store_app
from srkd_bench.cli.commands.tune import tune
from srkd_bench.cli.output import (
    err,
)
from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError, Stopped

app = typer.Typer(
    help="Which way of distilling a super-resolution network really helps, by how much, and how sure is that?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(store_app, name="store")
app.add_typer(method_app, name="method")
app.command()(download)
app.command("train-teacher")(train_teacher)
app.command()(distill)
app.command()(run)
app.command()(evaluate)
app.command()(report)
app.command()(compare)
app.command()(crops)
app.command()(upscale)
app.command()(export)
app.command()(profile)
app.command()(tune)
app.command()(plan)
app.command("ls")(list_)
app.command()(show)


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
    from srkd_bench.core.signals import Interrupted, interruptible

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
    if torchrun_env.rank() and isinstance(error, Stopped):  # rank 0 says so
        sys.exit(error.exit_code)
    who = f"rank {torchrun_env.rank()}: " if torchrun_env.rank() else ""
    err.print(f"[bold red]error:[/] {who}{_plain(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        err.print(f"[bold]hint:[/] {_plain(error.hint)}", highlight=False, soft_wrap=True)
    sys.exit(error.exit_code)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
