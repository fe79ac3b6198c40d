"""Answer a shell that completes a command line: rejoin the words that bash splits, complete `--option=value`."""

import io
import os
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from typing import Never

VARIABLE = "_SRKD_COMPLETE"
"""What the scripts of `srkd --install-completion` set, to `complete_bash` or `complete_zsh`."""
_BREAKS = "=:@"  # of bash's COMP_WORDBREAKS, those that names and options contain


@dataclass(frozen=True)
class Line:
    """A command line up to the word that is completed.

    Args:
        option: `--method=` where the word is `--method=hk`; else empty.
        kept: characters at the start of the word that bash does not replace.
    """

    words: list[str]
    option: str
    kept: int


def answer(app: Callable[[], object]) -> Never:
    """Print what completes the command line that the shell's script put into the environment, and exit.

    Args:
        app: the application; it reads the line and prints completions as words.
    """
    bash = os.environ[VARIABLE] == "complete_bash"
    line = _bash_line() if bash else _line(os.environ.get("_TYPER_COMPLETE_ARGS", "").split(" "), 0)
    if bash:
        os.environ |= {"COMP_WORDS": "\n".join(line.words), "COMP_CWORD": str(len(line.words) - 1)}
    code: object = 0
    with redirect_stdout(io.StringIO()) as printed:
        try:
            app()
        except SystemExit as end:
            code = end.code
    found = printed.getvalue().removesuffix("\n")
    if bash:
        print("\n".join((line.option + one)[line.kept :] for one in found.splitlines()))
    elif os.environ[VARIABLE] == "complete_zsh" and line.option:
        print(f"compset -P '{line.option}'; {found}")
    else:
        print(found)
    raise SystemExit(code)


def _bash_line() -> Line:
    """Return the line that bash has split at `=`, `:` and `@` as well as at spaces."""
    end = int(os.environ["COMP_CWORD"]) + 1
    parts = [*os.environ["COMP_WORDS"].split("\n"), ""][:end]
    words, kept = parts[:1], 0
    for before, part in pairwise(parts):
        if _is_break(part) or (_is_break(before) and len(words) > 1):
            kept = len(words[-1]) + len(part) * _is_break(part)
            words[-1] += part
        else:
            kept = 0
            words.append(part)
    return _line(words, kept - words[-1][:kept].endswith("@"))  # the word that bash replaces includes an `@`


def _line(words: list[str], kept: int) -> Line:
    option = re.match(r"--[a-z-]+=", words[-1])
    return Line(words, option[0] if option else "", kept)


def _is_break(part: str) -> bool:
    return part != "" and not part.strip(_BREAKS)
