"""The table of paired differences from the baseline."""

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import LEAST_SEEDS, LEVEL, Difference, differences
from srkd_bench.report.tables.table import Cell, Table, label, model_labels, one_line, title

SHOWN_LOST = 5  # names of what was left out


def paired(results: Results, metric: str) -> Table | None:
    """Return a row for each data set and method, and for all data sets together; None below two seeds."""
    found = differences(results, metric)
    if max((one.seeds for one in found), default=0) < 2:
        return None
    datasets = {one.dataset for one in found if one.dataset}
    only = next(iter(datasets)) if len(datasets) == 1 else None
    found = [one for one in found if one.dataset or not only]
    names, decimals = model_labels(results), METRICS[metric].decimals
    baseline = names[results.baseline]
    order: list[str | None] = [None, *results.datasets]
    found.sort(key=lambda one: order.index(one.dataset))
    return Table(
        title=title(results, metric, f"difference from {baseline}{f' on {where(only)}' if only else ''}"),
        header=["", "Difference [95 %]", "p", "Holm", "Verdict", "Seeds"],
        rows=[
            _row(one, names[one.model] if only else f"{where(one.dataset)}: {names[one.model]}", decimals)
            for one in found
        ],
        footnotes=[one_line(note) for note in _notes(found, names)],
        baseline=baseline,
    )


def in_words(one: Difference, decimals: int) -> str:
    """Return the difference and its interval as printed: `+0.012 [−0.003, +0.027]`."""
    interval = f" [{signed(one.low, decimals)}, {signed(one.high, decimals)}]" if one.seeds > 1 else ""
    return signed(one.mean, decimals) + interval


def signed(value: float, decimals: int) -> str:
    """Return a number with its sign, a zero without one."""
    text = f"{value:+.{decimals}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def probability(value: float | None) -> str:
    """Return a p-value as printed."""
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def where(dataset: str | None) -> str:
    """Return a data set's label."""
    return "All" if dataset is None else label(dataset)


def seeds_for_holm(methods: int) -> int:
    """Return the number of seeds from which the smallest Holm-corrected p can be significant."""
    return next(n for n in range(2, 64) if methods * 2 / 2**n < LEVEL)


def _row(one: Difference, name: str, decimals: int) -> list[Cell]:
    name, p, holm = f"{name}{'*' * bool(one.left_out)}", probability(one.p), probability(one.p_holm)
    return [Cell(text) for text in (name, in_words(one, decimals), p, holm, one.verdict, str(one.seeds))]


def _notes(found: list[Difference], names: dict[str, str]) -> list[str]:
    lost = "left out, as only one of both has it"
    lacking = [one for one in found if one.left_out]
    notes = [f"* {names[one.model]} on {where(one.dataset)}: {lost}: {_lost(one)}" for one in lacking]
    notes.append(
        "Differences are paired by seed and image, with a 95 % interval; better and worse need an interval"
        f" without 0, p < {LEVEL} in a sign-flip test over seeds, and {LEAST_SEEDS} seeds"
    )
    most = max(one.seeds for one in found)
    if most < LEAST_SEEDS:
        notes.append(f"Underpowered, {most} seeds: p is {2 / 2**most:.3f} at least, whatever was measured")
    methods = len({one.model for one in found})
    if methods > 1:
        needed = seeds_for_holm(methods)
        enough = "" if most >= needed else f"; below {LEVEL} it needs {needed} seeds"
        notes.append(f"Holm: p corrected for {methods} methods{enough}")
    if any(one.dataset is None for one in found):
        notes.append("All: every data set weighs the same")
    return notes


def _lost(one: Difference) -> str:
    shown = ", ".join(one.left_out[:SHOWN_LOST])
    more = len(one.left_out) - SHOWN_LOST
    return f"{shown} and {more} more" if more > 0 else shown
