"""The comparison table: methods against the teacher and the control."""

import math
from dataclasses import dataclass
from statistics import fmean, stdev

from srkd_bench.core.errors import SrkdError, unknown
from srkd_bench.evaluation.metrics import METRICS, PROTOCOLS
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import Score
from srkd_bench.evaluation.statistics import LEAST_SEEDS
from srkd_bench.report import study
from srkd_bench.report.tables.ranks import Ranks, by_difference, by_print
from srkd_bench.report.tables.table import (
    MISSING,
    UNRANKED,
    Cell,
    Highlight,
    Table,
    label,
    model_labels,
    one_line,
    title,
)


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
