"""State the findings in sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.scores import EQUAL_COST
from srkd_bench.evaluation.statistics import LEAST_SEEDS, LEVEL, Difference
from srkd_bench.report.tables.differences import probability, seeds_for_holm, signed
from srkd_bench.report.tables.table import label, model_labels

GROUPS = {
    "better": "Better",
    "worse": "Worse",
    "undecided": "Not significant",
    "underpowered": "Too few seeds",
}
PERCENT = f"{100 * LEVEL:.0f} %"


@dataclass(frozen=True)
class Findings:
    """What a report found.

    Args:
        verdict: the answer in one short sentence.
        lead: what the numbers are.
        groups: methods with their numbers, by what the seeds show of them, best first; then the control at equal
            cost, which is no method.
        notes: how sure that is, and how much there was to gain.
    """

    verdict: str
    lead: str
    groups: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def findings(results: Results, metric: str, found: Sequence[Difference]) -> Findings:
    """Return what the differences of one metric say on all data sets together.

    Args:
        found: from `stats.differences`, of this metric.
    """
    whole = sorted((one for one in found if one.dataset is None), key=lambda one: -one.mean)
    names = model_labels(results)
    control = names.get(results.baseline, results.baseline)
    if not results.scores:
        return Findings("Nothing has been measured yet.", "What is missing is listed on this page.")
    if not whole:
        lead = f"A comparison needs {control} and another method, measured with the same seed on the same images."
        return Findings("Nothing can be compared yet.", lead)
    methods = [one for one in whole if one.model != EQUAL_COST]
    groups = {
        title: [_number(one, names, metric) for one in methods if one.verdict == verdict]
        for verdict, title in GROUPS.items()
    }
    longer = [_number(one, names, metric) for one in whole if one.model == EQUAL_COST]
    lead = f"{_what(whole, results, metric)} from {control}{_introduced(results)}:"
    if all(one.verdict == "underpowered" for one in whole):
        seeds = max(one.seeds for one in whole)
        lead = f"{_too_few(seeds)} Nothing is claimed by these {lead[0].lower()}{lead[1:]}"
        verdict, groups = "Too few seeds to tell.", {"Measured": groups[GROUPS["underpowered"]] + longer}
    else:
        verdict = _verdict(
            [one for one in methods if one.verdict == "better"], names, results.baseline, control
        )
        groups["At equal cost"] = longer
    notes = [_corrected(whole, names), _teacher(results, metric, control)]
    return Findings(
        verdict, lead, {title: own for title, own in groups.items() if own}, [note for note in notes if note]
    )


def listed(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def interval(one: Difference, decimals: int) -> str:
    """Return `−0.012 to +0.034`, or an empty text below two seeds."""
    return "" if one.seeds < 2 else f"{signed(one.low, decimals)} to {signed(one.high, decimals)}"


def _verdict(better: Sequence[Difference], names: dict[str, str], baseline: str, control: str) -> str:
    """Answer the page's question; what does not stand when corrected for the number of methods is said to."""
    alone = baseline == "none"
    if not better:
        return f"No method was shown to {'help' if alone else f'do better than {control}'}."
    weak = any(one.p_holm is None or one.p_holm >= LEVEL for one in better)
    own = f", {'each ' if len(better) > 1 else ''}by its own test" if weak else ""
    helped = "helped" if alone else f"did better than {control}"
    return f"{listed([names[one.model] for one in better])} {helped}{own}."


def _what(whole: Sequence[Difference], results: Results, metric: str) -> str:
    seeds, images = max(one.seeds for one in whole), max(one.images for one in whole)
    names = [label(name) for name in results.datasets]
    each = ", each set weighing the same," if len(names) > 1 else ""
    return (
        f"Mean differences in {METRICS[metric].label}, over {_count(seeds, 'seed')} and the"
        f" {_count(images, 'image')} of {listed(names)}{each}"
    )


def _introduced(results: Results) -> str:
    return ", the same student trained without distillation" if results.baseline == "none" else ""


def _too_few(seeds: int) -> str:
    amount = "Only one seed was" if seeds == 1 else f"Only {seeds} seeds were"
    return (
        f"{amount} measured, and with fewer than {LEAST_SEEDS} no difference, however large, can be told from"
        f" chance at the {PERCENT} level."
    )


def _number(one: Difference, names: dict[str, str], metric: str) -> str:
    known = METRICS[metric]
    text = f"{names[one.model]} {_with_unit(one.mean, metric)}"
    if one.p is None:
        return text
    p = probability(one.p)
    sign = "" if p.startswith("<") else "= "
    return f"{text} (95 % interval {interval(one, known.decimals)}, p {sign}{p})"


def _corrected(whole: Sequence[Difference], names: dict[str, str]) -> str:
    """Describe the result after correction for the number of compared methods."""
    decided = [one for one in whole if one.verdict in ("better", "worse")]
    if len(whole) < 2 or not decided:
        return ""
    needed = seeds_for_holm(len(whole))
    if max(one.seeds for one in whole) < needed:
        rest = f"none can stand with fewer than {needed} seeds"
    else:
        left = [names[one.model] for one in decided if one.p_holm is not None and one.p_holm < LEVEL]
        rest = f"{listed(left) or 'none'} {'stand' if len(left) > 1 else 'stands'}"
    corrected = f"corrected for {len(whole)} comparisons (Holm), {rest}"
    return f"Each verdict is by one test at the {PERCENT} level; {corrected}."


def _teacher(results: Results, metric: str, control: str) -> str:
    """Say how far above the control the teacher is: what there was to gain by becoming as good as it."""
    teacher, base = (results.means(metric, model) for model in ("teacher", results.baseline))
    if teacher.keys() != base.keys() or not base:
        return ""
    gap = fmean(teacher[dataset] - base[dataset] for dataset in base)
    parameters = {network.role: network.parameters for network in results.networks}
    larger = (
        f", {parameters['teacher'] / parameters['student']:.1f} times as large,"
        if len(parameters) == 2
        else ""
    )
    return f"For scale: the teacher{larger} is at {_with_unit(gap, metric)} from {control}."


def _with_unit(value: float, metric: str) -> str:
    return f"{signed(value, METRICS[metric].decimals)} {METRICS[metric].unit}".rstrip()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
