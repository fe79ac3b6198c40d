"""Grids of simulated scores whose gains are known."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from srkd_bench.evaluation.grids.cells import CellResults
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score

STUDENTS = {"EDSR 8×4": 6_531.0, "EDSR 16×8": 49_603.0, "EDSR 32×16": 387_171.0}
Gain = Callable[[float, float, float], float]
"""Returns a gain in dB from doublings of steps over 20,000, of parameters over 50,000, and of images over 100."""


def cell(
    axes: Mapping[str, str | float],
    values: Mapping[str, Sequence[float]],
    *,
    suite: str = "map",
    costs: Mapping[str, float] | None = None,
) -> CellResults:
    """Return a cell with the score of each method's seeds on two images of Set5.

    Args:
        axes: labels of networks of `STUDENTS` and of others, and numbers.
        values: by method; the images are 1 dB above and below.
    """
    identity = f"{suite}@{'0123456789' * 2}"
    scores = [
        Score(method, "set5", image, "psnr_y", "y@1", value + offset, "", method, seed, identity)
        for method, own in values.items()
        for seed, value in enumerate(own)
        for image, offset in (("a", -1.0), ("b", 1.0))
    ]
    factors = {key: STUDENTS.get(str(value), value) for key, value in axes.items()}
    labels = {key: f"{value:g}" if isinstance(value, float | int) else value for key, value in axes.items()}
    return CellResults(
        name="; ".join(f"{key}={label}" for key, label in labels.items()),
        axes=labels,
        factors={key: float(value) for key, value in factors.items() if not isinstance(value, str)},
        results=Results(suite, list(values), ["set5"], ["psnr_y"], scores, seeds=[0, 1, 2]),
        costs=costs or {},
    )


def simulated(
    gains: Mapping[str, Gain],
    *,
    steps: Sequence[int] = (2_500, 10_000, 40_000, 160_000),
    students: Sequence[str] = tuple(STUDENTS),
    images: Sequence[int] = (50, 399),
    seeds: int = 3,
    noise: float = 0.02,
    state: int = 0,
) -> list[CellResults]:
    """Return a full grid; the student alone gains 0.25 dB when its training is doubled.

    Args:
        noise: standard deviation over seeds of each method's difference, and of the student alone.
    """
    random = np.random.default_rng(state)
    found = []
    for length, student, count in product(steps, students, images):
        x, y, z = np.log2(length / 20_000), np.log2(STUDENTS[student] / 50_000), np.log2(count / 100)
        alone = 34 + 0.25 * x + 0.3 * y + 0.05 * z + noise * random.normal(size=seeds)
        values = {"none": alone} | {
            method: alone + gain(x, y, z) + noise * random.normal(size=seeds)
            for method, gain in gains.items()
        }
        cost = length * STUDENTS[student]
        costs = {"none": cost} | dict.fromkeys(gains, 3 * cost)
        axes: dict[str, str | float] = {"student": student, "train.steps": length, "data.images": count}
        found.append(cell(axes, {name: own.tolist() for name, own in values.items()}, costs=costs))
    return found
