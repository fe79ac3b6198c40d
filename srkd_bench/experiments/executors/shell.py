"""Render a plan as a shell script."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from srkd_bench.experiments.executors.scripts import Step, made_by
from srkd_bench.experiments.planning.grid import Plans

SHELL = """\
#!/bin/sh
# {made_by}
# Runs one command after the other. It can be run again at any time: finished work is reused.
cd {here} || exit 1
failed=0
make() {{  # a run that failed (6) is reported, and the others continue; anything else ends the script
  "$@" >/dev/null || {{ code=$?; [ "$code" -eq 6 ] && failed=6 || exit "$code"; }}
}}
{steps}
{scores} || exit
exit "$failed"
"""


def script(steps: Sequence[Step], plan: Plans, at_once: int | None) -> str:
    """Return the script; its last command prints the table. See `ScriptWriter`."""
    *made, last = steps
    how = {"teacher": "{} >/dev/null || exit", "group": "make {}"}
    return SHELL.format(
        made_by=made_by(),
        here=shlex.quote(str(Path.cwd())),
        # Labels have a command for every process; one after the other, the first computes all.
        steps="\n".join(dict.fromkeys(how[step.kind].format(shlex.join(step.command)) for step in made)),
        scores=shlex.join(last.command),
    )
