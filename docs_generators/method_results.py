"""The published gains of a method and those that the committed results of srkd have."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.report.formats.grid_file import is_grid
from srkd_bench.report.formats.score_file import read_scores
from srkd_bench.report.tables.differences import bracketed, probability, signed
from srkd_bench.report.tables.published import BY_SUITE, STUDY, Published

FOLDER = Path(__file__).parents[1] / "results"
SETS = ("set5", "set14", "bsd100", "urban100")
BASELINE = "none"
DECIMALS = 3


def published(name: str) -> Iterator[tuple[str, ...]]:
    """Yield a row for each published table with the method: its source, and the gain on each data set."""
    for one in (STUDY, *BY_SUITE.values()):
        if {name, BASELINE} <= {*one.columns} and name != BASELINE:
            yield one.source, *(_gain(one, name, dataset) for dataset in SETS)


def measured(name: str) -> Iterator[tuple[str, ...]]:
    """Yield a row for each committed suite without a grid: gain on all data sets, interval, p, verdict, seeds."""
    for path in sorted(FOLDER.glob("*/scores.csv*")):
        if is_grid(path):
            continue
        if one := _differences(path).get(name):
            gain = f"{signed(one.mean, DECIMALS)} {bracketed(one.low, one.high, DECIMALS)}"
            yield f"`{path.parent.name}`", gain, probability(one.p_holm), one.verdict or "–", str(one.seeds)


def _gain(table: Published, name: str, dataset: str) -> str:
    values = table.of(dataset)
    return signed(values[name] - values[BASELINE], table.decimals)


@cache
def _differences(path: Path) -> dict[str, Difference]:
    """Return the differences from the student alone on all data sets of a score file, by model."""
    scores = read_scores(path)
    columns, datasets = (
        [*dict.fromkeys(values)] for values in zip(*((s.model, s.dataset) for s in scores), strict=True)
    )
    if BASELINE not in columns:
        return {}
    results = Results(path.parent.name, columns, datasets, ["psnr_y"], scores)
    return {one.model: one for one in differences(results, "psnr_y", BASELINE) if one.dataset is None}
