"""Learning curves: losses, gradient shares, validation PSNR."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from srkd_bench.evaluation.results import Results
from srkd_bench.report.figures.palette import INK, Look, palette
from srkd_bench.report.figures.series import methods, names_of, short
from srkd_bench.report.figures.style import (
    End,
    mark,
    name_at_right,
    panels,
    plain_numbers,
    steps_in_thousands,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Event = dict[str, Any]
Line = list[tuple[int, float]]  # (step, value)
WINDOW = 9  # events that a point is the mean of: each event is of one batch


@dataclass(frozen=True)
class _Panel:
    """Lines by (model, loss term); `noisy` ones are smoothed and drawn on a logarithmic axis."""

    title: str
    lines: dict[tuple[str, str], Line]
    noisy: bool = True
    level: float | None = None


def curves(results: Results) -> Figure | None:
    """Draw the students' losses, gradient share and validation over their steps; None without trainings.

    Lines are means over seeds, and moving means where a number is of one batch. Panels without lines are left out.
    """
    drawn = [panel for panel in _panels(results) if panel.lines]
    if not drawn:
        return None
    names, looks = names_of(results), palette(results.columns)
    with styled():
        figure, grid = panels(len(drawn), 1.75, columns=3 if len(drawn) == 3 else 2)
        for axes, panel in zip(grid, drawn, strict=True):
            axes.set_title(panel.title)
            axes.set_xlabel("step")
            _draw(axes, panel, looks)
        name_at_right(figure, [(a, _ends(panel, names, looks)) for a, panel in zip(grid, drawn, strict=True)])
    return figure


def _ends(panel: _Panel, names: dict[str, str], looks: dict[str, Look]) -> list[End]:
    models = [model for model, _ in panel.lines]
    return [
        End(*line[-1], names[model] + (f": {short(term)}" if models.count(model) > 1 else ""), looks[model])
        for (model, term), line in panel.lines.items()
    ]


def _panels(results: Results) -> list[_Panel]:
    runs: dict[str, list[list[Event]]] = defaultdict(list)
    for training in results.trainings:
        if training.model in methods(results):
            runs[training.model].append(training.events)
    logged = ((model, event) for model in methods(results) for events in runs[model] for event in events)
    keys = list(dict.fromkeys((model, term) for model, event in logged for term in event["terms"]))

    def of_terms(wanted: Callable[[str], bool]) -> dict[tuple[str, str], Line]:
        chosen = [key for key in keys if wanted(key[1])]
        lines = {(m, term): _mean(runs[m], _term(term)) for m, term in chosen}
        return {key: _smooth(line) for key, line in lines.items() if len(line) > 1}

    def of_models(name: str) -> dict[tuple[str, str], Line]:
        lines = {(model, ""): _mean(runs[model], lambda event: event.get(name)) for model in methods(results)}
        return {key: line for key, line in lines.items() if any(value for _, value in line)}

    share = {key: _smooth(line) for key, line in of_models("share").items()}
    return [
        _Panel("Loss against HR", of_terms(lambda term: term == "rec")),
        _Panel("Distillation terms, weighted", of_terms(lambda term: term != "rec")),
        _Panel("Gradient: distillation / HR loss", share, level=1),
        _Panel("Validation PSNR-Y (dB)", of_models("validation"), noisy=False),
    ]


def _term(name: str) -> Callable[[Event], float | None]:
    return lambda event: event["terms"].get(name)


def _mean(runs: list[list[Event]], read: Callable[[Event], float | None]) -> Line:
    """Return the mean over runs at the steps that all of them have a finite number for."""
    values: dict[int, list[float]] = defaultdict(list)
    for events in runs:
        for event in events:
            value = read(event)
            if value is not None and math.isfinite(value):
                values[event["step"]].append(value)
    return [(step, fmean(each)) for step, each in sorted(values.items()) if len(each) == len(runs)]


def _smooth(line: Line) -> Line:
    """Return the moving mean over the `WINDOW` values around each, at the ends over those that are there.

    The axis is logarithmic: what is not positive, as a term before its warm-up ends, is left out.
    """
    line = [(step, value) for step, value in line if value > 0]
    half = WINDOW // 2
    around = ((step, line[max(0, i - half) : i + half + 1]) for i, (step, _) in enumerate(line))
    return [(step, fmean(value for _, value in window)) for step, window in around]


def _draw(axes: Axes, panel: _Panel, looks: dict[str, Look]) -> None:
    for (model, _), line in panel.lines.items():
        steps, values = zip(*line, strict=True)
        axes.plot(steps, values, color=looks[model].colour)
    mark(axes, [looks[model].marker for model, _ in panel.lines])
    if panel.noisy:
        axes.set_yscale("log")
        plain_numbers(axes)
    else:  # the beginning is far below all that differs
        late = (value for line in panel.lines.values() for _, value in line[len(line) // 3 :])
        axes.set_ylim(bottom=min(late))
    if panel.level is not None:
        axes.axhline(panel.level, color=INK, lw=0.5)
    steps_in_thousands(axes)
