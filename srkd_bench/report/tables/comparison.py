"""The comparison table: means of all models on all data sets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from srkd_bench.config.metrics import METRICS, rules
from srkd_bench.core.errors import SrkdError, unknown
from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables import published
from srkd_bench.report.tables.differences import TOGETHER, where
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

Images = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class _Measured:
    """One model in one row; `std` is nan below two units.

    Args:
        fewer: in words, how many of the report's seeds and teachers it was measured with, if not all.
        images: (data set, image) of each unit.
    """

    mean: float
    std: float
    fewer: list[str]
    images: list[Images]

    def covers(self, images: Images) -> bool:
        return all(own == images for own in self.images)

    def flaws(self, model: str, dataset: str, images: Images) -> list[str]:
        """Return in words which of the row's images and the report's seeds are missing."""
        flaws = []
        if not self.covers(images):
            shared = images.intersection(*self.images)
            flaws.append(f"{model} on {dataset}: {len(shared)} of {len(images)} images, not ranked")
        return flaws + [f"{model}: {fewer}" for fewer in self.fewer]

    def cell(self, decimals: int, flaws: list[str]) -> Cell:
        """Return the numbers as printed, with a mark if there are flaws."""
        mark = "*" * bool(flaws)
        if math.isnan(self.std):
            return Cell(f"{self.mean:.{decimals}f}{mark}")
        return Cell(f"{self.mean:.{decimals}f}", spread=f"{self.std:.{decimals}f}{mark}")


def comparison(
    results: Results,
    metric: str,
    *,
    reference: bool = False,
    highlight: Highlight = "printed",
    general: bool = True,
) -> Table:
    """Return the table of one metric: a row for each data set, below one for all together; a column for each model.

    A cell is the mean over seeds of the mean over images, with the sample standard deviation over seeds from two
    on. On all data sets together, each has the same weight. Equal printed values share a rank. A mean over other
    images than the row's largest set is not ranked.

    Args:
        reference: put the published row below each data set that has one; only PSNR-Y is published.
        highlight: `printed`: the two highest values, as the study does; `significant`: the best with all that are
            not significantly worse. Published rows, one run each, are highlighted by printed value only.
        general: add the report's protocol, budget and notes to the footnotes.
    Raises:
        SrkdError: the metric is unknown, or its scores were measured by more than one protocol.
    """
    protocol, names = _protocol(results, metric), model_labels(results)
    measured = {score.seed for score in results.scores if score.metric == metric and score.seed is not None}
    seeds = sorted({*results.seeds, *measured})
    reference = reference and metric == "psnr_y"
    known = published.published(results) if reference else None
    rows, marks = list[list[Cell]](), list[str]()
    together = [None] * (len(results.datasets) > 1)
    for dataset in (*together, *results.datasets):
        row, own_marks = _row(results, metric, dataset, highlight)
        rows.append(row)
        marks += own_marks
        if known is not None and dataset and known.of(dataset):
            rows.append(_published_row(known, results, dataset, highlight))
    notes = _notes(results, protocol, seeds, reference, general)
    return Table(
        title=title(results, metric),
        header=["", *names.values()],
        rows=rows,
        footnotes=[one_line(note) for note in [*dict.fromkeys(marks), *notes] if note],
        highlight=highlight,
    )


def _notes(results: Results, protocol: str, seeds: list[int], reference: bool, general: bool) -> list[str]:
    """Return the footnotes that are about the whole table; some may be empty."""
    return [
        f"Protocol {protocol}: {rules(protocol)}" if general else "",
        _seeds_in_words(seeds),
        TOGETHER * (len(results.datasets) > 1),
        f"Budget: {results.budget}" if general and results.budget else "",
        *(published.notes(results) if reference else []),
        *(results.notes if general else []),
    ]


def _protocol(results: Results, metric: str) -> str:
    """Return the one protocol of a metric's scores."""
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    protocols = sorted({score.protocol for score in results.scores if score.metric == metric})
    if len(protocols) > 1:
        raise SrkdError(
            f"{metric} was measured by {' and by '.join(protocols)}; they cannot share a table",
            "measure all models by the same protocol",
        )
    return protocols[0] if protocols else METRICS[metric].protocol


def _row(
    results: Results, metric: str, dataset: str | None, highlight: Highlight
) -> tuple[list[Cell], list[str]]:
    """Return the row of a data set, or of all together (None), and its footnotes."""
    names, decimals, name = model_labels(results), METRICS[metric].decimals, where(dataset)
    datasets = results.datasets if dataset is None else [dataset]
    found = {model: _measured(results, metric, model, datasets) for model in results.columns}
    row = {model: one for model, one in found.items() if one is not None}
    images = max((images for one in row.values() for images in one.images), key=len, default=Images())
    flaws = {model: one.flaws(names[model], name, images) for model, one in row.items()}
    ranked = {model: one for model, one in row.items() if one.covers(images) and model not in UNRANKED}
    competing = {model: one.mean for model, one in ranked.items()}
    if highlight == "significant":
        ranks = by_difference(results, metric, dataset, competing)
    else:
        ranks = by_print(competing, decimals)
    cells = {model: one.cell(decimals, flaws[model]) for model, one in row.items()}
    marks = [f"* {flaw}" for model in row for flaw in flaws[model]]
    marks += [f"{name}: {ranks.note}"] if ranks.note else []
    return [Cell(name), *_ranked(cells, results.columns, ranks)], marks


def _measured(results: Results, metric: str, model: str, datasets: Sequence[str]) -> _Measured | None:
    """Return the mean over data sets, of the seeds that were measured on each; None without such a seed."""
    runs = {dataset: results.runs(metric, model, dataset) for dataset in datasets}
    seeds = [seed for seed in next(iter(runs.values())) if all(seed in own for own in runs.values())]
    if not seeds:
        return None
    means = [fmean(fmean(own[seed].values()) for own in runs.values()) for seed in seeds]
    return _Measured(
        mean=fmean(means),
        std=stdev(means) if len(means) > 1 and all(map(math.isfinite, means)) else math.nan,
        fewer=[
            f"{len(known)} of {len(asked)} {unit}s"
            for dataset in datasets
            for unit, (known, asked) in results.coverage(metric, model, dataset).items()
            if len(known) < len(asked)
        ],
        images=[
            frozenset((name, image) for name, own in runs.items() for image in own[seed]) for seed in seeds
        ],
    )


def _published_row(
    known: published.Published, results: Results, dataset: str, highlight: Highlight
) -> list[Cell]:
    """Return the published row of a data set, ranked among the report's columns."""
    values, decimals = known.of(dataset), known.decimals
    ranked = [model for model in results.columns if model in values and model not in UNRANKED]
    competing = {model: values[model] for model in ranked}
    ranks = by_print(competing, decimals) if highlight == "printed" else Ranks()
    cells = {model: Cell(f"{value:.{decimals}f}") for model, value in values.items()}
    name = Cell(f"{label(dataset)} ({known.name})", reference=True)
    return [name, *_ranked(cells, results.columns, ranks)]


def _ranked(cells: Mapping[str, Cell], columns: list[str], ranks: Ranks) -> list[Cell]:
    return [replace(cells.get(model, Cell(MISSING)), rank=ranks.places.get(model, 0)) for model in columns]


def _seeds_in_words(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"Seed {seeds[0]} only: there is no standard deviation and no test with one seed"
    return f"Mean ± sample standard deviation over seeds {', '.join(map(str, seeds))}" if seeds else ""
