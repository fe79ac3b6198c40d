"""Check that every part of `python -m tests.scale` ends with a result or a failure."""

import argparse
import json
from pathlib import Path
from typing import Never

import pytest

from tests.scale import __main__ as scale
from tests.scale.ranks import seconds_a_step


def training(folder: Path, steps: int, seconds: float) -> Path:
    """Write what a training with an event at each step leaves: no event has `seconds_a_step`."""
    lines = [json.dumps({"step": step}) + "\n" for step in range(steps)]
    (folder / "events.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "card.json").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
    return folder


def test_a_training_whose_events_have_no_times_has_a_time_for_a_step(tmp_path: Path) -> None:
    assert seconds_a_step(training(tmp_path, 8, 12.0)) == 1.5


def test_the_least_time_of_events_is_preferred(tmp_path: Path) -> None:
    times = [{"step": 0}, {"step": 2, "seconds_a_step": 0.5}, {"step": 4, "seconds_a_step": 0.25}]
    run = training(tmp_path, 6, 12.0)
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in times), encoding="utf-8")
    assert seconds_a_step(run) == 0.25


def test_a_training_too_short_to_be_timed_is_a_clear_failure(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="8 steps were too short"):
        seconds_a_step(training(tmp_path, 8, 0.0))


def test_the_tests_of_all_parts_exist() -> None:
    files = [file for part in scale.TESTS.values() for file in part]
    assert [file for file in files if not (scale.ROOT / file).is_file()] == []


@pytest.mark.parametrize("error", [SystemExit("srkd ended with 1"), ValueError("an empty sequence")])
def test_a_part_that_ends_early_is_a_failure_and_the_others_are_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def breaks(asked: argparse.Namespace) -> Never:
        raise error

    monkeypatch.setattr(scale, "PARTS", {"ray": breaks, "store": lambda asked: True})
    monkeypatch.setattr("sys.argv", ["tests.scale"])
    with pytest.raises(SystemExit) as ended:
        scale.main()
    told = capsys.readouterr().out
    assert ended.value.code == 1
    assert str(error) in told
    assert told.endswith("ray: NOT AS IT SHOULD BE; store: as it should be\n")
