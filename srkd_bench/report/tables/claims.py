"""Check claims against the results."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from scipy.special import stdtr

from srkd_bench.config.claims import Claim
from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import unknown
from srkd_bench.data.catalog import DATASETS, base
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import LEVEL, Difference, differences, holm
from srkd_bench.report.tables.differences import in_words, untested, where
from srkd_bench.report.tables.table import Cell, Table, model_labels, one_line

Answer = Literal["holds", "fails", "not significant", "not measured"]
_Test = tuple[frozenset[str], str | None, float]
"""The two methods of a comparison, its data set (None: all together) and margin."""
SHOWN_DIFFERENCES = 6


@dataclass(frozen=True)
class Verdict:
    """A claim, the answer of the statistical tests, and what it rests on.

    Args:
        evidence: the differences that the answer rests on; if nothing is significant, those that are not.
        missing: what was not measured, in words.
        readings: for a claim about a network's mean: each measured value with the claimed one, in words.
    """

    claim: str
    verdict: Answer
    evidence: list[Difference]
    missing: list[str]
    readings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Finding:
    """Whether a part of a claim is true, with what that rests on; None if it is not significant.

    Args:
        truth: tested at 0.05 on its own.
        adjusted: tested with Holm's adjustment for all comparisons of the claim.
    """

    truth: bool | None
    adjusted: bool | None
    evidence: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()

    def negated(self) -> "_Finding":
        return replace(
            self,
            truth=None if self.truth is None else not self.truth,
            adjusted=None if self.adjusted is None else not self.adjusted,
        )


def check(results: Results, claims: Iterable[Claim]) -> list[Verdict]:
    """Return a verdict for each claim, in order.

    A claim holds or fails only if paired t tests show it.
    """
    cache: dict[tuple[str, str], list[Difference]] = {}

    def against(baseline: str, metric: str) -> list[Difference]:
        if (baseline, metric) not in cache:
            cache[baseline, metric] = differences(results, metric, baseline)
        return cache[baseline, metric]

    return [
        _read(results, claim) if claim.reads else _Examiner(results, claim, against).verdict()
        for claim in claims
    ]


def refuse_unknown_names(results: Results, claims: Iterable[Claim]) -> None:
    """Refuse claims about methods or data sets that are not in the report.

    Raises:
        SrkdError: with the nearest name that is.
    """
    for claim in claims:
        methods = [name for name in (claim.best, claim.second) if name]
        methods += [*claim.gain, *claim.no_gain, *claim.only, *claim.among]
        methods.append(claim.of if claim.reads else claim.over)
        for kind, names, known in (
            ("method", methods, results.columns),
            ("data set", [*claim.on, *claim.not_on], results.datasets),
            ("data set", list(claim.reads), [*results.datasets, *_copies(results)]),
        ):
            for name in names:
                if name not in known:
                    raise unknown(f"{kind} of the claim '{claim.claim}'", name, known)


def _copies(results: Results) -> list[str]:
    """Return the known copies of the report's data sets."""
    measured = set(map(base, results.datasets))
    return [name for name in DATASETS if base(name) in measured]


def _claimed(results: Results, claim: Claim) -> dict[str, float]:
    """Return the claimed mean on each data set; for one with several copies, on those that the report has."""
    has = {base(name) for name in claim.reads if name in results.datasets}
    return {
        name: value
        for name, value in claim.reads.items()
        if name in results.datasets or base(name) not in has
    }


