import time
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import QUIET_SECONDS, RECENT, Display, last_values


def test_lines_tell_the_speed_of_late_and_not_that_of_a_pause_long_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    text = StringIO()
    line = Display(Console(file=text)).lines("training", first=100)
    line(101, 1000)
    assert not text.getvalue()  # too early
    now = 1000.0
    line(200, 1000)
    for _ in range(RECENT):
        now += QUIET_SECONDS
        line(200 + round((now - 1000) * 2), 1000)
    first, *_, last = text.getvalue().splitlines()
    assert first == "training: 200/1,000, 0.1/s, 2 h 13 min left"
    assert last == "training: 440/1,000, 2.0/s, 5 min left"


@dataclass
class Trained:
    last: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None


def test_the_last_losses_and_the_validation_remain() -> None:
    learners = {
        "none": Trained({"terms": {"rec": 0.5}}),
        "rkd+hkd": Trained({"terms": {"rec": 0.25, "hkd": 0.125}, "validation": 31.5}),
        "failed": Trained({"terms": {"rec": 9.0}}, SrkdError("it diverged")),
    }
    assert last_values(learners) == [
        "  none     loss: rec 5.00e-01",
        "  rkd+hkd  loss: rec 2.50e-01, hkd 1.25e-01; validation 31.500 dB",
    ]
