"""Table: what every renderer is given; made from results by `comparison` and `costs`."""

import math
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Literal

from srkd_bench.errors import SrkdError, unknown
from srkd_bench.metrics import METRICS, PROTOCOLS
from srkd_bench.report import study
from srkd_bench.report.ranks import Ranks, by_difference, by_print
from srkd_bench.report.results import Results
from srkd_bench.scores import EQUAL_COST, Score
from srkd_bench.stats import LEAST_SEEDS

Highlight = Literal["printed", "significant"]

MISSING = "–"
UNRANKED = ("bicubic", "teacher")
LABELS = {
    "none": "w/o KD",
    EQUAL_COST: "w/o KD at equal cost",
    "augkd": "AugKD",
    "crosskd": "CrossKD",
    "fitnet": "FitNet",
    "teacher": "Teacher",
    "bicubic": "Bicubic",
    "set5": "Set5",
    "set14": "Set14",
    "bsd100": "BSD100",
    "urban100": "Urban100",
}


@dataclass(frozen=True)
class Cell:
    """What is printed in one place: `rank` is 1 for the best, 2 for the second, 0 for others."""

    text: str
    rank: int = 0
    beats: bool = False


@dataclass(frozen=True)
class Table:
    """One table in words and ranks; all texts are one printable line, not escaped for any format.

    Args:
        header: C texts; the first stands above the rows' names and is empty.
        rows: C cells each; the first is the row's name.
        protocol: of the scores; empty where none are shown.
        highlight: what ranks go by.
        baseline: label of the model that others may beat.
    """

    title: str
    header: list[str]
    rows: list[list[Cell]]
    footnotes: list[str] = field(default_factory=list)
    protocol: str = ""
    highlight: Highlight = "printed"
    baseline: str = "w/o KD"

    @property
    def legend(self) -> tuple[str, str, str]:
        """What the best's, the second's and the mark of those that beat the baseline mean, in words."""
        if self.highlight == "printed":
            return "best of a data set", "second", f"above {self.baseline}"
        return (
            "the best of a data set and all not shown to be worse",
            "the best of the others, likewise",
            f"shown to be better than {self.baseline}",
        )

    @property
    def highlighted(self) -> bool:
        """Whether there is any highlighting to explain."""
        return any(cell.rank or cell.beats for row in self.rows for cell in row)


@dataclass(frozen=True)
class _Measured:
    """One model on one data set; `std` is nan below two seeds, `images` has a set for each run."""

    mean: float
    std: float
    seeds: int
    images: list[frozenset[str]]

    def text(self, decimals: int) -> str:
        spread = "" if math.isnan(self.std) else f" ± {self.std:.{decimals}f}"
        return f"{self.mean:.{decimals}f}{spread}"

    def covers(self, images: frozenset[str]) -> bool:
        return all(own == images for own in self.images)

    def flaws(self, model: str, dataset: str, images: frozenset[str], seeds: int) -> list[str]:
        """Return in words what is less than the row's images and the report's seeds."""
        flaws = []
        if not self.covers(images):
            shared = images.intersection(*self.images)
            flaws.append(f"{model} on {dataset}: {len(shared)} of {len(images)} images, not ranked")
        if 0 < self.seeds < seeds:
            flaws.append(f"{model}: {self.seeds} of {seeds} seeds")
        return flaws


