"""The options that several commands share."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from srkd_bench.core.errors import SrkdError


def _offline(chosen: bool) -> bool:
    if chosen:
        os.environ["SRKD_OFFLINE"] = "1"  # for processes that this one starts, too
    return chosen


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


class Executor(StrEnum):
    """Who runs a suite's tasks."""

    LOCAL = "local"
    RAY = "ray"


Runner = Annotated[
    Executor,
    typer.Option(
        "--executor", help="This machine, or a Ray cluster that shares the store (srkd-bench[ray])."
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
Crops = Annotated[
    list[str] | None,
    typer.Option(
        "--crop",
        metavar="IMAGE:X,Y,W,H",
        help="A region in HR pixels; DATASET/IMAGE of any data set too; repeatable.",
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        envvar="SRKD_OFFLINE",
        help="Never open a connection.",
        callback=_offline,
    ),
]


def suite_name(argument: str | None, option: str | None) -> str:
    """Return the suite that was named, as an argument or by --suite.

    Raises:
        SrkdError: both were given, and they differ.
    """
    if argument and option and argument != option:
        raise SrkdError(f"two suites are named: {argument} and {option}", "name one")
    return argument or option or "demo"
