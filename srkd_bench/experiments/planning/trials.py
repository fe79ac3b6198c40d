"""The sequence of loss weights, or of learning rates, that a search tries.

Trial 0 is the default. The others follow Halton's sequence in their logarithms, turned so that its first
point is the middle: evenly spread after any number of trials, and the same for everyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING

from srkd_bench.evaluation.controls import is_control

if TYPE_CHECKING:
    from srkd_bench.config.artifacts import Run
    from srkd_bench.config.base import Params
    from srkd_bench.methods.metadata import Traits


REACH = 10.0  # a weight is tried from a tenth of its default to ten times it
LARGEST = 1e6  # of any weight
RATE = "learning_rate"  # of the student without distillation
RATE_REACH = 4.0  # a learning rate is tried from a quarter of its default to four times it
LARGEST_RATE = 1.0
DIGITS = 3  # of what is tried: it can be read and typed, and is the same on every machine
FEWEST, USUAL, MOST = 2, 7, 100
TUNING_SEED = 1_000_000
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)


def tuning_seed(seeds: Iterable[int]) -> int:
    """Return the seed that a suite's trials are trained with: the first from 1,000,000 on that it does not use."""
    used = set(seeds)
    return next(seed for seed in count(TUNING_SEED) if seed not in used)


def weights(method: Traits) -> list[tuple[str, str]]:
    """Return part and name of the weights that a search varies; one that is 0 is switched off and stays so."""
    known = ((part, name) for part, names in method.weights.items() for name in names)
    return [(part, name) for part, name in known if method.params[part].get(name)]


def trial(method: Traits, index: int) -> dict[str, Params]:
    """Return the parameters of a method's trial, as a run has them."""
    params = {part: dict(values) for part, values in method.params.items()}
    if index > 0:
        for (part, name), place in zip(weights(method), _point(index, len(weights(method))), strict=True):
            params[part][name] = min(LARGEST, _tried(float(params[part][name]), REACH, place))
    return params


def trial_rate(default: float, index: int) -> float:
    """Return the learning rate of a trial of the student without distillation."""
    return min(LARGEST_RATE, _tried(default, RATE_REACH, *_point(index, 1))) if index > 0 else default


def _tried(default: float, reach: float, place: float) -> float:
    return float(f"{default * reach ** (2 * place - 1):.{DIGITS}g}")


def searched(column: str, method: Traits) -> list[tuple[str, str]]:
    """Return part and name of what a search of a column varies: loss weights; without distillation, the rate."""
    return [(column, RATE)] if column == "none" or is_control(column) else weights(method)


def settings(column: str, run: Run) -> dict[str, Params]:
    """Return the parameters of a column's run by part, as `searched` names them."""
    return {column: {RATE: run.train.learning_rate}} if run.method == "none" else run.params


def key_of(column: str, part: str, name: str) -> str:
    """Return the key of a suite for what `searched` names."""
    if column == "none":
        return f"train.{name}"
    return f"params.{column}.{name}" if part == column else f"params.{column}.{part}.{name}"


def varied(run: Run, runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Return part and name of the parameters in which the runs of this one's method differ."""
    others = [other.params for other in runs if other.method == run.method]
    own = ((part, name, value) for part, values in run.params.items() for name, value in values.items())
    return [(part, name) for part, name, one in own if any(other[part].get(name) != one for other in others)]


def in_words(params: Mapping[str, Params], names: Iterable[tuple[str, str]]) -> str:
    """Format the weights of a run: `weight=0.5`, or `rkd.weight=25, hkd.weight=1`."""
    several = len(params) > 1
    chosen = ((f"{part}.{name}" if several else name, params[part][name]) for part, name in names)
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in chosen
    )


def _point(index: int, size: int) -> list[float]:
    """Return a point of Halton's sequence in [0, 1)^size; the one of index 0 is the middle."""
    bases = [PRIMES[i % len(PRIMES)] for i in range(size)]
    return [(_reversed(index + 1, base) - 1 / base + 0.5) % 1 for base in bases]


def _reversed(number: int, base: int) -> float:
    """Return the number's digits mirrored at the point: 6 = 110 in base 2 is 0.011 = 0.375."""
    value, place = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        place /= base
        value += digit * place
    return value
