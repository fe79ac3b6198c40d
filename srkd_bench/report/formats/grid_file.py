"""Write and read the scores of a grid as CSV.

To the columns of a score file are added `cell`, a column `axis:KEY` for each axis of the grid with the label of the
cell's value, `factor:KEY` for axes whose number is not their label, such as a network's parameters, and
`multiply_adds` of the training. Nothing else is needed to report the grid.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import STEPS, CellResults
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score, columns
from srkd_bench.report.formats.score_file import CELL, NUMBER, Line, lines, read_text, table

AXIS, FACTOR, COST = "axis:", "factor:", "multiply_adds"


def to_csv(cells: Sequence[CellResults]) -> str:
    """Return a line a score of every cell, in order of the cells."""
    names = columns(score for cell in cells for score in cell.results.scores)
    axes = list(dict.fromkeys(key for cell in cells for key in cell.axes))
    factors = [key for key in axes if any(_needs_number(cell, key) for cell in cells)]
    header = [*names, CELL, *(AXIS + key for key in axes), *(FACTOR + key for key in factors), COST]
    return table(
        header,
        (
            [
                *(getattr(score, name) for name in names),
                cell.name,
                *(cell.axes.get(key, "") for key in axes),
                *(_digits(cell.factors.get(key)) for key in factors),
                _digits(cell.costs.get(score.model)),
            ]
            for cell in cells
            for score in cell.results.scores
        ),
    )


def is_grid(path: Path) -> bool:
    """Return whether a score file has a column of cells.

    Raises:
        MissingError: there is no such file.
        SrkdError: it cannot be read.
    """
    head = read_text(path).lstrip("\ufeff").partition("\n")[0]
    return CELL in (word.strip(' "\r').lower() for word in re.split("[,;\t]", head))


def read_grid(path: Path) -> list[CellResults]:
    """Return the cells of a file that `to_csv` wrote; their results contain what the file states.

    Raises:
        MissingError: there is no such file.
        SrkdError: it cannot be read, has no cells, or the lines of a cell disagree about its values.
    """
    found: dict[str, list[Line]] = {}
    for line in lines(read_text(path), path.name):
        found.setdefault(line.more.get(CELL, ""), []).append(line)
    if not found or "" in found:
        problem = f"{path.name} has no cells: it is not the score file of a grid"
        raise SrkdError(problem, "`srkd report SUITE -o grid.csv.gz` writes one for a suite with a grid")
    cells = [_cell(name, own, path.name) for name, own in found.items()]
    _refuse_twins(cells, path.name)
    return cells


def _cell(name: str, own: Sequence[Line], file: str) -> CellResults:
    """Return a cell from its lines."""
    first = own[0].more
    named = {column: text for column, text in first.items() if column.startswith((AXIS, FACTOR))}
    for line in own:
        for column, text in named.items():
            if line.more[column] != text:
                raise _refused(
                    line, file, f"{column} is {line.more[column]!r}, and {text!r} before in {name}"
                )
    axes = {column.removeprefix(AXIS): text for column, text in named.items() if column.startswith(AXIS)}
    texts = {key: first.get(FACTOR + key) or label for key, label in axes.items()}
    factors = {key: number for key, text in texts.items() if (number := _number(text)) is not None}
    for key in axes:
        if first.get(FACTOR + key) and key not in factors:
            raise _refused(own[0], file, f"{FACTOR}{key} is not a number")
    costs = {
        line.score.model: number for line in own if (number := _number(line.more.get(COST, "")) or 0) > 0
    }
    scores = [line.score for line in own]
    return CellResults(name, axes, factors, _results(scores, factors.get(STEPS), costs), costs)


def _results(scores: list[Score], steps: float | None, costs: Mapping[str, float]) -> Results:
    """Return results from scores; a control is trained for as many more steps as it costs more."""
    models, datasets, metrics = (
        list(dict.fromkeys(getattr(one, name) for one in scores)) for name in ("model", "dataset", "metric")
    )
    students = {one.model for one in scores if one.seed is not None}
    shares = {model: costs[model] / costs["none"] for model in costs if "none" in costs}
    lengths = {
        model: shares.get(model) if is_control(model) else 1.0 for model in models if model in students
    }
    return Results(
        suite=scores[0].suite.partition("@")[0],
        columns=models,
        datasets=datasets,
        metrics=metrics,
        scores=scores,
        seeds=sorted({one.seed for one in scores if one.seed is not None}),
        teachers=sorted({one.teacher_seed for one in scores if one.teacher_seed is not None}),
        steps={model: round(steps * share) for model, share in lengths.items() if steps and share},
        step_costs={model: 1.0 if is_control(model) else share for model, share in shares.items()},
    )


def _refuse_twins(cells: Sequence[CellResults], file: str) -> None:
    """Refuse two cells with the same values."""
    seen: dict[tuple[str, ...], str] = {}
    for cell in cells:
        if (other := seen.setdefault(tuple(cell.axes.values()), cell.name)) != cell.name:
            raise SrkdError(
                f"cells {other} and {cell.name} of {file} have the same values", "keep one of them"
            )


def _refused(line: Line, file: str, problem: str) -> SrkdError:
    return SrkdError(f"line {line.number} of {file} does not fit its cell: {problem}", "write the file again")


def _needs_number(cell: CellResults, key: str) -> bool:
    return key in cell.factors and _number(cell.axes.get(key, "")) != cell.factors[key]


def _number(text: str) -> float | None:
    """Return a finite number, or None."""
    value = float(text) if NUMBER.fullmatch(text.strip()) else math.inf
    return value if math.isfinite(value) else None


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"
