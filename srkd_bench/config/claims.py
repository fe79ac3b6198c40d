"""Claims about results, which reports check."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from srkd_bench.config.base import Spec
from srkd_bench.config.distinct import Distinct
from srkd_bench.config.metrics import MetricName


class Claim(Spec):
    """A statement that reports check against a suite's scores; docs/statistics.md defines the evidence.

    Exactly one of `best`, `second`, `gain`, `no_gain`, `only` and `reads` is given.
    """

    claim: Annotated[str, Field(min_length=1, max_length=200, examples=["HKD is the best"])]
    """The statement, in words."""
    best: Annotated[str | None, Field(examples=["hkd"])] = None
    """This method is above all others of `among`."""
    second: Annotated[str | None, Field(examples=["ckd"])] = None
    """One method of `among` is above this method, which is above all others."""
    gain: Annotated[Distinct[str], Field(examples=[["hkd", "rvkd"]])] = []
    """Each of these methods is above `over` on every data set."""
    no_gain: Annotated[Distinct[str], Field(examples=[["rkd"]])] = []
    """None of these methods is above `over` on any data set."""
    only: Annotated[Distinct[str], Field(examples=[["hkd"]])] = []
    """These methods are above `over` on every data set, and no other method of `among` is."""
    reads: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1000)]], Field(examples=[{"set5": 38.19}])
    ] = {}
    """Mean of `of` on each of these data sets, to within `margin`. Seeds are not considered."""
    of: Annotated[str, Field(examples=["bicubic"])] = "teacher"
    """What `reads` is about: `teacher`, `bicubic` or a method."""
    among: Annotated[Distinct[str], Field(examples=[["hkd", "ckd", "rkd"]])] = []
    """Methods that `best`, `second` and `only` compare."""
    over: Annotated[str, Field(examples=["hkd"])] = "none"
    """Method that `gain`, `no_gain` and `only` compare with."""
    on: Annotated[Distinct[str], Field(examples=[["set5"]])] = []
    """Data sets of the claim. Without it, `best` and `second` are about all data sets together, the others about
    each."""
    not_on: Annotated[Distinct[str], Field(examples=[["set5"]])] = []
    """Data sets that `gain`, `no_gain` and `only` exclude."""
    margin: Annotated[float, Field(ge=0, le=100, examples=[0.02])] = 0.0
    """In the metric's unit: `no_gain` and `only` hold where the gain is below it; `reads` allows this
    difference."""
    metric: Annotated[MetricName | None, Field(examples=["ssim_y"])] = None
    """Metric of the claim. Without it, the report's first."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = ("best", "second", "gain", "no_gain", "only", "reads")
        given = [form for form in forms if getattr(self, form)]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(forms)}, not {' and '.join(given) or 'none'}")
        ranked = set(self.only) | {self.best or self.second}
        if given[0] in ("best", "second", "only") and not set(self.among) - ranked:
            raise ValueError(f"{given[0]} needs methods to compare with: among: [...]")
        if self.reads and not self.margin:
            raise ValueError("reads needs a margin, since published numbers are rounded")
        return self


class Claims(Spec):
    """A file of claims."""

    claims: Annotated[list[Claim], Field(max_length=100)]
