"""Table: rows and footnotes that every format renders."""

from dataclasses import dataclass, field
from typing import Literal

from srkd_bench.config.metrics import METRICS
from srkd_bench.data.catalog import DATASETS
from srkd_bench.evaluation.controls import control_label, is_control
from srkd_bench.evaluation.results import Results

Highlight = Literal["printed", "significant"]
MISSING = "–"
UNRANKED = ("bicubic", "teacher")
LABELS = {
    "none": "w/o KD",
    "augkd": "AugKD",
    "crosskd": "CrossKD",
    "fitnet": "FitNet",
    "mipkd": "MiPKD",
    "teacher": "Teacher",
    "bicubic": "Bicubic",
    "set5": "Set5",
    "set14": "Set14",
    "bsd100": "BSD100",
    "urban100": "Urban100",
}


@dataclass(frozen=True)
class Cell:
    """What is printed in one place.

    Args:
        value: a name, or a number as printed.
        rank: 1 for the best, 2 for the second, 0 for others.
        spread: the number's standard deviation as printed, or empty.
        reference: whether it names a row of published numbers.
    """

    value: str
    rank: int = 0
    spread: str = ""
    reference: bool = False

    @property
    def text(self) -> str:
        """All of it on one line."""
        return f"{self.value} ± {self.spread}" if self.spread else self.value


@dataclass(frozen=True)
class Table:
    """One table in words and ranks; all texts are one printable line, not escaped for any format.

    Args:
        header: C texts; the first stands above the rows' names and is empty.
        rows: C cells each; the first is the row's name.
        highlight: what ranks are based on.
        upright: rows and columns are not exchanged on a narrow terminal.
    """

    title: str
    header: list[str]
    rows: list[list[Cell]]
    footnotes: list[str] = field(default_factory=list)
    highlight: Highlight = "printed"
    upright: bool = False

    @property
    def legend(self) -> tuple[str, str]:
        """What the marks of the best and of the second mean."""
        if self.highlight == "printed":
            return "best of a row", "second best"
        return (
            "best of a row, and all that are not significantly worse",
            "best of the others, likewise",
        )

    @property
    def highlighted(self) -> bool:
        """Whether there is any highlighting to explain."""
        return any(cell.rank for row in self.rows for cell in row)


def title(results: Results, metric: str, more: str = "") -> str:
    """Return a table's title: the suite, the metric and its unit."""
    name, unit = METRICS[metric].label, METRICS[metric].unit
    return one_line(f"{results.suite}: {name}{f' in {unit}' if unit else ''}{f', {more}' if more else ''}")


def model_labels(results: Results) -> dict[str, str]:
    """Return each column's label; methods are upper-cased, names given by strangers stay as they are."""
    foreign = {score.model for score in results.scores if score.method is None}
    return {model: label(model) if model in foreign else label(capitals(model)) for model in results.columns}


def capitals(model: str) -> str:
    """Return a method's name in capitals; a name that has a label of its own stays as it is."""
    return model if model in LABELS or is_control(model) else model.upper()


def label(name: str) -> str:
    """Return a data set's or model's name as it is printed, on one line; never empty."""
    if is_control(name):
        return control_label(name)
    known, at, copy = name.partition("@")
    is_copy = name not in LABELS and known in DATASETS
    shown = f"{LABELS.get(known, known)}{at}{copy}" if is_copy else LABELS.get(name, name)
    return one_line(shown) or "(no name)"


def one_line(text: str) -> str:
    """Return the text with a space for whatever would break a line or steer a terminal.

    A text of which nothing would be seen is shown by its characters' codes.
    """
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if line.strip() else "".join(f"\\u{ord(character):04x}" for character in text)
