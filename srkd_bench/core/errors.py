"""Errors for the user: one message, one hint, one exit code."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from srkd_bench.core import torchrun_env

LISTED = 30  # names in a hint
# What the code of a method or network raises if it does not fit its inputs.
CODE_ERRORS = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError)
INTERACTIVE = ("", "-c", "ipykernel_launcher.py", "colab_kernel_launcher.py")  # no script file


class SrkdError(Exception):
    """An error that the user can fix.

    Args:
        message: what is wrong; one line without a full stop.
        hint: the next command or setting; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SrkdError):
    """The words of a command line do not fit together."""

    exit_code = 2


class MissingError(SrkdError):
    """Data or an artifact is missing."""

    exit_code = 3


class IntegrityError(SrkdError):
    """A file is corrupted: its checksum or content is wrong."""

    exit_code = 4


class ConditionMet(SrkdError):
    """A condition of `srkd report --fail-if` holds, or a claim fails under `--check`."""

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
    """Some images could not be processed; the others are done."""

    exit_code = 6


class Stopped(SrkdError):
    """Work was interrupted and can be resumed: 130 after Ctrl-C, 75 after any other signal."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message, f"run the same command to resume: {command_line()}")
        self.exit_code = exit_code


def install_hint(extra: str) -> str:
    """Return the command that installs an extra, from a checkout or from a package index."""
    root = Path(__file__).parents[2]
    source = "." if (root / "pyproject.toml").is_file() else "srkd-bench"
    where = f", in {root}" if source == "." and Path.cwd() != root else ""
    return f"python -m pip install '{source}[{extra}]'{where}"


def command_line() -> str:
    """Return the command line that is running, quoted for a shell; `python FILE` where a program imports srkd."""
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
    """Return the error for an unknown name, with the closest known name as its hint."""
    names = sorted(known)
    near = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    more = f", … ({len(names):,} in all)" if len(names) > LISTED else ""
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names[:LISTED])}{more}"
    return SrkdError(f"no {kind} named '{name}'", hint)
