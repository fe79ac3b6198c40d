"""Errors for the user: one message, one hint, one exit code."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from srkd_bench.core import torchrun_env

LISTED = 30  # names in a hint
INTERACTIVE = ("", "-c", "ipykernel_launcher.py", "colab_kernel_launcher.py")  # programs that run no file


class SrkdError(Exception):
    """Something the user can mend.

    Args:
        message: what is wrong, one line without a full stop.
        hint: the next command or setting; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class MissingError(SrkdError):
    """Data or an artifact that isn't here yet."""

    exit_code = 3


class IntegrityError(SrkdError):
    """A checksum that doesn't fit, or a file that isn't what it says."""

    exit_code = 4


class ConditionMet(SrkdError):
    """A condition of `srkd report --fail-if` is met, or a claim fails under `--check`."""

    exit_code = 5


class FailedRuns(SrkdError):
    """Some runs failed; the others are finished and kept."""

    exit_code = 6


def failed_runs(failures: Sequence[SrkdError]) -> FailedRuns | None:
    """Return one error that names all failures, or None if there are none."""
    if not failures:
        return None
    return FailedRuns("; ".join(error.message for error in failures), failures[0].hint)


class FailedImages(SrkdError):
    """Some images could not be worked on; the others are done."""

    exit_code = 6


class Stopped(SrkdError):
    """Work that was interrupted, with nothing lost: 130 after Ctrl-C, 75 after any other signal."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message, f"to go on: {command_line()}")
        self.exit_code = exit_code


def command_line() -> str:
    """Return the command that is running, as one would type it; `python FILE` where a program imports srkd."""
    if in_python():
        return shlex.join(["python", *([] if Path(sys.argv[0]).name in INTERACTIVE else sys.argv)])
    if torchrun_env.ranks() == 1:
        return shlex.join(["srkd", *sys.argv[1:]])
    many = torchrun_env.local_ranks()
    hosts = torchrun_env.ranks() // many
    where = ["--standalone"] if hosts == 1 else ["--nnodes", str(hosts)]
    return shlex.join(["torchrun", *where, "--nproc-per-node", str(many), "-m", "srkd_bench", *sys.argv[1:]])


def in_python() -> bool:
    """Return whether srkd was imported by a Python program or a notebook, rather than started as a command."""
    program = Path(sys.argv[0]).name
    return program in INTERACTIVE or (program.endswith(".py") and program != "__main__.py")


def unknown(kind: str, name: str, known: Iterable[str]) -> SrkdError:
    """Return the error for a name that isn't known, with the nearest known one as its hint."""
    names = sorted(known)
    near = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    more = f", … ({len(names):,} in all)" if len(names) > LISTED else ""
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names[:LISTED])}{more}"
    return SrkdError(f"no {kind} named '{name}'", hint)
