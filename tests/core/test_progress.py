import sys
import time
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from io import StringIO
from types import ModuleType, TracebackType
from typing import Any

import pytest
from rich.console import Console

from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import QUIET_SECONDS, RECENT, Display, is_live, last_values
from srkd_bench.core.worker_progress import Board, News


def test_progress_lines_show_the_recent_speed(
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


def test_progress_lines_name_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    text = StringIO()
    display = Display(Console(file=text))
    board = Board(display)
    with display.bar("Computing teacher labels", "images") as tick:
        board.see("worker 1", News("Computing teacher labels", 0, 399, unit="images"))
        now = 30.0
        tick(120, 399)
        board.see("worker 1", News("Computing teacher labels", 120, 399, unit="images"))
    line = "Computing teacher labels: 120 of 399 images, 4.0/s, 70 s left"
    assert text.getvalue().splitlines() == [line, f"worker 1: {line}"]


class Output:
    """A fake of ipywidgets' output area: inside its context, it collects what IPython displays."""

    made: list["Output"]
    entered: "Output | None" = None

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_open = True
        self.made.append(self)

    def __enter__(self) -> None:
        Output.entered = self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        Output.entered = None

    def clear_output(self, wait: bool) -> None:
        assert wait

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[Output]:
    """Simulate a notebook with ipywidgets; return the created output areas."""
    Output.made = []

    def display(shown: Any) -> None:
        if Output.entered is not None and not isinstance(shown, Output):
            Output.entered.texts.append(shown.text)

    contents: dict[str, dict[str, Any]] = {
        "IPython": {},
        "IPython.display": {"display": display},
        "ipywidgets": {"Output": Output},
    }
    for name, content in contents.items():
        module = ModuleType(name)
        module.__dict__.update(content | {"__spec__": ModuleSpec(name, None)})
        monkeypatch.setitem(sys.modules, name, module)
    return Output.made


def wait_for(outputs: list[Output], *words: str) -> None:
    """Wait until the last output area shows all words; rich draws it in a thread."""
    end = time.monotonic() + 30
    while not outputs or not all(word in "".join(outputs[-1].texts) for word in words):
        assert time.monotonic() < end, words
        time.sleep(0.02)


def test_a_notebook_shows_live_bars_that_disappear_at_the_end(outputs: list[Output]) -> None:
    display = Display(Console(force_jupyter=True))
    assert is_live(display.console)
    with display.bar("measuring") as tick:
        tick(3, 4)
        wait_for(outputs, "measuring", "3/4")
    with display.training("training", 0, 20) as move:
        move(7, {})
        wait_for(outputs, "training", "7/20")
    board = Board(display)
    with board.shown():
        board.see("process 1", News("student", 5, 9))
        wait_for(outputs, "process 1: student", "5/9")
    assert [output.is_open for output in outputs] == [False] * 3


@pytest.mark.filterwarnings("error")  # rich warns where it cannot redraw
def test_a_notebook_without_ipywidgets_gets_lines(
    outputs: list[Output], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ipywidgets")
    monkeypatch.setattr("srkd_bench.core.progress.find_spec", lambda name: None)
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    display = Display(Console(force_jupyter=True, record=True))
    assert not is_live(display.console)
    with display.bar("measuring") as tick:
        now = QUIET_SECONDS
        tick(30, 60)
    assert not outputs
    assert display.console.export_text() == "measuring: 30/60, 2.0/s, 15 s left\n"


@dataclass
class Trained:
    last: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None


def test_the_last_losses_and_the_validation_remain_visible() -> None:
    learners = {
        "none": Trained({"terms": {"rec": 0.5}}),
        "rkd+hkd": Trained({"terms": {"rec": 0.25, "hkd": 0.125}, "validation": 31.5}),
        "failed": Trained({"terms": {"rec": 9.0}}, SrkdError("it diverged")),
    }
    assert last_values(learners) == [
        "  none     loss: rec 5.00e-01",
        "  rkd+hkd  loss: rec 2.50e-01, hkd 1.25e-01; validation 31.500 dB",
    ]
