"""Suites: a whole study as one frozen spec."""

from collections.abc import Hashable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from srkd_bench.config.base import Params, Seed, Spec
from srkd_bench.config.claims import Claim
from srkd_bench.config.metrics import METRICS, MetricName, ProtocolName
from srkd_bench.config.network import NetworkSpec
from srkd_bench.config.training import TrainSpec, overridden


class DataSpec(Spec):
    """Names of data sets: one to train on, any number to measure on, and the scale.

    Args:
        validation: looked at while training goes on, for learning curves; it changes no number.
    """

    train: str
    test: Annotated[list[str], Field(min_length=1)]
    validation: str | None = None
    scale: Literal[2, 3, 4] = 2

    @property
    def names(self) -> list[str]:
        """All of them, each once, training first."""
        return list(dict.fromkeys(filter(None, [self.train, self.validation, *self.test])))


class TeacherSpec(Spec):
    """A network to train (`model` and `train`), or one that exists (`weights`).

    Args:
        train: only what differs from the suite's `train`; written out in full when the suite is read.
        weights: a file, an address or `edsr-official`. The network's size is read from the file; `model` and
            `train` are dropped.
        blocks, overlap: of a network in `weights` that is no EDSR, as in `ForeignSpec`.
    """

    model: NetworkSpec | None = None
    train: TrainSpec | None = None
    weights: str | None = None
    blocks: str | list[str] = []
    overlap: Annotated[int, Field(ge=1, le=4096)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.model is None and self.weights is None:
            raise ValueError("give model (to train one) or weights (to load one)")
        if self.weights is None and (self.blocks or self.overlap):
            raise ValueError("blocks and overlap go with weights; those of a model stand in it")
        return self


class EvaluateSpec(Spec):
    """What reports show. Every metric is always measured and kept.

    Args:
        protocol: the rules; scores of two protocols never share a table.
        metrics: of that protocol; all of them if not said.
    """

    protocol: ProtocolName = "y@1"
    metrics: list[MetricName] = []
    self_ensemble: bool = False

    @model_validator(mode="after")
    def _metrics_of_the_protocol(self) -> Self:
        if wrong := [metric for metric in self.metrics if METRICS[metric].protocol != self.protocol]:
            raise ValueError(f"{wrong[0]} is not measured by protocol {self.protocol}")
        return self

    @property
    def shown(self) -> list[str]:
        """The metrics to show, in order."""
        return list(self.metrics) or [m for m, one in METRICS.items() if one.protocol == self.protocol]


class Suite(Spec):
    """A whole study: teacher, student, methods × seeds, data sets and how they are measured.

    Args:
        methods: names, or `all` for every installed one; none, `[]`, to measure the teacher alone.
        params: hyper-parameters by method; a composition `a+b` takes those of `a` and of `b`. `tuned` stands for
            none but the weights that were found.
        tuned: take the weights that `srkd tune` found best on the validation images, around `params`.
        claims: what `srkd report --claims` checks; the study's if there are none.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    data: DataSpec
    teacher: TeacherSpec
    student: NetworkSpec
    train: TrainSpec
    methods: list[str]
    params: dict[str, Params] = {}
    tuned: bool = False
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]
    evaluate: EvaluateSpec = EvaluateSpec()
    claims: Annotated[list[Claim], Field(max_length=100)] = []

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: Any) -> Any:
        """Write the suite's scale into its networks, its `train` into the teacher's, and short words out."""
        try:
            scale = {"scale": raw["data"].get("scale", 2)}
            teacher = dict(raw["teacher"])
            if teacher.get("weights") is not None:
                teacher = {key: teacher[key] for key in ("weights", "blocks", "overlap") if key in teacher}
            elif teacher.get("model") is not None:
                teacher["model"] = scale | teacher["model"]
                teacher["train"] = overridden(raw["train"], teacher.get("train") or {})
            methods = ["all"] if raw["methods"] == "all" else raw["methods"]
            tuned = {"params": {}, "tuned": True} if raw.get("params") == "tuned" else {}
            whole = {"student": scale | raw["student"], "teacher": teacher, "methods": methods}
            return raw | whole | tuned
        except (KeyError, TypeError, AttributeError, ValueError):
            return raw  # something is missing or no mapping: the fields' own checks say what

    @field_validator("methods", "seeds")
    @classmethod
    def _no_repetition(cls, value: list[Hashable]) -> list[Hashable]:
        if len(set(value)) < len(value):
            raise ValueError("something is listed twice")
        return value

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        for model in (self.student, self.teacher.model):
            if model is not None and model.scale != self.data.scale:
                raise ValueError(f"data.scale is {self.data.scale}, but a network's scale is {model.scale}")
        return self
