"""What the scripts share: a row of the table, and timing by turns, so that a noisy machine slows all alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Row:
    """One measured thing.

    Args:
        target: its number in docs/developer/benchmarks.md and what is measured.
        unit: of `measured`, `limit`, `before` and `peer`; `x` for a ratio.
        limit: None where nothing was promised.
        more: more is better.
        before: what srkd's earlier way of doing it takes, measured in the same run, or counted once.
        peer: what the other way of doing it takes, measured in the same run.
        note: what the reader must know.
        error: why it could not be measured although it should have been.
    """

    target: str
    measured: float | None
    unit: str
    limit: float | None = None
    more: bool = False
    before: float | None = None
    peer: float | None = None
    note: str = ""
    error: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the limit is kept; None where there is none or nothing was measured."""
        if self.limit is None or self.measured is None:
            return None
        return self.measured >= self.limit if self.more else self.measured <= self.limit


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def by_turns(rounds: int, **works: Callable[[], object]) -> dict[str, list[float]]:
    """Return the seconds of each work in each round, after one round to warm up."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    return times


def ratio(a: list[float], b: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def lacks_bf16() -> str:
    """Return what to say where bfloat16 is emulated, many times more slowly; nothing where it is not."""
    return "" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "this processor has no bfloat16 arithmetic"
