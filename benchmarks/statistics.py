"""Simulated error rates, coverage and power of the statistical tests."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import Row
from srkd_bench.evaluation.power import USUAL_DEVIATION, power
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import LEVEL, Array, holm, new_images_interval, t_interval, t_test
from srkd_bench.report.formats.score_file import read_scores

SCORES = Path(__file__).parents[1] / "results" / "bsds" / "scores.csv.gz"
DATASETS = ["set5", "set14", "bsd100", "urban100"]
METHODS = ["hkd", "ckd", "rkd", "rvkd", "rkd+hkd", "none@equal-cost"]
SEEDS = (3, 6, 10)
GAINS = {0.05: (3, 4, 6, 10), 0.09: (3, 4, 6, 10)}  # dB, with these numbers of seeds
UNEQUAL = np.array([0.02, 0.02, 0.02, 0.02, 0.02, 0.1])
NORMAL, RESAMPLED = "normal", "residuals of bsds"
Draw = Callable[[int, np.random.Generator], Array]
"""Returns (methods, seeds) differences of methods without effect from one control."""


def rows(quick: bool) -> list[Row]:
    scores = read_scores(SCORES)
    results = Results("bsds", ["none", *METHODS], DATASETS, ["psnr_y"], scores)
    pairs = [[results.pairs("psnr_y", name, "none", one).values for one in DATASETS] for name in METHODS]
    experiments = 200 if quick else 20_000
    draws: dict[str, Draw] = {NORMAL: _normal, RESAMPLED: partial(_resampled, _residuals(pairs))}
    found: list[Row] = []
    for seeds in SEEDS:
        for kind, draw in draws.items():
            families = _families(draw, seeds, experiments)
            found += [_wrong(families, kind, seeds), _covered(families[: experiments // 4], kind, seeds)]
        found.append(_covered_on_new_images(pairs[0], seeds, experiments // 4))
    for gain, counts in GAINS.items():
        found += [_power(gain, seeds, experiments // 4) for seeds in counts]
    return found


def _families(draw: Draw, seeds: int, experiments: int) -> Array:
    """Return (experiments, methods, seeds)."""
    random = np.random.default_rng(seeds)
    return np.array([draw(seeds, random) for _ in range(experiments)])


def _normal(seeds: int, random: np.random.Generator) -> Array:
    """One of six methods varies five times as much as the others and the control."""
    own = random.normal(size=(len(UNEQUAL), seeds)) * UNEQUAL[:, None]
    differences: Array = own - UNEQUAL[0] * random.normal(size=seeds)
    return differences


def _residuals(pairs: list[list[Array]]) -> list[Array]:
    """Return by data set (methods, seeds, images): differences less their mean over seeds."""
    return [
        (own := np.array(of_methods)) - own.mean(axis=1, keepdims=True)
        for of_methods in zip(*pairs, strict=True)
    ]


def _resampled(residuals: list[Array], seeds: int, random: np.random.Generator) -> Array:
    """Draw seeds with replacement and a random sign, and images within each; the same for all methods.

    Without the images, three seeds of six would often be the same ones, which no training repeats.
    """
    drawn = random.integers(residuals[0].shape[1], size=seeds)
    sign = random.choice((-1.0, 1.0), size=seeds)
    of_sets = [
        own[:, drawn[:, None], random.integers(own.shape[2], size=(seeds, own.shape[2]))].mean(axis=2)
        for own in residuals
    ]
    differences: Array = sign * np.mean(of_sets, axis=0)
    return differences


def _wrong(families: Array, kind: str, seeds: int) -> Row:
    p = [[t_test(own) or 1.0 for own in family] for family in families]
    wrong, alone = (100 * float(np.mean([min(one) < LEVEL for one in of])) for of in (map(holm, p), p))
    what = f"9. any wrong verdict among six methods without effect, {seeds} seeds, {kind}"
    limit = 5.5 if kind == NORMAL else None
    return Row(what, wrong, "%", limit, peer=alone, note="alternative: p without Holm's correction")


def _covered(families: Array, kind: str, seeds: int) -> Row:
    intervals = map(t_interval, families.reshape(-1, seeds))
    covered = 100 * float(np.mean([low <= 0 <= high for low, high in intervals]))
    what = f"9. coverage of the 95 % interval, {seeds} seeds, {kind}"
    return Row(what, covered, "%", 94.0 if kind == NORMAL else None, more=True)


def _covered_on_new_images(pairs: list[Array], seeds: int, experiments: int) -> Row:
    """Draw the deviations of seeds, of images and of both together of hkd with replacement."""
    random, covered = np.random.default_rng(seeds), 0
    means = [own - own.mean() for own in pairs]
    of_seeds = np.array([own.mean(axis=1) for own in means])
    of_images = [own.mean(axis=0) for own in means]
    rest = [own - own.mean(axis=1, keepdims=True) - own.mean(axis=0) for own in means]
    for _ in range(experiments):
        drawn = of_seeds[:, random.integers(of_seeds.shape[1], size=seeds)]
        drawn *= random.choice((-1.0, 1.0), size=seeds)
        values = [
            seed[:, None]
            + random.choice(image, size=len(image))
            + random.choice(own.ravel(), (seeds, len(image)))
            for seed, image, own in zip(drawn, of_images, rest, strict=True)
        ]
        low, high = new_images_interval(values) or (np.nan, np.nan)
        covered += low <= 0 <= high
    what = f"9. coverage of the interval for new images, {seeds} seeds, {RESAMPLED}"
    return Row(what, 100 * covered / experiments, "%")


def _power(gain: float, seeds: int, experiments: int) -> Row:
    """One of six methods gains; all vary alike."""
    random = np.random.default_rng(seeds)
    found = 0
    for _ in range(experiments):
        own = random.normal(size=(6, seeds)) - random.normal(size=seeds)
        own *= USUAL_DEVIATION / np.sqrt(2)
        own[0] += gain
        found += holm([t_test(one) or 1.0 for one in own])[0] < LEVEL and own[0].mean() > 0
    formula = f"{power(gain, USUAL_DEVIATION, seeds, 6):.0%} by the formula"
    what = f"9. power for {gain:g} dB among six methods, SD {USUAL_DEVIATION:g} dB, {seeds} seeds"
    return Row(what, 100 * found / experiments, "%", note=formula)
