"""Generate a page for each command from its options, and the exit codes from the error classes."""

import html
import inspect
import re
import subprocess
import sys
from signal import Signals

from docs_generators.methods import table
from srkd_bench.core import errors
from srkd_bench.core.signals import EXIT_CODES


def pages() -> dict[str, str]:
    """Return the Markdown of every command's page and of their overview, by path."""
    words = [sys.executable, "-m", "typer", "srkd_bench.cli.app", "utils", "docs", "--name", "srkd"]
    text = html.unescape(subprocess.check_output(words, encoding="utf-8"))
    first, *others = re.split(r"^(?=## `srkd )", text, flags=re.MULTILINE)
    commands = {part.partition("`")[2].partition("`")[0].split()[1]: part for part in others}
    found = {f"commands/{name}.md": _page(part) for name, part in commands.items()}
    return {"commands/index.md": _overview(first, commands)} | found


def _overview(text: str, commands: dict[str, str]) -> str:
    rows = [(f"[`srkd {name}`]({name}.md)", _summary(part)) for name, part in commands.items()]
    return "\n\n".join(
        [
            _page(text).replace("# srkd\n", "# Commands\n", 1),
            table(("Command", "Purpose"), rows),
            "## Exit codes",
            "Standard output carries data only. Progress and errors go to standard error. An error has a message "
            "and, where possible, a hint with the next command or setting.",
            table(("Code", "Meaning"), [(str(code), text) for code, text in sorted(exit_codes().items())]),
        ]
    )


def _summary(part: str) -> str:
    return part.split("\n\n")[1].replace("\n", " ")


def exit_codes() -> dict[int, str]:
    """Return the meaning of each exit code, from the docstrings in `srkd_bench.core.errors`."""
    found = {0: "Success.", 2: "An unknown or missing command, option or argument."}
    for error in vars(errors).values():
        if inspect.isclass(error) and issubclass(error, errors.SrkdError) and error is not errors.Stopped:
            found.setdefault(error.exit_code, inspect.cleandoc(error.__doc__ or "").partition("\n")[0])
    for number, code in EXIT_CODES.items():
        found[code] = (
            f"Interrupted by {Signals(number).name}; a checkpoint is saved, and the same command resumes."
        )
    return found


def _page(text: str) -> str:
    """Return typer's Markdown as a page of its own: headings a level up, options as a list of definitions.

    The list of commands is left out, because it truncates sentences: a table or the commands follow.
    """
    text = re.sub(r"^\*\*Commands\*\*:\n\n(\* .+\n?)+\n*", "", text, flags=re.MULTILINE)
    text = re.sub(r"^#?(#+) `(srkd.*)`$", r"\1 \2", text.strip(), flags=re.MULTILINE)
    text = re.sub(r"^\*\*(\w+)\*\*:$", r"**\1**", text, flags=re.MULTILINE)
    text = re.sub(
        r"^(Examples?):\n((?:\$ .+\n?)+)", r"**\1**\n\n```console\n\2\n```\n", text, flags=re.MULTILINE
    )
    return re.sub(r"^\* `(.+?)(?: <(.+?)>)?`: (.*?)(?:  \[(.+)\])?$", _definition, text, flags=re.MULTILINE)


def _definition(match: re.Match[str]) -> str:
    name, kind, meaning, notes = match.groups(default="")
    choices = f" `{kind}`" if "|" in kind else ""
    return f"`{name}`{choices}\n:   {meaning}" + (f" *{notes}*" if notes else "") + "\n"