def _read(results: Results, claim: Claim) -> Verdict:
    """Return whether a network's mean on every data set is the claimed one, to within the margin."""
    metric = claim.metric or [*results.metrics, "psnr_y"][0]
    decimals, name = METRICS[metric].decimals, model_labels(results).get(claim.of, claim.of)
    means = results.means(metric, claim.of)
    claimed_of = _claimed(results, claim)
    missing = [f"{name} on {where(dataset)}" for dataset in claimed_of if dataset not in means]
    read = {dataset: claimed for dataset, claimed in claimed_of.items() if dataset in means}
    readings = [
        f"{name} on {where(dataset)} {means[dataset]:.{decimals}f}, claimed {claimed:g}"
        for dataset, claimed in read.items()
    ]
    far = any(not abs(means[dataset] - claimed) <= claim.margin for dataset, claimed in read.items())
    answer: Answer = "fails" if far else "not measured" if missing else "holds"
    return Verdict(claim.claim, answer, [], missing, readings)


class _Examiner:
    """Examines one claim: a tree of comparisons of two methods on one data set or on all together.

    Each comparison is a paired t test over seeds. Where a claim needs every part, it holds if p < 0.05 in each
    (intersection-union test). Where any of several parts decides, that part has to be significant after Holm's
    adjustment for all comparisons of the claim.
    """

    def __init__(
        self, results: Results, claim: Claim, against: Callable[[str, str], list[Difference]]
    ) -> None:
        self.results, self.claim, self.against = results, claim, against
        self.metric: str = claim.metric or [*results.metrics, "psnr_y"][0]
        self.each = [name for name in claim.on or results.datasets if name not in claim.not_on]
        self.tests: dict[_Test, float] = {}
        self.adjusted: dict[_Test, float] = {}

    def verdict(self) -> Verdict:
        self._finding()  # collects the tests, whose number the adjustment depends on
        self.adjusted = dict(zip(self.tests, holm(list(self.tests.values())), strict=True))
        found = self._finding()
        pairs = {(frozenset({one.model, one.baseline}), one.dataset): one for one in reversed(found.evidence)}
        evidence = list(pairs.values())[::-1]  # each pair once, in one direction
        return Verdict(self.claim.claim, _answer(found), evidence, list(dict.fromkeys(found.missing)))

    def _finding(self) -> _Finding:
        claim = self.claim
        together: list[str | None] = [*claim.on] or [None]
        if claim.best:
            return _every(self._first(claim.best, claim.among, on) for on in together)
        if claim.second:
            return _every(self._second(claim.second, on) for on in together)
        if claim.gain:
            return _every(self._gains(method) for method in claim.gain)
        if claim.no_gain:
            return _every(self._no_gain(method, on) for method in claim.no_gain for on in self.each)
        others = [method for method in claim.among if method not in (*claim.only, claim.over)]
        gains = [self._gains(method) for method in claim.only]
        return _every(gains + [_some(self._no_gain(method, on) for on in self.each) for method in others])

    def _first(self, method: str, among: Iterable[str], on: str | None) -> _Finding:
        return _every(self._above(method, other, on) for other in among if other != method)

    def _second(self, method: str, on: str | None) -> _Finding:
        others = [other for other in self.claim.among if other != method]
        return _some(
            _every([self._above(one, method, on), self._first(method, (o for o in others if o != one), on)])
            for one in others
        )

    def _gains(self, method: str) -> _Finding:
        return _every(self._above(method, self.claim.over, on) for on in self.each)

    def _above(self, method: str, other: str, on: str | None) -> _Finding:
        """Return whether one method is better than another."""
        return self._compared(method, other, on, 0.0)

    def _no_gain(self, method: str, on: str | None) -> _Finding:
        """Return whether a method gains less than the margin: false if it significantly gains more."""
        return self._compared(method, self.claim.over, on, self.claim.margin).negated()

    def _compared(self, method: str, other: str, on: str | None, margin: float) -> _Finding:
        """Return whether a difference is above the margin."""
        one = self._find(method, other, on)
        if isinstance(one, _Finding):
            return one
        if one.p is None:
            return _Finding(None, None, (one,))
        test = (frozenset({method, other}), on, margin)
        p = _p(one, margin)
        self.tests[test] = p
        above = one.mean > margin
        adjusted = self.adjusted.get(test, 1.0)
        return _Finding(above if p < LEVEL else None, above if adjusted < LEVEL else None, (one,))

    def _find(self, method: str, other: str, on: str | None) -> Difference | _Finding:
        for one in self.against(other, self.metric):
            if (one.model, one.dataset) == (method, on):
                return one
        names = model_labels(self.results)
        pair = f"{names.get(method, method)} and {names.get(other, other)}"
        return _Finding(None, None, missing=(f"{pair} on {where(on)}",))


