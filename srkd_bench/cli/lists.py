"""Parse options that hold several values."""

import re
from collections.abc import Iterable, Sequence

from srkd_bench.core.errors import SrkdError
from srkd_bench.store.workspace import DEVICE_NAME, DEVICE_NAMES

MOST_SEEDS = 1000
_SEEDS = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")
SEEDS_EXAMPLE = "--seeds 6 (0 to 5), --seeds 0-5 or --seeds 0,2,4"


def split(values: Iterable[str] | None) -> list[str]:
    """Return the values of a repeatable option, each of which may be a list `a,b`."""
    parts = [part.strip() for value in values or () for part in value.split(",")]
    return [part for part in parts if part]


def methods(values: Sequence[str] | None) -> list[str] | None:
    """Return the methods of --method, which is repeatable and accepts commas.

    Raises:
        SrkdError: the option is given without a method.
    """
    return _named(values, "--method", "--method ckd,hkd")


def datasets(values: Sequence[str] | None) -> list[str] | None:
    """Return the data sets of --datasets.

    Raises:
        SrkdError: the option is given without a data set.
    """
    return _named(values, "--datasets", "--datasets set5,set14")


def suites(values: Sequence[str] | None) -> list[str] | None:
    """Return the suites of --keep.

    Raises:
        SrkdError: the option is given without a suite.
    """
    return _named(values, "--keep", "--keep demo,my-study.yaml")


def _named(values: Sequence[str] | None, option: str, example: str) -> list[str] | None:
    if not values:
        return None
    if not (found := split(values)):
        raise SrkdError(f"{option} has no value", example)
    return found


def device(value: str) -> str:
    """Return the name of one device.

    Raises:
        SrkdError: it is not auto, cpu, or an accelerator's type with an optional index.
    """
    if not DEVICE_NAME.fullmatch(value):
        raise SrkdError(f"--device: no device named '{value[:40]}'", f"--device {DEVICE_NAMES}")
    return value


def devices(values: Sequence[str]) -> list[str]:
    """Return the names of devices. `auto` and `all` exclude other names.

    Raises:
        SrkdError: no device has such a name, or a list holds `auto` or `all`.
    """
    found, example = split(values), "--device cpu, cuda, cuda:0,cuda:1, mps, xpu or all"
    if not found:
        raise SrkdError("--device has no value", example)
    for one in found:
        if one != "all" and not DEVICE_NAME.fullmatch(one):
            raise SrkdError(f"--device: no device named '{one[:40]}'", example)
    if len(found) > 1 and {"auto", "all"} & set(found):
        raise SrkdError("--device: auto and all cannot be combined with other devices", example)
    return found


def seeds_setting(text: str) -> str:
    """Return --seeds as a setting: `6` and `0-5` are `seeds=[0,1,2,3,4,5]`.

    Raises:
        SrkdError: it is not a number, range or list, or has too many seeds.
    """
    parts = [part.strip() for part in text.split(",")]
    found = [_SEEDS.fullmatch(part) for part in parts]
    if len(parts) == 1 and parts[0].isdecimal():
        ranges = [(0, int(parts[0]) - 1)]
    elif all(found):
        ranges = [(int(one[1]), int(one[2] or one[1])) for one in found if one]
    else:
        raise SrkdError(f"--seeds: '{text[:40]}' is not a number, a range or a list of seeds", SEEDS_EXAMPLE)
    if any(first > last for first, last in ranges):
        raise SrkdError(f"--seeds: '{text[:40]}' has no seeds", SEEDS_EXAMPLE)
    if sum(last - first + 1 for first, last in ranges) > MOST_SEEDS:
        raise SrkdError(f"--seeds: '{text[:40]}' is more than {MOST_SEEDS:,} seeds", SEEDS_EXAMPLE)
    listed = ",".join(str(seed) for first, last in ranges for seed in range(first, last + 1))
    return f"seeds=[{listed}]"
