"""Progress on standard error: a live display on terminals and in notebooks, plain lines elsewhere."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from srkd_bench.core.units import clock

QUIET_SECONDS = 15.0
RECENT = 8  # lines over which speed is averaged, since the load of the machine varies
SHOWN_LOSSES = 20  # in a line


class Watched(Protocol):
    """The attributes of a learner that the training display reads."""

    @property
    def last(self) -> dict[str, Any]:
        """The last step's events: loss `terms` by name, and the gradient `share`."""
        ...

    @property
    def error(self) -> Exception | None:
        """The error that stopped its training early."""
        ...


def is_live(console: Console) -> bool:
    """Return whether a live display works: on a terminal, or in a notebook where ipywidgets is installed."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


class Display:
    """Progress of a long command.

    Args:
        console: for stderr; `is_live` decides between a live display and plain lines.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def bar(
        self, title: str, unit: str = "", *, bytes: bool = False
    ) -> Iterator[Callable[[int, int | None], None]]:
        """Show a progress bar; yield its update function: (done, total) in items or bytes, None if unknown.

        Args:
            unit: names the items.
        """
        if not is_live(self.console):
            yield self.lines(title, unit=unit)
            return
        with bars(self.console, "MB" if bytes else unit or "items") as progress:
            task = progress.add_task(title, total=None)
            factor = 1e6 if bytes else 1
            yield lambda done, total: progress.update(
                task, completed=round(done / factor, 1), total=total and round(total / factor, 1)
            )

    @contextmanager
    def training(
        self, title: str, first: int, steps: int
    ) -> Iterator[Callable[[int, Mapping[str, Watched]], None]]:
        """Show a training from step `first` on; yield its update function: (step, learners by name)."""
        if not is_live(self.console):
            line = self.lines(title, first)
            yield lambda step, learners: line(step, steps, terms(learners))
            return
        progress = bars(self.console, "steps")
        task = progress.add_task(title, total=steps, completed=first)
        with Live(progress, console=self.console, refresh_per_second=4, transient=True) as live:
            shown = 0.0

            def move(step: int, learners: Mapping[str, Watched]) -> None:
                nonlocal shown
                progress.update(task, completed=step)
                if time.monotonic() - shown > 1:
                    shown = time.monotonic()
                    live.update(Group(progress, _table(learners)))

            yield move

    def lines(self, title: str, first: int = 0, unit: str = "") -> Callable[..., None]:
        """Return a function that prints a line every 15 s, with speed and time left."""
        shown = deque([(time.monotonic(), first)], RECENT)

        def move(done: int, total: int | None, more: str = "") -> None:
            now = time.monotonic()
            if now - shown[-1][0] < QUIET_SECONDS:
                return
            begun, before = shown[0]
            shown.append((now, done))
            speed = (done - before) / (now - begun)
            left = f", {clock((total - done) / speed)} left" if total and speed else ""
            of = (f" of {total:,} {unit}" if unit else f"/{total:,}") if total else ""
            self.say(f"{title}: {done:,}{of}, {speed:,.1f}/s{left}{more}")

        return move


class _Speed(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f} {self.unit}/s" if task.speed else "", style="dim")


def bars(console: Console, unit: str) -> Progress:
    """Return a live display of progress bars; `unit` names the items they count."""
    done = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(unit)
    times = TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
    return Progress(*done, *times, console=console, transient=True)


def _table(learners: Mapping[str, Watched]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for header in ("", "loss terms", "gradient share"):
        table.add_column(header)
    for name, learner in learners.items():
        if learner.error is not None:
            table.add_row(name, Text(str(learner.error), style="red"), "")
        elif learner.last:
            terms = "  ".join(f"{term} {value:.2e}" for term, value in learner.last["terms"].items())
            table.add_row(name, terms, f"{learner.last['share']:.2g}" if learner.last["share"] else "")
    return table


def last_values(learners: Mapping[str, Watched]) -> list[str]:
    """Return lines with the last losses and validation PSNR of a training, which remain on screen."""
    lines = []
    width = max(map(len, learners), default=0)
    for name, learner in learners.items():
        if learner.error is not None or not learner.last:
            continue
        losses = learner.last["terms"]
        text = ", ".join(f"{term} {value:.2e}" for term, value in losses.items())
        psnr = learner.last.get("validation")
        lines.append(f"  {name:<{width}}  loss: {text}" + (f"; validation {psnr:.3f} dB" if psnr else ""))
    more = len(lines) - SHOWN_LOSSES
    return [*lines[:SHOWN_LOSSES], *([f"  and {more} more"] if more > 0 else [])]


def terms(learners: Mapping[str, Watched]) -> str:
    """Return the learners' total losses for the end of a line."""
    sums = [f"{name} {sum(one.last['terms'].values()):.2e}" for name, one in learners.items() if one.last]
    more = ", …" if len(sums) > SHOWN_LOSSES else ""
    return "; loss " + ", ".join(sums[:SHOWN_LOSSES]) + more if sums else ""