def _answer(found: _Finding) -> Answer:
    if found.truth is None:
        return "not significant" if found.evidence else "not measured"
    return "holds" if found.truth else "fails"


def _p(one: Difference, margin: float) -> float:
    """Return p of the two-sided paired t test that the difference equals the margin."""
    distance = abs(one.mean - margin) * math.sqrt(one.seeds) / one.deviation
    return float(2 * stdtr(one.seeds - 1, -distance))


def _every(parts: Iterable[_Finding]) -> _Finding:
    """Return true if all parts are true, false if any is false after adjustment."""
    return _decided(list(parts), by=False)


def _some(parts: Iterable[_Finding]) -> _Finding:
    """Return true if any part is true after adjustment, false if all parts are false."""
    return _decided(list(parts), by=True)


def _decided(parts: list[_Finding], *, by: bool) -> _Finding:
    """Return `by` if any part is after adjustment, the opposite if all parts are, else None."""
    adjusted = [part.adjusted for part in parts]
    if by in adjusted:
        truth, deciding = by, [part for part in parts if part.adjusted is by]
    elif parts and all(part.truth is (not by) for part in parts):
        truth, deciding = not by, parts
    else:
        truth, deciding = None, [part for part in parts if part.truth is not (not by)]
    together = all(one is (not by) for one in adjusted)
    return _Finding(
        truth,
        by if by in adjusted else not by if parts and together else None,
        tuple(one for part in deciding for one in part.evidence),
        tuple(one for part in deciding for one in part.missing),
    )


def claims_table(results: Results, verdicts: Sequence[Verdict]) -> Table:
    """Return a row for each claim; the footnotes state the numbers."""
    names = model_labels(results)
    rows = [[Cell(one_line(f"({i}) {one.claim}")), Cell(one.verdict)] for i, one in enumerate(verdicts, 1)]
    notes = [one_line(f"({i}) {because(one, names)}") for i, one in enumerate(verdicts, 1)]
    return Table(one_line(f"{results.suite}: claims"), ["", "Verdict"], rows, notes)


def because(verdict: Verdict, names: dict[str, str]) -> str:
    """Return the numbers that a verdict rests on."""
    numbers = verdict.readings + [
        f"{names[one.model]} against {names[one.baseline]} on {where(one.dataset)}"
        f" {in_words(one, METRICS[one.metric].decimals)}"
        for one in verdict.evidence[:SHOWN_DIFFERENCES]
    ]
    if (more := len(verdict.evidence) - SHOWN_DIFFERENCES) > 0:
        numbers.append(f"and {more} more")
    if verdict.verdict == "not significant":
        numbers += _limits(verdict.evidence)
    if verdict.missing:
        numbers.append(f"not measured: {', '.join(verdict.missing[:SHOWN_DIFFERENCES])}")
    return "; ".join(numbers)


def _limits(evidence: Sequence[Difference]) -> list[str]:
    """Say why the differences are not significant: no test is possible, or they are small for these seeds."""
    limits = [f"no test: {reason}" for reason in dict.fromkeys(map(untested, evidence)) if reason]
    if tested := [one for one in evidence if one.p is not None]:
        widest = max(tested, key=lambda one: one.half_width)
        known = METRICS[widest.metric]
        size = f"{widest.half_width:.{known.decimals}f} {known.unit}".rstrip()
        limits.append(f"with {widest.seeds} seeds, differences below {size} cannot be detected")
    return limits
