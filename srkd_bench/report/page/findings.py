"""State the findings in sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import LEVEL, Difference
from srkd_bench.report.tables.differences import signed
from srkd_bench.report.tables.table import label, model_labels

GROUPS = {
    "better": "Better",
    "worse": "Worse",
    "not significant": "Not significant",
    None: "Not tested",
}
"""Headings of the groups of methods, by verdict."""


@dataclass(frozen=True)
class Findings:
    """The results of a report in words.

    Args:
        verdict: the conclusion in one sentence.
        lead: what the numbers are, and what a verdict rests on.
        groups: methods with their differences, by verdict, best first; then the controls.
        notes: what helps to judge the size of the differences.
    """

    verdict: str
    lead: str
    groups: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def findings(results: Results, metric: str, found: Sequence[Difference]) -> Findings:
    """Return the findings of one metric on all data sets together.

    Args:
        found: from `statistics.differences`, of this metric.
    """
    whole = sorted((one for one in found if one.dataset is None), key=lambda one: -one.mean)
    names = model_labels(results)
    base = names.get(results.baseline, results.baseline)
    if not results.scores:
        return Findings("Nothing is measured yet.", "This page lists what is missing.")
    if not whole:
        lead = f"A comparison needs {base} and another method with the same seed on the same images."
        return Findings("Nothing can be compared yet.", lead)
    methods = [one for one in whole if not is_control(one.model)]
    groups = {
        title: listed([_number(one, names) for one in methods if one.verdict == verdict])
        for verdict, title in GROUPS.items()
    }
    controls = [one for one in whole if is_control(one.model)]
    groups["Controls"] = listed(
        [f"{_number(one, names)} ({one.verdict or 'not tested'})" for one in controls]
    )
    return Findings(
        _verdict(methods, names, base),
        f"{_what(whole, results, metric, base)} {_test(whole)}",
        {title: text for title, text in groups.items() if text},
        [note for note in [_teacher(results, metric, base)] if note],
    )


def listed(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def _verdict(methods: Sequence[Difference], names: dict[str, str], base: str) -> str:
    """Return the methods that are better, and those that are worse."""
    better, worse = ([names[one.model] for one in methods if one.verdict == v] for v in ("better", "worse"))
    if not methods:
        return f"No method is compared with {base}."
    if not any(one.verdict for one in methods):
        return f"No difference from {base} can be tested."
    if not better and not worse:
        return f"No method differs significantly from {base}."
    first = f"{listed(better) or 'No method'} {_are(better)} better than {base}"
    return f"{first}; {listed(worse)} {_are(worse)} worse." if worse else f"{first}."


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _what(whole: Sequence[Difference], results: Results, metric: str, base: str) -> str:
    seeds, images = max(one.seeds for one in whole), max(one.images for one in whole)
    sets = [label(name) for name in results.datasets]
    weights = ", each data set with the same weight" if len(sets) > 1 else ""
    student = ", the same student trained without distillation" if results.baseline == "none" else ""
    return (
        f"Mean differences in {METRICS[metric].label} from {base}{student}, over {_count(seeds, 'seed')} and the"
        f" {_count(images, 'image')} of {listed(sets)}{weights}."
    )


def _test(whole: Sequence[Difference]) -> str:
    """Return what makes a difference significant, or why there is no test."""
    tested = sum(one.p_holm is not None for one in whole)
    if not tested:
        few = max(one.seeds for one in whole) < 2
        return "A test needs two seeds." if few else "A test needs seeds that differ by different amounts."
    adjusted = f" after Holm's adjustment for {tested} comparisons" if tested > 1 else ""
    return f"A method is better or worse if a paired t test over seeds gives p < {LEVEL}{adjusted}."


def _number(one: Difference, names: dict[str, str]) -> str:
    return f"{names[one.model]} {_with_unit(one.mean, one.metric)}"


def _teacher(results: Results, metric: str, base: str) -> str:
    """Return the teacher's difference from the baseline, or an empty text if it is not known."""
    teacher, means = (results.means(metric, model) for model in ("teacher", results.baseline))
    if teacher.keys() != means.keys() or not means:
        return ""
    gap = fmean(teacher[dataset] - means[dataset] for dataset in means)
    parameters = {network.role: network.parameters for network in results.networks}
    size = (
        f", with {parameters['teacher'] / parameters['student']:.1f} times as many parameters,"
        if len(parameters) == 2
        else ""
    )
    return f"For comparison, the teacher{size} differs from {base} by {_with_unit(gap, metric)}."


def _with_unit(value: float, metric: str) -> str:
    return f"{signed(value, METRICS[metric].decimals)} {METRICS[metric].unit}".rstrip()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
