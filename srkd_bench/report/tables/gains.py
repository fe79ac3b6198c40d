"""The table of gains: each method's difference from the baseline on all data sets, with its test and its cost."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.multiplier import Multiplier, multipliers
from srkd_bench.evaluation.power import detectable, pooled_deviation
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import LEVEL, Difference, differences
from srkd_bench.report.tables.differences import (
    TOGETHER,
    bracketed,
    left_out_notes,
    probability,
    signed,
    untested,
    where,
)
from srkd_bench.report.tables.outliers import outlier_note
from srkd_bench.report.tables.table import (
    MISSING,
    UNRANKED,
    Cell,
    Table,
    label,
    model_labels,
    one_line,
    title,
)

FACTOR = (
    "how many times longer {} must be trained for the same gain, with a 95 % interval; measured up to {:.3g}"
)
Rows = Mapping[str, Difference | None]
"""By method, in the order of the table; None where nothing could be compared."""


def gains(results: Results, metric: str) -> Table | None:
    """Return a row for each method: gain, 95 % interval, Holm p, verdict; training multiplier k and step cost c.

    The student alone at other lengths (`none@2x`) comes last. k and c are shown if they are known for any row.
    The footnotes name every method that cannot be compared or tested, with the reason.

    Returns:
        None for results without a method to compare, or without any score of this metric that has a seed.
    """
    rows = _rows(results, metric)
    if not rows or not any(score.metric == metric and score.seed is not None for score in results.scores):
        return None
    names, worth = model_labels(results), multipliers(results, metric)
    costs = {model: results.step_costs[model] for model in rows if model in results.step_costs}
    header = ["", f"Gain on {_scope(results)}", "95 % interval", "Holm p", "Verdict"]
    header += ["k"] * bool(worth) + ["c"] * bool(costs)
    baseline = names.get(results.baseline, label(results.baseline))
    return Table(
        title=title(results, metric, f"gain over {baseline}"),
        header=header,
        rows=[
            _row(names[model], one, METRICS[metric].decimals)
            + [Cell(factor(worth.get(model)))] * bool(worth)
            + [Cell(relative_cost(costs.get(model)))] * bool(costs)
            for model, one in rows.items()
        ],
        footnotes=[one_line(note) for note in _notes(results, metric, rows, worth, costs) if note],
        upright=True,
    )


def least_detectable(found: Sequence[Difference]) -> float | None:
    """Return the difference on all data sets that is found significant with a probability of 80 %.

    For the fewest seeds of the methods that are tested, with their pooled standard deviation; None without a test.
    """
    tested = [one for one in found if one.p_holm is not None]
    deviation = pooled_deviation(tested)
    return None if deviation is None else detectable(deviation, min(one.seeds for one in tested), len(tested))


def _scope(results: Results) -> str:
    return where(results.datasets[0] if len(results.datasets) == 1 else None)


def _rows(results: Results, metric: str) -> Rows:
    found = {one.model: one for one in differences(results, metric) if one.dataset is None}
    unseeded = {score.model for score in results.scores if score.seed is None}
    methods = [name for name in results.columns if name not in {results.baseline, *UNRANKED, *unseeded}]
    methods.sort(key=is_control)
    return {model: found.get(model) for model in methods}


def _row(name: str, one: Difference | None, decimals: int) -> list[Cell]:
    if one is None:
        return [Cell(name), *[Cell(MISSING)] * 4]
    texts = [
        f"{name}{'*' * bool(one.left_out)}",
        signed(one.mean, decimals),
        bracketed(one.low, one.high, decimals),
        probability(one.p_holm),
        one.verdict or MISSING,
    ]
    return [Cell(text) for text in texts]


def factor(one: Multiplier | None) -> str:
    """Return k with its interval as printed: `2.06 [1.71, 2.64]`, `<1` and `>10` beyond what was measured."""
    if one is None:
        return MISSING

    def cut(value: float) -> str:
        if value <= one.smallest * (1 + 1e-9):
            return f"<{one.smallest:.3g}"
        return f">{one.largest:.3g}" if value >= one.largest * (1 - 1e-9) else f"{value:.2f}"

    k, low, high = map(cut, (one.k, one.low, one.high))
    return k if math.isnan(one.low) or k == low == high else f"{k} [{low}, {high}]"


def relative_cost(c: float | None) -> str:
    """Return c as printed, with three digits: `1.17`, `10.1`."""
    return MISSING if c is None else f"{c:.2f}" if c < 9.995 else f"{c:.1f}"


def cost_note(costs: Iterable[float | None]) -> str:
    """Return what c is; nothing if it is not known of any method."""
    known = [one is not None for one in costs]
    if not any(known):
        return ""
    note = f"c: multiply-adds of a training step, relative to {label('none')}"
    return note if all(known) else f"{note}; {MISSING}: unknown, for example without the training images"


def _notes(
    results: Results, metric: str, rows: Rows, worth: Mapping[str, Multiplier], costs: Mapping[str, float]
) -> list[str]:
    """Return the footnotes; some may be empty."""
    names, known = model_labels(results), [one for one in rows.values() if one is not None]
    alone = names.get(results.baseline, label(results.baseline))
    tested = [one for one in known if one.p_holm is not None]
    return [
        *left_out_notes(results, known),
        *_untested(results, metric, rows),
        outlier_note(results, metric),
        *(explained(tested, names, metric) if tested else []),
        _new_images(tested, names, METRICS[metric].decimals),
        *(_every_set(tested, names) if len(results.datasets) > 1 else []),
        *(f"k: {FACTOR.format(alone, one.largest)}" for one in [*worth.values()][:1]),
        cost_note(map(costs.get, rows)),
        TOGETHER * (len(results.datasets) > 1),
    ]


def explained(tested: Sequence[Difference], names: Mapping[str, str], metric: str) -> list[str]:
    """Return notes on what intervals cover, what verdicts rest on, and which differences can be detected."""
    decimals, unit = METRICS[metric].decimals, METRICS[metric].unit
    family = f", p adjusted for {len(tested)} comparisons (Holm)" if len(tested) > 1 else ""
    notes = [
        f"Intervals cover {_variation(tested, names)}",
        f"Verdicts: paired t test over {_units(tested)}{family}; better or worse if p < {LEVEL}",
    ]
    size = least_detectable(tested)
    if size is not None:
        fewest = min(tested, key=lambda one: one.seeds)
        width = f"{median(one.half_width for one in tested):.{decimals}f} {unit}".rstrip()
        least = f"{size:.{decimals}f} {unit}".rstrip()
        notes.append(
            f"With {_units([fewest])}, differences below about {width} cannot be detected; one of {least} is"
            " detected with a probability of 80 %"
        )
    return notes


def _units(tested: Sequence[Difference]) -> str:
    """Return the number of seeds, or of teachers, that tests are over: `6 seeds`, `3 to 6 seeds and 4 teachers`."""
    numbers = {unit: [one.seeds for one in tested if one.unit == unit] for unit in ("seed", "teacher")}
    return " and ".join(
        f"{min(own)} to {max(own)} {unit}s" if min(own) < max(own) else f"{min(own)} {unit}s"
        for unit, own in numbers.items()
        if own
    )


def _variation(tested: Sequence[Difference], names: Mapping[str, str]) -> str:
    """Return what varies in the intervals, and what they hold for."""
    wider = [one for one in tested if one.covers_teachers]
    if not wider:
        return "the variation between seeds, for this teacher and these images"
    crossed = wider[0].unit == "teacher"
    found = "the variation between teachers, for these student seeds and images"
    found = found if crossed else "the variation between seeds and teachers, for these images"
    rest = ", ".join(names[one.model] for one in tested if not one.covers_teachers)
    return f"{found}; for {rest}, which use no teacher, the variation between seeds" if rest else found


def _new_images(tested: Sequence[Difference], names: Mapping[str, str], decimals: int) -> str:
    wider = [
        f"{names[one.model]} {bracketed(*one.new_images, decimals)}"
        for one in tested
        if one.new_images is not None
    ]
    units = " and ".join(dict.fromkeys(f"new {one.unit}s" for one in tested))
    return f"95 % intervals for new images as well as {units}: {', '.join(wider)}" if wider else ""


def _every_set(tested: Sequence[Difference], names: Mapping[str, str]) -> list[str]:
    """Name the methods that are better, and those that are worse, on every data set."""
    notes = []
    for verdict, sign in (("Better", 1), ("Worse", -1)):
        own = [
            f"{names[one.model]} ({_equals(one.p_every_set)})"
            for one in tested
            if one.p_every_set is not None and one.p_every_set < LEVEL and one.mean * sign > 0
        ]
        notes.append(f"{verdict} on every data set (Holm p): {', '.join(own)}" if own else "")
    return notes


def _equals(p: float) -> str:
    text = probability(p)
    return f"p {text[0]} {text[1:]}" if text.startswith("<") else f"p = {text}"


def _untested(results: Results, metric: str, rows: Rows) -> list[str]:
    """Name the methods that cannot be tested, with the reason."""
    names, reasons = model_labels(results), defaultdict[str, list[str]](list)
    alone = names.get(results.baseline, label(results.baseline))
    measured = {score.model for score in results.scores if score.metric == metric and score.seed is not None}
    for model, one in rows.items():
        if one is None and results.baseline not in measured:
            reasons[f"{alone} was not measured"].append(names[model])
        elif one is None and model not in measured:
            reasons["not measured"].append(names[model])
        elif one is None:
            reasons[f"no seed and image in common with {alone}"].append(names[model])
        elif reason := untested(one):
            reasons[reason].append(names[model])
    return [f"No test of {', '.join(models)}: {reason}" for reason, models in reasons.items()]
