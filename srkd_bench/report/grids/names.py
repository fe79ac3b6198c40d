"""What reports call the axes and cells of a grid."""

from collections.abc import Iterable, Sequence

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.grids.cells import CellResults, varied
from srkd_bench.evaluation.grids.regression import Term
from srkd_bench.report.tables.table import label, model_labels, one_line

CENTRE = "mean at the centre"
PHRASES = {
    "train.steps": "{} steps",
    "data.images": "{} images",
    "student": "student {}",
    "teacher": "teacher {}",
}
AXES = {
    "train.steps": "steps",
    "data.images": "images",
    "student": "parameters",
    "teacher": "teacher parameters",
}
"""What the number of an axis is called."""


def axis_name(key: str) -> str:
    """Return what a factor is called: `steps`, or `teacher: edsr_x2.pt` for a label of an axis without numbers."""
    axis, equals, text = key.partition("=")
    return one_line(f"{axis}: {text}" if equals else AXES.get(axis, axis))


def axis_title(key: str) -> str:
    """Return what an axis is called, whose labels may be names."""
    return one_line({"train.steps": "steps", "data.images": "images"}.get(key, key))


def value(key: str, text: str) -> str:
    """Return a label of an axis as printed; whole numbers have separators."""
    if (key, text) == ("data.images", "null"):
        return "all"
    return f"{int(text):,}" if text.isascii() and text.isdigit() and len(text) < 16 else one_line(text)


def phrase(key: str, *texts: str) -> str:
    """Return a value of an axis in words, or one and the next: `2,500 steps`, `2,500 to 10,000 steps`."""
    values = " to ".join(value(key, text) for text in texts)
    return PHRASES[key].format(values) if key in PHRASES else f"{one_line(key)} {values}"


def rounded(number: float) -> str:
    """Return a number with three digits at least: `49,603`, `0.0015`."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def cell_name(cell: CellResults, keys: Iterable[str]) -> str:
    """Return the values of a cell on some axes in words: `student 8x4, 2,500 steps`."""
    return ", ".join(phrase(key, cell.axes[key]) for key in keys)


def cell_names(cells: Sequence[CellResults]) -> dict[str, str]:
    """Return what each cell is called, by its name: its values on the axes that vary, or its name without any."""
    keys = varied(cells)
    return {cell.name: cell_name(cell, keys) or one_line(cell.name) for cell in cells}


def term_name(term: Term) -> str:
    """Return what an effect is called: `steps × parameters`."""
    return " × ".join(map(axis_name, term)) or CENTRE


def labels_of(cells: Sequence[CellResults]) -> dict[str, str]:
    """Return the label of each column of the cells' results."""
    return {model: name for cell in cells for model, name in model_labels(cell.results).items()}


def baseline_of(cells: Sequence[CellResults]) -> str:
    """Return the label of the baseline."""
    name = cells[0].results.baseline
    return labels_of(cells).get(name, label(name))


def title(name: str, metric: str, more: str) -> str:
    """Return a table's title: the grid, the metric and its unit."""
    known = METRICS[metric]
    return one_line(f"{name}: {known.label}{f' in {known.unit}' if known.unit else ''}, {more}")
