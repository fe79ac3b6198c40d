"""Register commands: their help, and the options that many of them share."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from functools import partial, wraps
from inspect import Parameter, cleandoc, signature
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from srkd_bench.cli import completion
from srkd_bench.cli.lists import seeds_setting
from srkd_bench.cli.usage import one_error, path_of, unknown_command
from srkd_bench.core.errors import SrkdError

DEFAULT_SUITE = "demo"
RUN, INSPECT, DATA, NETWORKS, STORE, METHODS = "Run", "Inspect", "Data", "Networks", "Store", "Methods"
_IN_SETTINGS = {
    "seeds": "seeds",
    "cell": "cell",
    "teacher": "teacher.weights",
    "weights": "teacher.weights",
    "datasets": "data.test",
    "self_ensemble": "evaluate.self_ensemble",
}
"""Keys of a suite that an option of this name sets, too."""
_RUNS_CODE = {"suite", "run", "keep"}
"""Parameters through which code that a suite or a run names may be executed."""


def notice(text: str) -> None:
    """Print one line about an old spelling on stderr."""
    print(f"note: {text}", file=sys.stderr)


def trust(chosen: bool) -> bool:
    """Allow the code that suites name, in this process and in those that it starts."""
    if chosen:
        os.environ["SRKD_TRUST"] = "1"
    return chosen


def _go_offline(chosen: bool) -> bool:
    if chosen:
        os.environ["SRKD_OFFLINE"] = "1"  # for processes that this one starts, too
    return chosen


OFFLINE = Annotated[
    bool,
    typer.Option(
        "--offline", envvar="SRKD_OFFLINE", help="Make no network connection.", callback=_go_offline
    ),
]
TRUST = Annotated[
    bool,
    typer.Option("--trust", envvar="SRKD_TRUST", help="Run the code that a suite names.", callback=trust),
]
SEEDS = Annotated[
    str | None,
    typer.Option(
        "--seeds", metavar="N|A-B|A,B", help="Seeds: a number of seeds (6), a range (0-5) or a list (0,2,4)."
    ),
]
CELL = Annotated[
    str | None,
    typer.Option(
        "--cell",
        metavar="LABELS",
        help="Cells of a grid with these labels, such as 'train.steps=2500 student=8x4'.",
    ),
]
OldSuite = Annotated[
    str | None,
    typer.Option("--suite", metavar="SUITE", hidden=True, autocompletion=completion.suites),
]


class Command(TyperCommand):
    """A command whose help shows square brackets as they are, and no type beside a switch."""

    def __init__(self, *args: Any, renamed: dict[str, str] | None = None, **values: Any) -> None:
        super().__init__(*args, **values)
        self.renamed = renamed or {}
        _escape(self)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, switches without a type."""
        return _without_types(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the usage: optional arguments in square brackets, `…` after one that takes several values."""
        arguments = [one for one in super().get_params(ctx) if one.param_type_name == "argument"]
        return ["[OPTIONS]", *(_usage(one) for one in arguments)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; an old spelling of an option is replaced, with a notice."""
        end = args.index("--") if "--" in args else len(args)
        for index, word in enumerate(args[:end]):
            name, equals, value = word.partition("=")
            if name in self.renamed:
                notice(f"{name} is now {self.renamed[name]}")
                args[index] = self.renamed[name] + equals + value
        with one_error(ctx):
            return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A group of commands, with help as `Command` has it."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        _escape(self)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, switches without a type."""
        return _without_types(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options before the command."""
        if not args:
            return super().parse_args(ctx, args)  # shows the help
        with one_error(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the next word names."""
        if (
            args
            and args[0] not in self.commands
            and not args[0].startswith("-")
            and not ctx.resilient_parsing
        ):
            raise unknown_command(args[0], self.commands, path_of(ctx))
        return super().resolve_command(ctx, args)


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _escape(command: Any) -> None:
    """Keep rich from taking `[extra]` in help texts for markup."""
    from rich.markup import escape

    command.help = escape(command.help or "")
    for parameter in command.params:
        parameter.help = escape(getattr(parameter, "help", None) or "")


def _without_types(parameters: list[Any]) -> list[Any]:
    for one in parameters:
        if getattr(one, "is_flag", False):
            one.metavar = ""
        elif one.param_type_name == "argument":
            vars(one)["display_type_rich"] = partial(_choices, one)
    return parameters


def _unwrapped(docstring: str) -> str:
    """Return a docstring with one line for each paragraph: the terminal's width decides where lines break."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", cleandoc(docstring))


def _choices(argument: Any, ctx: Any) -> str:
    """Return the values of an argument; its name and help say enough about other types."""
    text = str(argument.display_type(ctx))
    return text if "|" in text else ""


def register(
    app: typer.Typer,
    function: Callable[..., None],
    *examples: str,
    name: str | None = None,
    panel: str | None = None,
    online: bool = False,
    seeds: bool = False,
    renamed: dict[str, str] | None = None,
) -> None:
    """Add a command to an application.

    Args:
        examples: command lines that its help shows.
        panel: the part of the overview that lists it.
        online: it may open connections, so it has --offline.
        seeds: its suite's seeds can be changed by --seeds.
        renamed: old spellings of options, which work with a notice.
    """
    added: dict[str, Any] = {"suite": OldSuite} if "suite" in signature(function).parameters else {}
    added |= {"seeds": SEEDS} if seeds else {}
    added |= {"cell": CELL} if "settings" in signature(function).parameters else {}
    added |= {"offline": OFFLINE} if online else {}
    added |= {"trust": TRUST} if _RUNS_CODE & set(signature(function).parameters) else {}

    class Renaming(Command):
        def __init__(self, *args: Any, **values: Any) -> None:
            super().__init__(*args, renamed=renamed, **values)

    epilog = "\n".join(["Examples:" if len(examples) > 1 else "Example:", *(f"$ {one}" for one in examples)])
    add = app.command(
        name, cls=Renaming, rich_help_panel=panel, epilog=epilog, help=_unwrapped(function.__doc__ or "")
    )
    add(_with_shared_options(function, added))


def _with_shared_options(function: Callable[..., None], added: dict[str, Any]) -> Callable[..., None]:
    """Return a command with more options, which its function does not see."""
    found = signature(function, eval_str=True)
    parameters = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in found.parameters.values()]
    if "suite" in added:
        place = next(i for i, one in enumerate(parameters) if one.name == "suite")
        parameters[place] = parameters[place].replace(default=None)

    @wraps(function)
    def command(**values: Any) -> None:
        shared = {name: values.pop(f"shared_{name}") for name in added}
        if "suite" in added:
            named = chosen_suite(values["suite"], shared["suite"])
            values["suite"] = named or found.parameters["suite"].default
        _refuse_twice(values | shared)
        if shared.get("seeds") is not None:
            values["settings"] = [*(values["settings"] or []), seeds_setting(shared["seeds"])]
        if shared.get("cell") is not None:
            values["settings"] = [*(values["settings"] or []), f"cell={shared['cell']}"]
        function(**values)

    last = [index for index, one in enumerate(parameters) if one.name in ("dry_run", "json_")]
    place = min(last, default=len(parameters))
    parameters[place:place] = [
        Parameter(f"shared_{name}", Parameter.KEYWORD_ONLY, default=_default(option), annotation=option)
        for name, option in added.items()
    ]
    command.__signature__ = found.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _default(option: Any) -> Any:
    return False if option in (OFFLINE, TRUST) else None


def leading_suite(words: list[str], option: str | None) -> tuple[str | None, list[str]]:
    """Return the suite that stands before run ids, or that the old option --suite names, and the run ids."""
    is_suite = bool(words) and not re.fullmatch("[0-9a-f]+", words[0])
    argument = words[0] if is_suite else None
    return chosen_suite(argument, option), words[1:] if is_suite else words


def chosen_suite(argument: str | None, option: str | None) -> str | None:
    """Return the suite that was named as an argument, or by the old option --suite; None if none was.

    Raises:
        SrkdError: both were given, and they differ.
    """
    if option is not None:
        notice(f"--suite is no longer needed: the suite is the first argument, {shlex.quote(option)}")
    if argument and option and argument != option:
        raise SrkdError(
            f"two suites are given: {argument} and {option}", "give one suite, as the first argument"
        )
    return argument or option


def _refuse_twice(values: dict[str, Any]) -> None:
    """Refuse a key of the suite that both --set and an option of its own give."""
    keys = {one.partition("=")[0].strip() for one in values.get("settings") or []}
    for name, key in _IN_SETTINGS.items():
        if values.get(name) and key in keys:
            raise SrkdError(f"--{name.replace('_', '-')} and --set {key} are both given", "give one of them")
