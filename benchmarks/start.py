"""How long commands take that only look."""

import subprocess
import sys
from functools import partial

from benchmarks.measure import Row, by_turns


def rows(quick: bool) -> list[Row]:
    command = [sys.executable, "-m", "srkd_bench"]
    look = partial(subprocess.run, check=True, capture_output=True)
    rounds = 1 if quick else 7
    times = by_turns(
        rounds, help=partial(look, [*command, "--help"]), ls=partial(look, [*command, "ls", "suites"])
    )
    return [
        Row("7. srkd --help", min(times["help"]), "s", 0.3),
        Row("7. srkd ls suites", min(times["ls"]), "s"),
    ]
