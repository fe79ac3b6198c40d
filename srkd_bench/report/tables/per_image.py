"""The table of per-image differences."""

from dataclasses import dataclass

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables.differences import signed
from srkd_bench.report.tables.table import MISSING, UNRANKED, label, model_labels


@dataclass(frozen=True)
class ImageRow:
    """One image; a text a column."""

    dataset: str
    image: str
    levels: list[str]
    gains: list[str]


@dataclass(frozen=True)
class ImageTable:
    """One metric on every image.

    Args:
        levels: labels of the models whose own values are shown: bicubic, teacher, the baseline, strangers.
        gains: labels of the methods that are shown as differences from the baseline.
    """

    levels: list[str]
    gains: list[str]
    rows: list[ImageRow]


def per_image(results: Results, metric: str) -> ImageTable:
    """Return each image's means over seeds; methods as differences from the baseline, paired as in all tables."""
    names, decimals, datasets = model_labels(results), METRICS[metric].decimals, results.datasets
    scores = [score for score in results.scores if score.metric == metric]
    students = {score.model for score in scores if score.seed is not None} - {results.baseline, *UNRANKED}
    measured = {score.model for score in scores}
    compared = [model for model in results.columns if model in students]
    shown = [model for model in results.columns if model in measured - students]
    levels = [{d: results.image_means(metric, model, d) for d in datasets} for model in shown]
    base = results.baseline
    gains = [{d: results.image_gains(metric, model, base, d) for d in datasets} for model in compared]
    rows = []
    for d in datasets:
        for image in sorted({score.image for score in scores if score.dataset == d}):
            values = [f"{own[d][image]:.{decimals}f}" if image in own[d] else MISSING for own in levels]
            gained = [signed(own[d][image], decimals) if image in own[d] else MISSING for own in gains]
            rows.append(ImageRow(label(d), image, values, gained))
    return ImageTable([names[model] for model in shown], [names[model] for model in compared], rows)
