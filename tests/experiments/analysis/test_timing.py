"""The time of a trial call."""

import pytest
import torch

from srkd_bench.core.progress import Display
from srkd_bench.experiments.analysis.timing import TRIAL_SECONDS, TRIAL_STEPS, median_seconds
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace


@pytest.mark.parametrize(
    ("seconds", "calls"), [([0.5, 0.1], TRIAL_STEPS + 1), ([2.0, 1.0], 4), ([TRIAL_SECONDS, 9.0], 1)]
)
def test_the_first_call_counts_only_if_it_takes_as_long_as_a_whole_trial(
    seconds: list[float], calls: int, monkeypatch: pytest.MonkeyPatch, store: ArtifactStore, display: Display
) -> None:
    made: list[int] = []
    clock = [0.0]

    def work() -> None:
        clock[0] += seconds[min(len(made), 1)]
        made.append(1)

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("time.process_time", lambda: clock[0])
    assert median_seconds(work, Workplace(store, display)) == pytest.approx(seconds[0 if calls == 1 else 1])
    assert len(made) == calls


@pytest.mark.parametrize(("device", "seconds"), [("cpu", 0.1), ("meta", 0.4)])
def test_on_a_cpu_the_time_that_other_processes_take_does_not_count(
    device: str, seconds: float, monkeypatch: pytest.MonkeyPatch, store: ArtifactStore, display: Display
) -> None:
    elapsed, own = 0.0, 0.0

    def work() -> None:
        nonlocal elapsed, own
        elapsed, own = elapsed + 0.4, own + 0.1

    monkeypatch.setattr("time.perf_counter", lambda: elapsed)
    monkeypatch.setattr("time.process_time", lambda: own)
    monkeypatch.setattr("srkd_bench.experiments.analysis.timing.wait", lambda device: None)
    place = Workplace(store, display, torch.device(device))
    assert median_seconds(work, place) == pytest.approx(seconds)
