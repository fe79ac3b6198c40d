"""Refuse lists with duplicates: data sets, metrics, methods, seeds, runs."""

from collections.abc import Hashable, Iterable
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from srkd_bench.core.errors import SrkdError

T = TypeVar("T", bound=Hashable)


def check_distinct(what: str, values: Iterable[Hashable]) -> None:
    """Check that a list given on the command line has no duplicates.

    Args:
        what: the option.
    Raises:
        SrkdError: an item occurs twice.
    """
    if found := _repetition(values):
        raise SrkdError(f"{what}: {found}", "name each once")


def _repetition(values: Iterable[Hashable]) -> str:
    """Describe the duplicate in a list; empty if there is none. `a+b` and `b+a` are the same method."""
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
