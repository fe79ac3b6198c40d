"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from srkd_bench.core.errors import SrkdError
from srkd_bench.experiments.executors.base import EXECUTORS
from srkd_bench.store.workspace import RunOptions

if TYPE_CHECKING:
    from srkd_bench.config.suite import TeacherSpec

CACHE_GB = 2.0  # where --teacher-cache isn't given


def choice(*flags: str, names: Iterable[str], help: str) -> Any:
    """Return an option whose value is one of some names, in a table that is looked up later."""
    known = tuple(names)

    def check(value: str | None) -> str | None:
        if value is not None and value not in known:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, known))}.")
        return value

    return typer.Option(*flags, metavar=f"<{'|'.join(known)}>", callback=check, help=help)


SuiteName = Annotated[
    str, typer.Option("--suite", metavar="NAME|FILE", help="The study: a name or a YAML file.")
]
SuiteArgument = Annotated[
    str | None,
    typer.Argument(metavar="SUITE", help="The study: a name or a YAML file; demo if not given."),
]
SuiteOption = Annotated[str | None, typer.Option("--suite", metavar="NAME|FILE", help="The same as SUITE.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change any key of the suite; repeatable."),
]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="A method, a+b or ./file.py, instead of the suite's; repeatable."),
]
Home = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", envvar="SRKD_HOME", help="The store; the user's cache if not given."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what is cached, what will run, how long, how much disk.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:1.")]
Devices = Annotated[
    str,
    typer.Option(
        "--device",
        "--devices",
        metavar="NAME[,NAME…]",
        help="cpu, cuda, or several: cuda:0,cuda:1; all: every GPU; auto: that, or the CPU. One process each.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        max=1024,
        help="Work in so many processes, on the devices in turn, or on a share of the CPU's cores each.",
    ),
]


Executor = Annotated[
    str,
    choice(
        "--executor",
        names=EXECUTORS,
        help="This machine, or a Ray cluster that shares the store (srkd-bench[ray]).",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help="Of the Ray cluster; found or begun here if not given."
    ),
]
Checkpoint = Annotated[
    float | None,
    typer.Option(
        "--checkpoint-seconds",
        min=0,
        help="Time between checkpoints; 300 if not given, or more where they would take over 1 % of it.",
    ),
]
TeacherCache = Annotated[
    float,
    typer.Option(
        "--teacher-cache",
        metavar="GB",
        min=0,
        envvar="SRKD_TEACHER_CACHE",
        help="Keep what the teacher sees for methods that are added later, up to so many GB; 0: don't.",
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="FILE|URL",
        help="Distil from these weights instead: an EDSR, or any network that spandrel recognises.",
    ),
]
Range = Annotated[
    str | None,
    choice(
        "--range",
        names=("1", "255"),
        help="Values that the network of --weights works on: up to 1 or up to 255. Without it, read from the file.",
    ),
]
ResScale = Annotated[
    float | None,
    typer.Option(
        "--res-scale",
        metavar="NUMBER",
        help="Residual scale of the EDSR in --weights; if not given, 0.1 from 256 filters on and 1 below.",
    ),
]
Crops = Annotated[
    list[str] | None,
    typer.Option(
        "--crop",
        metavar="IMAGE:X,Y,W,H",
        help="A region in HR pixels; DATASET/IMAGE of any data set too; repeatable.",
    ),
]


def run_options(
    devices: str,
    jobs: int | None = None,
    checkpoint_seconds: float | None = None,
    teacher_cache: float = 0.0,
    address: str | None = None,
) -> RunOptions:
    """Pack the options that say how a command works; the teacher's cache is given in GB."""
    return RunOptions(devices, jobs, address, checkpoint_seconds, 1e9 * teacher_cache)


def weights_of(
    file: str | None,
    range_: str | None = None,
    res_scale: float | None = None,
    model: str | None = None,
    scale: int | None = None,
) -> TeacherSpec | None:
    """Return what the options say about a network's weights, as under a suite's `teacher`; None without a file.

    Args:
        model: the network that they are of: `package.module:Class`, or a mapping as under `student`.
    Raises:
        SrkdError: an option goes with a file of weights or with another option, or its value is wrong.
    """
    from srkd_bench.config.suite import TeacherSpec
    from srkd_bench.config.suite_file import parse_yaml, validated

    if file is None:
        if range_ or res_scale is not None:
            raise SrkdError("--range and --res-scale go with --weights FILE")
        return None
    said: dict[str, Any] = {"range": int(range_) if range_ else None, "res_scale": res_scale}
    if model is not None:
        network = parse_yaml(model, "--model") if model.lstrip().startswith("{") else {"arch": model}
        if network == {"arch": model} and ":" not in model:
            raise SrkdError(f"--model {model} names no class", "--model package.module:Class")
        if "arch" in network and range_:
            network["range"] = said.pop("range")
        said["model"] = {"scale": scale or 2} | network
    return validated(TeacherSpec, {"weights": file, **said}, "--weights")


def suite_name(argument: str | None, option: str | None) -> str:
    """Return the suite that was named, as an argument or by --suite.

    Raises:
        SrkdError: both were given, and they differ.
    """
    if argument and option and argument != option:
        raise SrkdError(f"two suites are named: {argument} and {option}", "name one")
    return argument or option or "demo"


def online(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that may open connections the option --offline, which only sets the environment."""

    def go_offline(chosen: bool) -> bool:
        if chosen:
            os.environ["SRKD_OFFLINE"] = "1"  # for processes that this one starts, too
        return chosen

    @wraps(command)
    def without_it(*, offline: bool, **values: Any) -> None:
        command(**values)

    found = signature(command, eval_str=True)
    help_ = "Never open a connection."
    offline = Annotated[
        bool, typer.Option("--offline", envvar="SRKD_OFFLINE", help=help_, callback=go_offline)
    ]
    parameters = list(found.parameters.values())
    last = [index for index, one in enumerate(parameters) if one.name in ("dry_run", "json_")]
    option = Parameter("offline", Parameter.KEYWORD_ONLY, default=False, annotation=offline)
    parameters.insert(min(last, default=len(parameters)), option)
    parameters = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in parameters]
    without_it.__signature__ = found.replace(parameters=parameters)  # type: ignore[attr-defined]
    without_it.__annotations__ = {one.name: one.annotation for one in parameters}
    return without_it
