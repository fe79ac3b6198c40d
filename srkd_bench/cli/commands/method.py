"""`srkd method new` and `srkd method check`: create and test your own method."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from srkd_bench.cli import completion
from srkd_bench.cli.options import Json
from srkd_bench.cli.output import err, print_json
from srkd_bench.core.errors import SrkdError, unknown

Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a hyper-parameter, such as params.ckd.weight=0.5; repeatable.",
    ),
]


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the method: lower-case letters, digits and _.")
    ],
) -> None:
    """Create a method and its test from a template.

    Writes NAME.py and test_NAME.py into the working directory.
    """
    from srkd_bench.training.contract.template import write

    for path in write(name):
        print(path)
    err.print(f"Next: srkd method check ./{name}.py", markup=False, highlight=False)


def check(
    method: Annotated[
        str,
        typer.Argument(
            metavar="METHOD",
            autocompletion=completion.methods,
            help="A method: FILE.py, MODULE:CLASS, a name or a+b. The code is run.",
        ),
    ],
    settings: Parameters = None,
    json_: Json = False,
) -> None:
    """Check a method against the contract of all methods.

    Every built-in method passes these checks. The exit code is 1 if a check fails.
    """
    from srkd_bench.config.suite_file import method_parameters
    from srkd_bench.methods import sources
    from srkd_bench.training.contract import checks

    params, whole = method_parameters(settings or []), sources.name_of(method)
    for name in params:
        if not sources.takes(whole, name):
            raise unknown(f"part of {method}", name, whole.split("+"))
    verdicts, subject = [], checks.subject(method, params)
    for key in subject.random:
        err.print(f"{key} is not set: checked with a small random encoder", markup=False, highlight=False)
    for verdict in checks.examine(subject):
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
        raise SrkdError(f"{method} fails {failed} of {len(verdicts)} checks", "fix the lines named above")
