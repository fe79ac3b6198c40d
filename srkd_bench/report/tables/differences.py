"""The table of paired differences from the baseline on each data set."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import Difference, differences
from srkd_bench.report.tables.table import MISSING, Cell, Table, label, model_labels, one_line, title

TOGETHER = "All: mean of the data sets, each with the same weight"
SHOWN_LOST = 5  # names of what was left out


def paired(results: Results, metric: str) -> Table | None:
    """Return a row for each data set and method; None below two seeds, and of one data set (see `gains`)."""
    found = [one for one in differences(results, metric) if one.dataset is not None]
    if len({one.dataset for one in found}) < 2 or max(one.seeds for one in found) < 2:
        return None
    names, decimals = model_labels(results), METRICS[metric].decimals
    found.sort(key=lambda one: results.datasets.index(one.dataset or ""))
    return Table(
        title=title(results, metric, f"difference from {names[results.baseline]} on each data set"),
        header=["", "Difference", "95 % interval", _units(found), "Images"],
        rows=[
            [
                Cell(text)
                for text in (
                    f"{where(one.dataset)}: {names[one.model]}{'*' * bool(one.left_out)}",
                    signed(one.mean, decimals),
                    bracketed(one.low, one.high, decimals),
                    str(one.seeds),
                    str(one.images),
                )
            ]
            for one in found
        ],
        footnotes=[
            *left_out_notes(results, found),
            "Differences are paired by seed and image. Intervals are those of single comparisons; verdicts are"
            " given for all data sets together",
        ],
    )


def _units(found: Sequence[Difference]) -> str:
    return "Teachers" if any(one.unit == "teacher" for one in found) else "Seeds"


def in_words(one: Difference, decimals: int) -> str:
    """Return the difference and its interval as printed: `+0.012 [−0.003, +0.027]`."""
    interval = f" {bracketed(one.low, one.high, decimals)}" if one.seeds > 1 else ""
    return signed(one.mean, decimals) + interval


def bracketed(low: float, high: float, decimals: int) -> str:
    """Return an interval as printed: `[−0.003, +0.027]`; a dash if it is not known."""
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return f"[{signed(low, decimals)}, {signed(high, decimals)}]"


def signed(value: float, decimals: int) -> str:
    """Return a number with its sign, a zero without one."""
    text = f"{value:+.{decimals}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def probability(value: float | None) -> str:
    """Return a p-value as printed."""
    if value is None:
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def where(dataset: str | None) -> str:
    """Return a data set's label."""
    return "All" if dataset is None else label(dataset)


def untested(one: Difference) -> str:
    """Return why there is no test of a difference; empty if there is one."""
    if one.seeds < 2:
        return "one seed; a test needs two"
    return "all seeds differ by the same amount, so their variance is 0" if one.p is None else ""


def left_out_notes(results: Results, found: Iterable[Difference]) -> list[str]:
    """Return a footnote for each set of seeds, images and data sets that were left out of differences."""
    names = model_labels(results)
    infinite = {f"image {score.image}" for score in results.scores if score.value == float("inf")}
    groups = defaultdict[tuple[str, str], list[str]](list)
    for one in found:
        place = "" if one.dataset is None else f" on {where(one.dataset)}"
        for reason, lost in (
            ("as the PSNR is infinite", [name for name in one.left_out if name in infinite]),
            (
                f"as {names[one.baseline]} or the method lacks it",
                [name for name in one.left_out if name not in infinite],
            ),
        ):
            if lost:
                groups[f"left out, {reason}: {shortened(lost)}", place].append(names[one.model])
    return [one_line(f"* {', '.join(models)}{place}: {what}") for (what, place), models in groups.items()]


def shortened(lost: Sequence[str]) -> str:
    """Return the first few of what was left out, and the number of the others."""
    labels = [
        f"data set {label(name.removeprefix('data set '))}" if name.startswith("data set ") else name
        for name in lost
    ]
    more = len(labels) - SHOWN_LOST
    return ", ".join(labels[:SHOWN_LOST]) + (f" and {more} more" if more > 0 else "")
