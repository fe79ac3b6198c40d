"""Describe errors in a command line, with the correct form as a hint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from srkd_bench.config.messages import problem
from srkd_bench.config.suite_names import suite_files
from srkd_bench.core.errors import SrkdError, UsageError, unknown

_Refusal: Any = typer.BadParameter.__base__
"""What typer raises about a command line; typer does not export this class itself."""


@contextmanager
def one_error(context: typer.Context) -> Iterator[None]:
    """Turn what typer raises about a command line into one message and one hint."""
    try:
        yield
    except _Refusal as error:
        found = _refused(error, context)
        raise UsageError(found.message, found.hint or f"{path_of(context)} --help") from None


def path_of(context: typer.Context) -> str:
    """Return the words of a command: `srkd run`, also where it was started as `python -m srkd_bench run`."""
    return "srkd" + context.command_path.removeprefix(context.find_root().command_path)


def unknown_command(name: str, known: Iterable[str], path: str) -> SrkdError:
    """Return the error for a word that is not a command.

    Args:
        known: the commands of the group.
        path: the words before it, `srkd` or `srkd store`.
    """
    if name in suite_files() or name.endswith((".yaml", ".yml")):
        return UsageError(f"no command named '{name}'", f"put the suite after the command: {path} run {name}")
    found = unknown("command", name, known)
    return UsageError(found.message, found.hint)


def _refused(error: Any, context: typer.Context) -> SrkdError:
    if option := getattr(error, "option_name", None):
        if getattr(error, "possibilities", None) is None:  # a known option, without its value
            return SrkdError(error.message[0].lower() + error.message[1:].removesuffix("."))
        return _unknown_option(option, error.possibilities, context)
    if isinstance(error, typer.BadParameter) and error.param is not None:
        return _bad_value(error, error.param, context.command)
    message = error.format_message().removesuffix(".")
    if extra := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message):
        return SrkdError(f"unexpected argument{'s' * (' ' in extra[1])}: {extra[1]}")
    return SrkdError(message[0].lower() + message[1:])


def _unknown_option(name: str, near: list[str], context: typer.Context) -> SrkdError:
    commands, path = getattr(context.command, "commands", {}), path_of(context)
    having = [one for one, its in commands.items() if any(name in param.opts for param in its.params)]
    if having:
        chosen = "run" if "run" in having else having[0]
        return SrkdError(
            f"{path} has no option {name}", f"put options after the command: {path} {chosen} {name}"
        )
    return SrkdError(f"{path} has no option {name}", f"did you mean {near[0]}?" if near else "")


def _bad_value(error: Any, parameter: Any, command: Any) -> SrkdError:
    name = max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.metavar
    if type(error) is not typer.BadParameter:  # it is missing
        return SrkdError(f"{name} is missing", _example(command))
    refusal = getattr(error.__cause__, "errors", None)  # pydantic's, by which typer reads values
    message = (problem(refusal()[0]) if refusal else error.message).removesuffix(".")
    if " is not one of " in message:
        value, *known = re.findall("'([^']*)'", message)
        return unknown(f"value of {name}", value, known)
    return SrkdError(f"{name}: {message}")


def _example(command: Any) -> str:
    lines = (command.epilog or "").splitlines()
    return lines[1].removeprefix("$ ") if len(lines) > 1 else ""
