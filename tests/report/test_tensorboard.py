from pathlib import Path

import pytest

from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.results import Training
from srkd_bench.report import tensorboard

EVENTS = [
    {"step": 0, "learning_rate": 0.1, "terms": {"rec": 0.5, "hkd": 0.25}, "share": 1.5},
    {"step": 9, "learning_rate": 0.1, "terms": {"rec": 0.25, "hkd": 0.125}, "share": 1.0, "validation": 31.5},
]


def test_events_are_written_as_scalars_and_replaced(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is an extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        tensorboard.write([Training("hkd", 3, EVENTS, {})], tmp_path)
    read = EventAccumulator(str(tmp_path / "hkd seed 3"))
    read.Reload()
    assert [(one.step, one.value) for one in read.Scalars("loss/hkd")] == [(0, 0.25), (9, 0.125)]
    assert [(one.step, one.value) for one in read.Scalars("validation")] == [(9, 31.5)]
    assert len(list((tmp_path / "hkd seed 3").iterdir())) == 1


def test_without_tensorboard_the_hint_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(SrkdError, match="needs TensorBoard") as caught:
        tensorboard.check()
    assert "'.[tensorboard]'" in caught.value.hint
