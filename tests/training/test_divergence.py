import random

import pytest

from srkd_bench.training.divergence import Watch


def verdict(losses: list[float], loss: str = "mse") -> tuple[int, str]:
    """Return step and words of the first verdict, or (steps, \"\")."""
    watch = Watch.of(loss, len(losses))
    for step, value in enumerate(losses):
        watch.see(step, value)
        if words := watch.verdict(step, last=step == len(losses) - 1):
            return step, words
    return len(losses), ""


def noisy(mean: float, count: int, seed: int = 0) -> list[float]:
    """Return losses of batches of four patches, each of which may be a hundred times harder than another."""
    stream = random.Random(seed)
    return [mean * sum(stream.lognormvariate(-1.125, 1.5) for _ in range(4)) / 4 for _ in range(count)]


def test_noise_is_not_divergence() -> None:
    for seed in range(200):
        assert verdict(noisy(1e-3, 3000, seed)) == (3000, "")


def test_a_lasting_jump_of_the_loss_is_divergence_within_two_windows() -> None:
    step, words = verdict(noisy(1e-3, 2500) + noisy(20e-3, 7500))
    assert 2500 + 199 <= step < 2500 + 300
    assert "more than 4 times its best" in words
    assert "since step 2,500" in words


def test_a_jump_that_recovers_within_a_window_is_no_divergence() -> None:
    assert verdict(noisy(1e-3, 2500) + noisy(20e-3, 90) + noisy(1e-3, 7410))[1] == ""


@pytest.mark.parametrize(("loss", "factor"), [("mse", 3.0), ("l1", 1.7)])
def test_a_slow_or_small_rise_is_no_divergence(loss: str, factor: float) -> None:
    assert verdict([1e-3] * 5000 + [factor * 1e-3] * 5000, loss)[1] == ""


def test_a_jump_of_six_decibels_counts_for_either_loss() -> None:
    assert verdict([1e-3] * 5000 + [4.1e-3] * 5000, "mse")[1]
    assert verdict([1e-3] * 5000 + [2.1e-3] * 5000, "l1")[1]


@pytest.mark.parametrize("steps", [60, 100, 5000])
def test_a_training_that_is_bad_from_its_first_window_is_divergence(steps: int) -> None:
    step, words = verdict([0.1] * 8 + [5.0] * (steps - 8))
    assert step == steps - 1
    assert words == "diverged: loss 'rec' was never below 4 times its mean over the first 8 steps (1.00e-01)"


def test_a_training_that_learns_nothing_or_recovers_late_is_no_divergence() -> None:
    for seed in range(200):
        assert verdict(noisy(0.1, 300, seed)) == (300, "")
    assert verdict([0.1] * 8 + [1.0] * 192 + [0.1] * 100)[1] == ""


def test_a_jump_in_the_last_window_is_seen_at_the_end() -> None:
    step, words = verdict([1e-3] * 9900 + [1.0] * 100)
    assert (step, words[:8]) == (9999, "diverged")
