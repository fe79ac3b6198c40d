"""Measurements of a plan's networks."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.evaluation import scoring
from srkd_bench.evaluation.scoring import Image, Upscaler
from srkd_bench.experiments.executors import serial
from srkd_bench.experiments.planning import planner, status
from srkd_bench.experiments.planning.tasks import tasks
from srkd_bench.experiments.runs import score
from srkd_bench.experiments.runs.preflight import prepare
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.support.tiny_suite import tiny_suite


@pytest.mark.parametrize("slots", [1, 2])
def test_no_image_is_measured_twice_even_if_the_evaluation_is_interrupted(
    slots: int, store: ArtifactStore, display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite(str(tiny_suite(tmp_path, data={"test": ["photos-test", "photos-valid"]})))
    store.begin()
    plan, place = planner.plan(suite, store, display), Workplace(store, display)
    counts = Counter[tuple[str, str]]()
    finished, original = scoring.score, scoring.network
    measured = 0

    def counting(model: Any, **words: Any) -> Upscaler:
        upscale, weights = original(model, **words), str(model.state_dict())

        def counted(name: str, lr: Image) -> Image:
            counts[weights, name] += 1
            return upscale(name, lr)

        return counted

    def interrupted(*words: Any, **more: Any) -> Any:
        nonlocal measured
        measured += 1
        if measured == 5:
            raise KeyboardInterrupt
        return finished(*words, **more)

    monkeypatch.setattr(score, "network", counting)
    monkeypatch.setattr(score, "score", interrupted)
    todo = tasks(plan, store, slots)
    with pytest.raises(KeyboardInterrupt):
        _ = [serial.do(task, plan, place) for task in todo]
    assert counts
    assert [serial.do(task, plan, place) for task in todo] == [[]] * len(todo)
    assert status.finished(plan, store)
    images = sum(len(one) for one in prepare(plan, place)[1])
    assert len(counts) == 3 * images  # teacher, none, hkd
    assert set(counts.values()) == {1}
    assert measured == 4 * 2 + 1  # with bicubic, on two data sets; one was interrupted
