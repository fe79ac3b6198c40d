"""Results of the suites whose scores are committed under results/."""

from functools import cache
from pathlib import Path

from srkd_bench.evaluation.results import Results
from srkd_bench.report.formats.score_file import read_scores

FOLDER = Path(__file__).parents[2] / "results"
EQUAL_COST_STEPS = 100_522  # of none@equal-cost in bsds; all other students are trained for 10,000
STEPS = 10_000


@cache
def published(suite: str) -> Results:
    """Return the committed scores of a suite; its models are columns in order of the file."""
    scores = read_scores(FOLDER / suite / "scores.csv.gz")
    columns = list(dict.fromkeys(one.model for one in scores))
    steps = {name: EQUAL_COST_STEPS if name == "none@equal-cost" else STEPS for name in columns}
    datasets = list(dict.fromkeys(one.dataset for one in scores))
    metrics = list(dict.fromkeys(one.metric for one in scores))
    return Results(suite, columns, datasets, metrics, scores, steps=steps)
