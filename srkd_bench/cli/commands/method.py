"""`srkd method new` and `srkd method check`: create and test your own method."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from srkd_bench.cli.options import Json
from srkd_bench.cli.output import err, print_json
from srkd_bench.core.errors import SrkdError


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and _: mymethod.")],
) -> None:
    """Write NAME.py, a whole method to change, and test_NAME.py, its test, into this folder."""
    from srkd_bench.training.contract.template import write

    for path in write(name):
        print(path)
    err.print(f"next: srkd method check ./{name}.py", markup=False, highlight=False)


def check(
    method: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py|NAME|MODULE:CLASS", help="A method, or a+b. The code of a file is run."
        ),
    ],
    json_: Json = False,
) -> None:
    """Put a method through the contract that srkd's own methods keep; exit code 1 if it doesn't keep it."""
    from srkd_bench.training.contract import checks

    verdicts = []
    for verdict in checks.examine(checks.subject(method)):
        verdicts.append(verdict)
        if json_:
            continue
        lines = [f"{'✗' if verdict.problem else '✓'} {verdict.check}"]
        lines[0] += f": {verdict.problem or verdict.note}" if verdict.problem or verdict.note else ""
        lines += [f"    {verdict.place}"] if verdict.place else []
        lines += [f"    hint: {verdict.hint}"] if verdict.hint else []
        print("\n".join(lines), flush=True)
    if json_:
        print_json({"schema": 1, "method": method, "checks": [asdict(verdict) for verdict in verdicts]})
    if failed := sum(bool(verdict.problem) for verdict in verdicts):
        raise SrkdError(
            f"{method} fails {failed} of {len(verdicts)} checks", "mend the lines that are named above"
        )
