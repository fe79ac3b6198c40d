"""Name trainings that lie far below the other seeds of their method."""

from collections.abc import Mapping
from statistics import fmean, median

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.results import Results
from srkd_bench.report.tables.differences import signed
from srkd_bench.report.tables.table import model_labels

FAR = 10  # usual deviations below the median; of normally distributed scores, none lies as far
MAD = 1.4826  # standard deviation over the median absolute deviation, of a normal distribution
FEWEST_SEEDS = 3


def outliers(results: Results, metric: str) -> dict[tuple[str, int], float]:
    """Return by method and seed how far a training lies below the median of its method, where that is very far.

    The score of a training is its mean over all data sets. Very far is more than ten times the usual deviation:
    1.4826 times the median, over all trainings, of the distance from the method's median. A few failed trainings
    hardly change it.

    Returns:
        Negative differences in the metric's unit; nothing for methods with fewer than three seeds.
    Source: Leys et al., J. Exp. Soc. Psychol. 49, 2013 (median absolute deviation).
    """
    apart: dict[tuple[str, int], float] = {}
    usual: list[float] = []
    for model in results.columns:
        own = _scores(results, metric, model)
        if len(own) >= FEWEST_SEEDS:
            middle = median(own.values())
            apart |= {(model, seed): score - middle for seed, score in own.items()}
            sizes = sorted(abs(score - middle) for score in own.values())
            usual += sizes[len(own) % 2 :]  # of an odd number of seeds, one is the median itself
    limit = FAR * MAD * median(usual) if usual else 0.0
    return {place: one for place, one in apart.items() if one < -limit < 0}


def outlier_note(results: Results, metric: str) -> str:
    """Return a note that names the outliers, or an empty text."""
    names, known = model_labels(results), METRICS[metric]
    said = [
        f"{names[model]} {results.unit(model)} {seed} ({f'{signed(one, known.decimals)} {known.unit}'.rstrip()})"
        for (model, seed), one in outliers(results, metric).items()
    ]
    start = "Trainings far below the median of their method, which may have failed; they are included: "
    return start + ", ".join(said) if said else ""


def _scores(results: Results, metric: str, model: str) -> Mapping[int, float]:
    """Return the score of each training on all data sets."""
    means = [results.seed_means(metric, model, dataset) for dataset in results.datasets]
    first = means[0] if means else {}
    seeds = [seed for seed in first if seed is not None and all(seed in own for own in means)]
    return {seed: fmean(own[seed] for own in means) for seed in seeds}
