"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from srkd_bench.cli import completion, lists
from srkd_bench.core.errors import SrkdError, unknown
from srkd_bench.experiments.executors.base import EXECUTORS
from srkd_bench.store.workspace import RunOptions

if TYPE_CHECKING:
    from srkd_bench.config.suite import TeacherSpec


def choice(*flags: str, names: Iterable[str], help: str) -> Any:
    """Return an option whose value is one of some names."""
    known = tuple(names)

    def check(value: str | None) -> str | None:
        if value is not None and value not in known:
            raise unknown("value of " + flags[0], value, known)
        return value

    def complete(incomplete: str) -> list[str]:
        return [name for name in known if name.startswith(incomplete)]

    return typer.Option(
        *flags, metavar=f"<{'|'.join(known)}>", callback=check, autocompletion=complete, help=help
    )


_SUITE = typer.Argument(
    metavar="SUITE",
    show_default=False,
    autocompletion=completion.suites,
    help="Suite: a name (`srkd ls suites`) or a YAML file. Default: demo.",
)
SuiteArgument = Annotated[str, _SUITE]
OptionalSuite = Annotated[str | None, _SUITE]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=completion.settings,
        help="Change a key of the suite, such as train.steps=200; repeatable.",
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        metavar="METHOD[,METHOD…]",
        callback=lists.methods,
        autocompletion=completion.methods,
        help="Methods instead of the suite's: a name, a+b or ./file.py; repeatable.",
    ),
]
Home = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", envvar="SRKD_HOME", help="Artifact store. Default: the user's cache folder."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show what is cached and what runs, with time and disk space.")
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        callback=lists.device,
        autocompletion=completion.devices,
        help="auto, cpu, cuda, mps or xpu, with an optional index (cuda:1).",
    ),
]
Devices = Annotated[
    list[str],
    typer.Option(
        "--device",
        "--devices",
        metavar="NAME[,NAME…]",
        callback=lists.devices,
        autocompletion=completion.devices,
        help="cpu, cuda, mps, xpu, or several devices with one process each: cuda:0,cuda:1. all: every GPU. "
        "auto: every GPU, or the CPU if there is none.",
    ),
]
AUTO = ["auto"]  # the devices where --device is not given
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        max=1024,
        help="Number of worker processes. They take the devices in turn, or share the CPU's cores.",
    ),
]


Executor = Annotated[
    str,
    choice(
        "--executor",
        names=EXECUTORS,
        help="Where to run: this machine, or a Ray cluster that shares the store (extra srkd-bench[ray]).",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Address of the Ray cluster. Without it, a running cluster is used or one is started here.",
    ),
]
Checkpoint = Annotated[
    float | None,
    typer.Option(
        "--checkpoint-seconds",
        metavar="SECONDS",
        min=0,
        help="Seconds between checkpoints. Default: 300, or more if writing takes over 1 % of the time.",
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="FILE|URL",
        help="Teacher weights instead of the suite's: an EDSR, or a network that spandrel recognises.",
    ),
]
TensorBoard = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        help="Write the training events for TensorBoard when training ends (extra srkd-bench[tensorboard]).",
    ),
]
Range = Annotated[
    str | None,
    choice(
        "--range",
        names=("1", "255"),
        help="Highest pixel value that the network in --weights works with: 1 or 255. Default: read from the file.",
    ),
]
ResScale = Annotated[
    float | None,
    typer.Option(
        "--res-scale",
        metavar="NUMBER",
        help="Residual scale of the EDSR in --weights. Default: 0.1 for 256 or more filters, else 1.",
    ),
]
Crops = Annotated[
    list[str] | None,
    typer.Option(
        "--crop",
        metavar="IMAGE:X,Y,W,H",
        help="Region in HR pixels. IMAGE may be DATASET/IMAGE; repeatable.",
    ),
]


def refuse(beside: str, given: Mapping[str, object], hint: str = "") -> None:
    """Refuse options that have no effect beside another option or argument.

    Args:
        beside: what was given with them, such as `--weights`.
        given: the options and their values; those that are None, False or empty were not given.
        hint: instead of the advice to leave the option out.
    Raises:
        SrkdError: one of them was given.
    """
    for option, value in given.items():
        if value not in (None, False, [], ()):
            raise SrkdError(f"{option} cannot be combined with {beside}", hint or f"leave out {option}")


def run_options(
    devices: str | Sequence[str],
    jobs: int | None = None,
    checkpoint_seconds: float | None = None,
    address: str | None = None,
) -> RunOptions:
    """Return the execution settings that the options of a command give."""
    names = devices if isinstance(devices, str) else ",".join(devices)
    return RunOptions(names, jobs, address, checkpoint_seconds)


def weights_of(
    file: str | None,
    range_: str | None = None,
    res_scale: float | None = None,
    model: str | None = None,
    scale: int | None = None,
) -> TeacherSpec | None:
    """Return the spec of a network's weights, as under a suite's `teacher`; None without a file.

    Args:
        model: the network that they are of: `package.module:Class`, or a mapping as under `student`.
    Raises:
        SrkdError: an option needs a weights file or another option, or its value is wrong.
    """
    from srkd_bench.config.suite import TeacherSpec
    from srkd_bench.config.suite_file import parse_yaml, validated

    if file is None:
        if range_ or res_scale is not None:
            raise SrkdError(
                "--range and --res-scale need --weights FILE", "leave them out, or add --weights FILE"
            )
        return None
    said: dict[str, Any] = {"range": int(range_) if range_ else None, "res_scale": res_scale}
    if model is not None:
        network = parse_yaml(model, "--model") if model.lstrip().startswith("{") else {"arch": model}
        if network == {"arch": model} and ":" not in model:
            raise SrkdError(f"--model {model} names no class", "--model package.module:Class")
        if ":" in str(network.get("arch")) and range_:
            network["range"] = said.pop("range")
        said["model"] = {"scale": scale or 2} | network
    return validated(TeacherSpec, {"weights": file, **said}, "--weights")
