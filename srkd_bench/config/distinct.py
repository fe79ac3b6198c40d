"""Lists that name everything once: data sets, metrics, methods, seeds, runs."""

from collections.abc import Hashable, Iterable
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from srkd_bench.core.errors import SrkdError

T = TypeVar("T", bound=Hashable)


def check_distinct(what: str, values: Iterable[Hashable]) -> None:
    """See that a list of the command line names everything once.

    Args:
        what: the option.
    Raises:
        SrkdError: it names something twice.
    """
    if found := _repetition(values):
        raise SrkdError(f"{what}: {found}", "name each once")


def _repetition(values: Iterable[Hashable]) -> str:
    """Return in words what a list names twice, or an empty text; `a+b` and `b+a` are one method."""
    seen: dict[Hashable, Hashable] = {}
    for value in values:
        key = tuple(sorted(value.split("+"))) if isinstance(value, str) else value
        if key in seen:
            same = seen[key] == value
            return f"{value} is listed twice" if same else f"{seen[key]} and {value} are the same"
        seen[key] = value
    return ""


def _distinct(values: list[T]) -> list[T]:
    if found := _repetition(values):
        raise ValueError(found)
    return values


Distinct = Annotated[list[T], AfterValidator(_distinct)]
