"""Check claims against the results."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from srkd_bench.config.claims import Claim
from srkd_bench.config.metrics import METRICS
from srkd_bench.core.errors import unknown
from srkd_bench.data.catalog import DATASETS, base
from srkd_bench.evaluation.results import Results
from srkd_bench.evaluation.statistics import LEAST_SEEDS, Difference, differences
from srkd_bench.report.tables.differences import in_words, where
from srkd_bench.report.tables.table import Cell, Table, model_labels, one_line

Answer = Literal["holds", "fails", "undecided", "underpowered"]
SHOWN_DIFFERENCES = 6


@dataclass(frozen=True)
class Verdict:
    """A claim, what the seeds say to it, and why.

    Args:
        evidence: the differences that decide; where nothing is decided, those that leave it open.
        missing: what was not measured, in words.
        readings: of a claim about what a network reads: each number beside the claimed one, in words.
    """

    claim: str
    verdict: Answer
    evidence: list[Difference]
    missing: list[str]
    readings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Finding:
    """True, false or open (None), with what it rests on."""

    truth: bool | None
    evidence: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()


def check(results: Results, claims: Iterable[Claim]) -> list[Verdict]:
    """Return a verdict for each claim, in order.

    A claim holds or fails only where differences with six seeds or more decide it; a comparison that was not
    measured leaves it open.
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
    """Refuse claims about methods or data sets that the report has not.

    Raises:
        SrkdError: with the nearest name that it has.
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
    """Return what is claimed of each data set; of one that comes in copies, of those that the report has."""
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
    answer: Answer = "fails" if far else "undecided" if missing else "holds"
    return Verdict(claim.claim, answer, [], missing, readings)


class _Examiner:
    """Takes one claim apart into comparisons of two methods on one data set."""

    def __init__(
        self, results: Results, claim: Claim, against: Callable[[str, str], list[Difference]]
    ) -> None:
        self.results, self.claim, self.against = results, claim, against
        self.metric: str = claim.metric or [*results.metrics, "psnr_y"][0]
        self.each = [name for name in claim.on or results.datasets if name not in claim.not_on]

    def verdict(self) -> Verdict:
        claim, found = self.claim, self._finding()
        pairs = {(frozenset({one.model, one.baseline}), one.dataset): one for one in reversed(found.evidence)}
        evidence = list(pairs.values())[::-1]  # each pair once, not as its mirror too
        if found.truth is not None:
            answer: Answer = "holds" if found.truth else "fails"
        elif any(one.verdict == "underpowered" for one in evidence):
            answer = "underpowered"
        else:
            answer = "undecided"
        return Verdict(claim.claim, answer, evidence, list(dict.fromkeys(found.missing)))

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
        """Whether one is better: yes or no only where the interval excludes 0."""
        one = self._find(method, other, on)
        if isinstance(one, _Finding):
            return one
        return _Finding({"better": True, "worse": False}.get(one.verdict), (one,))

    def _no_gain(self, method: str, on: str | None) -> _Finding:
        """Whether one is not better: no where it is shown to be, yes where the interval lies below the margin."""
        one = self._find(method, self.claim.over, on)
        if isinstance(one, _Finding):
            return one
        small = one.seeds >= LEAST_SEEDS and (one.verdict == "worse" or one.high < self.claim.margin)
        return _Finding(False if one.verdict == "better" else small or None, (one,))

    def _find(self, method: str, other: str, on: str | None) -> Difference | _Finding:
        for one in self.against(other, self.metric):
            if (one.model, one.dataset) == (method, on):
                return one
        names = model_labels(self.results)
        pair = f"{names.get(method, method)} and {names.get(other, other)}"
        return _Finding(None, missing=(f"{pair} on {where(on)}",))


def _every(parts: Iterable[_Finding]) -> _Finding:
    """False if a part is, else open if one is, else true; it rests on the parts that make it so."""
    return _decided(list(parts), by=False)


def _some(parts: Iterable[_Finding]) -> _Finding:
    """True if a part is, else open if one is, else false."""
    return _decided(list(parts), by=True)


def _decided(parts: list[_Finding], *, by: bool) -> _Finding:
    truths = [part.truth for part in parts]
    truth = by if by in truths else None if None in truths or not parts else not by
    of_it = [part for part in parts if part.truth is truth]
    return _Finding(
        truth,
        tuple(one for part in of_it for one in part.evidence),
        tuple(one for part in of_it for one in part.missing),
    )


def claims_table(results: Results, verdicts: Sequence[Verdict]) -> Table:
    """Return a row a claim; the numbers behind it stand below the table."""
    names = model_labels(results)
    rows = [[Cell(one_line(f"({i}) {one.claim}")), Cell(one.verdict)] for i, one in enumerate(verdicts, 1)]
    notes = [one_line(f"({i}) {because(one, names)}") for i, one in enumerate(verdicts, 1)]
    return Table(one_line(f"{results.suite}: claims"), ["", "Verdict"], rows, notes)


def because(verdict: Verdict, names: dict[str, str]) -> str:
    """Return the numbers behind a verdict."""
    numbers = verdict.readings + [
        f"{names[one.model]} against {names[one.baseline]} on {where(one.dataset)}"
        f" {in_words(one, METRICS[one.metric].decimals)}"
        for one in verdict.evidence[:SHOWN_DIFFERENCES]
    ]
    if (more := len(verdict.evidence) - SHOWN_DIFFERENCES) > 0:
        numbers.append(f"and {more} more")
    if verdict.verdict == "underpowered":
        seeds = min(one.seeds for one in verdict.evidence)
        numbers.append(f"{seeds} {'seed' if seeds == 1 else 'seeds'}, {LEAST_SEEDS} are needed")
    if verdict.missing:
        numbers.append(f"not measured: {', '.join(verdict.missing[:SHOWN_DIFFERENCES])}")
    return "; ".join(numbers)
