"""Names of controls, the student trained for longer without distillation: `none@2x`, `none@equal-cost`."""

import re

from srkd_bench.core.errors import SrkdError

EQUAL_COST = "none@equal-cost"  # for as long as a distillation's multiply-adds pay for
EXAMPLES = "none@2x, none@3.4x or none@equal-cost"
_TIMES = re.compile(r"none@(\d+(?:\.\d+)?)x")


def is_control(model: str) -> bool:
    """Return whether a column is a control other than `none` itself, which is trained for the suite's steps."""
    return model == EQUAL_COST or _TIMES.fullmatch(model) is not None


def times(control: str) -> float | None:
    """Return how many times the suite's steps a control is trained for; None for `none@equal-cost`."""
    found = _TIMES.fullmatch(control)
    return float(found[1]) if found else None


def control_label(control: str) -> str:
    """Return what tables call a control."""
    return "w/o KD at equal cost" if control == EQUAL_COST else f"w/o KD, {control[5:-1]}× steps"


def check_control(name: str) -> None:
    """Refuse the name of a method with a budget that is not a control.

    Raises:
        SrkdError: its method is not `none`, or its factor is not above 1 or has a shorter spelling.
    """
    method, at, _ = name.partition("@")
    if not at or name == EQUAL_COST:
        return
    if method != "none":
        raise SrkdError(f"no method named '{name[:60]}'", f"only none has other budgets: {EXAMPLES}")
    factor = times(name)
    if factor is None:
        raise SrkdError(f"no method named '{name[:60]}'", f"none with another budget is {EXAMPLES}")
    if factor == 1:
        raise SrkdError(f"'{name[:60]}' is trained as long as none", "name it none")
    if factor < 1:
        raise SrkdError(f"'{name[:60]}' must be trained for longer than none", f"for example {EXAMPLES}")
    whole, point, rest = name[5:-1].partition(".")
    short = f"none@{(whole.lstrip('0') + point + rest.rstrip('0')).removesuffix('.')}x"
    if name != short:
        raise SrkdError(f"'{name[:60]}' has a shorter name", f"write {short[:60]}")
