"""Show the progress of several worker processes in one display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from rich.console import Console
from rich.progress import TaskID

from srkd_bench.core.progress import Display, Watched, bars, is_live, terms

SEND_SECONDS = 0.25


@dataclass(frozen=True)
class News:
    """A message of a worker: a line, or the progress of a task.

    Args:
        text: the line, or the title of the task.
        done, total: progress; None for a line; total is None if unknown.
        more: the losses.
        unit: names the items that are counted; or empty.
    """

    text: str
    done: int | None = None
    total: int | None = None
    more: str = ""
    unit: str = ""


class Relay(Display):
    """A worker's display, which sends its progress to the main process, four times a second at most.

    Args:
        title: shown for trainings.
    """

    def __init__(self, send: Callable[[News], None], title: str) -> None:
        super().__init__(Console(stderr=True))
        self._send, self._title, self._sent = send, title, 0.0

    def say(self, text: str) -> None:
        """Send a line."""
        self._send(News(text))

    @contextmanager
    def bar(
        self, title: str, unit: str = "", *, bytes: bool = False
    ) -> Iterator[Callable[[int, int | None], None]]:
        """Yield a function that sends the progress of a task."""
        yield lambda done, total: self._now_and_then(lambda: News(title, done, total, unit=unit))

    @contextmanager
    def training(
        self, title: str, first: int, steps: int
    ) -> Iterator[Callable[[int, Mapping[str, Watched]], None]]:
        """Yield a function that sends the progress of a training."""
        yield lambda step, learners: self._now_and_then(
            lambda: News(self._title, step, steps, terms(learners))
        )

    def _now_and_then(self, news: Callable[[], News]) -> None:
        if time.monotonic() - self._sent >= SEND_SECONDS:
            self._sent = time.monotonic()
            self._send(news())


class Board:
    """Show the messages of workers: a live row for each, or a line every 15 s without a live display."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._bars = bars(display.console, "") if is_live(display.console) else None
        self._titles: dict[str, str] = {}
        self._rows: dict[str, TaskID] = {}
        self._lines: dict[str, Callable[..., None]] = {}

    def shown(self) -> AbstractContextManager[object]:
        """Show the rows during the block."""
        return self._bars or nullcontext()

    def see(self, worker: str, news: News) -> None:
        """Show a message of a worker."""
        if news.done is None:
            self._display.say(news.text)
            return
        if self._titles.get(worker) != news.text:
            self.clear(worker)
            self._titles[worker] = news.text
            title = f"{worker}: {news.text}"
            if self._bars is None:
                self._lines[worker] = self._display.lines(title, news.done, news.unit)
            else:
                self._rows[worker] = self._bars.add_task(title, total=news.total)
        if self._bars is None:
            self._lines[worker](news.done, news.total, news.more)
        else:
            self._bars.update(self._rows[worker], completed=news.done, total=news.total)

    def clear(self, worker: str) -> None:
        """Remove the row of a worker."""
        self._titles.pop(worker, None)
        self._lines.pop(worker, None)
        if self._bars is not None and worker in self._rows:
            self._bars.remove_task(self._rows.pop(worker))
