"""Claims about results, which a report checks."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from srkd_bench.config.base import Spec
from srkd_bench.config.metrics import MetricName


class Claim(Spec):
    """A statement that reports check on a suite's scores; docs/statistics.md says by what evidence.

    Exactly one of `best`, `second`, `gain`, `no_gain`, `only` and `reads` is given.

    Args:
        claim: the statement, in words.
        best: this method is above all others of `among`.
        second: one method of `among` is above this one, which is above all others.
        gain: each of these is above `over`, on every data set.
        no_gain: none of these is above `over`, on any data set.
        only: these are above `over` on every data set, and no other method of `among` is.
        reads: the mean of `of` on each of these data sets is this, to within `margin`; seeds have no say in it.
        of: `teacher`, `bicubic` or a method.
        on: data sets; if not given, `best` and `second` are about all together, the others about each.
        not_on: data sets that `gain`, `no_gain` and `only` leave out.
        margin: in the metric's unit; `no_gain` and `only` hold where a gain is surely smaller.
        metric: the report's first if not given.
    """

    claim: Annotated[str, Field(min_length=1, max_length=200)]
    best: str | None = None
    second: str | None = None
    gain: list[str] = []
    no_gain: list[str] = []
    only: list[str] = []
    reads: dict[str, Annotated[float, Field(ge=0, le=1000)]] = {}
    of: str = "teacher"
    among: list[str] = []
    over: str = "none"
    on: list[str] = []
    not_on: list[str] = []
    margin: Annotated[float, Field(ge=0, le=100)] = 0.0
    metric: MetricName | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = ("best", "second", "gain", "no_gain", "only", "reads")
        given = [form for form in forms if getattr(self, form)]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(forms)}, not {' and '.join(given) or 'none'}")
        ranked = set(self.only) | {self.best or self.second}
        if given[0] in ("best", "second", "only") and not set(self.among) - ranked:
            raise ValueError(f"{given[0]} needs others to compare with: among: [...]")
        if self.reads and not self.margin:
            raise ValueError("reads needs a margin: numbers are published rounded")
        return self


class Claims(Spec):
    """A file of claims."""

    claims: Annotated[list[Claim], Field(max_length=100)]