def comparison(
    results: Results, metric: str, *, reference: bool = False, highlight: Highlight = "printed"
) -> Table:
    """Return the table of one metric: a row a data set, a column a model.

    A cell is the mean over seeds of the mean over images, with the sample standard deviation over seeds where there
    are two or more. Ranks go by printed value, so equal prints share one, or by what the seeds show. A mean over
    other images than the row's largest set is shown but not ranked.

    Args:
        metric: a key of `METRICS`.
        reference: put the study's row below each data set that it has; it has PSNR-Y only.
        highlight: `printed`: the two highest values, as the study does; `significant`: the best with all that are
            not shown to be worse, from six seeds on. The study's rows, one run each, are highlighted by print only.
    Raises:
        SrkdError: the metric is unknown, or its scores were measured by more than one protocol.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    decimals = METRICS[metric].decimals
    scores = [score for score in results.scores if score.metric == metric]
    protocol = _protocol(metric, scores)
    seeds = sorted({*results.seeds, *(score.seed for score in scores if score.seed is not None)})
    names = model_labels(results)
    measured = _measured(scores)
    reference = reference and metric == "psnr_y"

    rows: list[list[Cell]] = []
    marks: list[str] = []
    for dataset in results.datasets:
        row = {model: measured[dataset, model] for model in results.columns if (dataset, model) in measured}
        images = max(
            (images for cell in row.values() for images in cell.images), key=len, default=frozenset()
        )
        flaws = {
            model: cell.flaws(names[model], label(dataset), images, len(seeds)) for model, cell in row.items()
        }
        texts = {model: cell.text(decimals) + "*" * bool(flaws[model]) for model, cell in row.items()}
        values = {model: cell.mean for model, cell in row.items() if cell.covers(images)}
        marks += [f"* {flaw}" for model in row for flaw in flaws[model]]
        competing = {model: value for model, value in values.items() if model not in UNRANKED}
        if highlight == "significant":
            ranks = by_difference(results, metric, dataset, competing)
        else:
            ranks = by_print(competing, decimals, results.baseline)
        marks += [f"{label(dataset)}: {ranks.note}"] if ranks.note else []
        rows.append(_row(label(dataset), results.columns, texts, ranks))
        if reference and dataset in study.PSNR_Y_X2:
            values = dict(zip(study.COLUMNS, study.PSNR_Y_X2[dataset], strict=True))
            texts = {model: f"{value:.{decimals}f}" for model, value in values.items()}
            competing = {
                model: values[model] for model in results.columns if model in values and model not in UNRANKED
            }
            ranks = by_print(competing, decimals, results.baseline) if highlight == "printed" else Ranks()
            rows.append(_row(f"{label(dataset)} (study)", results.columns, texts, ranks))

    footnotes = [
        *dict.fromkeys(marks),
        f"Protocol {protocol}: {PROTOCOLS.get(protocol, 'rules of another version')}",
        _seeds_in_words(seeds),
        f"Budget: {results.budget}" if results.budget else "",
        f"(study): {study.SOURCE}, x2, one run each" if reference else "",
        *results.notes,
    ]
    return Table(
        title=title(results, metric),
        header=["", *names.values()],
        rows=rows,
        footnotes=[one_line(note) for note in footnotes if note],
        protocol=protocol,
        highlight=highlight,
        baseline=names.get(results.baseline, label(results.baseline)),
    )


def costs(results: Results) -> Table:
    """Return what the networks cost, and how many times smaller than the teacher each student is."""
    teacher = next((network for network in results.networks if network.role == "teacher"), None)
    rows = []
    for network in results.networks:
        smaller = f"{teacher.parameters / network.parameters:.1f}x" if teacher else MISSING
        rows.append(
            [
                Cell(one_line(f"{network.role.capitalize()}: {network.description}")),
                Cell(f"{network.parameters:,}"),
                Cell(f"{network.multiply_adds / 1e9:,.1f} G"),
                Cell(smaller if network.role == "student" else MISSING),
            ]
        )
    return Table(
        title=one_line(f"{results.suite}: networks"),
        header=["", "Parameters", "Multiply-adds", "Compression"],
        rows=rows,
        footnotes=["Multiply-adds are for one SR image of 1280x720 pixels"],
    )


def _protocol(metric: str, scores: list[Score]) -> str:
    """Return the one protocol of these scores."""
    protocols = sorted({score.protocol for score in scores}) or [METRICS[metric].protocol]
    if len(protocols) > 1:
        raise SrkdError(
            f"{metric} was measured by {' and by '.join(protocols)}; they can't share a table",
            "measure all models by the same protocol",
        )
    return protocols[0]


def _measured(scores: list[Score]) -> dict[tuple[str, str], _Measured]:
    """Return what was measured by (dataset, model)."""
    runs: dict[tuple[str, str], dict[tuple[str, int | None], dict[str, float]]] = {}
    for score in scores:
        own = runs.setdefault((score.dataset, score.model), {})
        own.setdefault((score.run, score.seed), {})[score.image] = score.value
    measured = {}
    for key, own in runs.items():
        means = [fmean(images.values()) for images in own.values()]
        measured[key] = _Measured(
            mean=fmean(means),
            std=stdev(means) if len(means) > 1 and all(map(math.isfinite, means)) else math.nan,
            seeds=len({seed for _, seed in own if seed is not None}),
            images=[frozenset(images) for images in own.values()],
        )
    return measured


def _row(name: str, columns: list[str], texts: dict[str, str], ranks: Ranks) -> list[Cell]:
    cells = [
        Cell(texts.get(model, MISSING), ranks.places.get(model, 0), model in ranks.beats) for model in columns
    ]
    return [Cell(name), *cells]


def _seeds_in_words(seeds: list[int]) -> str:
    if not seeds:
        return ""
    if len(seeds) == 1:
        return (
            f"Seed {seeds[0]} only: one seed cannot show differences of a few hundredths of a dB"
            f" (underpowered; {LEAST_SEEDS} are needed)"
        )
    return f"Mean ± sample standard deviation over seeds {', '.join(map(str, seeds))}"


def title(results: Results, metric: str, more: str = "") -> str:
    """Return a table's title: the suite, the metric and its unit."""
    name, unit = METRICS[metric].label, METRICS[metric].unit
    return one_line(f"{results.suite}: {name}{f' in {unit}' if unit else ''}{f', {more}' if more else ''}")


def model_labels(results: Results) -> dict[str, str]:
    """Return each column's label; methods are upper-cased, names given by strangers stay as they are."""
    foreign = {score.model for score in results.scores if score.method is None}
    return {
        model: label(model if model in foreign or model in LABELS else model.upper())
        for model in results.columns
    }


def label(name: str) -> str:
    """Return a data set's or model's name as it is printed, on one line."""
    return one_line(LABELS.get(name, name))


def one_line(text: str) -> str:
    """Return the text with a space for whatever would break a line or steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
