"""Suites: the specification of a whole study."""

from collections.abc import Hashable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from srkd_bench.config.base import Params, Seed, Spec
from srkd_bench.config.claims import Claim
from srkd_bench.config.metrics import METRICS, MetricName, ProtocolName
from srkd_bench.config.network import NetworkSpec
from srkd_bench.config.training import TrainSpec, overridden


class DataSpec(Spec):
    """Names of data sets: one to train on, any number to measure on, and the scale."""

    train: Annotated[str, Field(description="Data set that all networks are trained on.", examples=["div2k"])]
    test: Annotated[
        list[str],
        Field(
            min_length=1, description="Data sets that networks are measured on.", examples=[["set5", "set14"]]
        ),
    ]
    validation: Annotated[
        str | None,
        Field(
            description="Data set that is measured during training, for learning curves, `srkd tune` and nothing "
            "else; no weight depends on it.",
            examples=["div2k-valid"],
        ),
    ] = None
    scale: Annotated[
        Literal[2, 3, 4], Field(description="Upscaling factor of all networks.", examples=[4])
    ] = 2

    @property
    def names(self) -> list[str]:
        """All of them, each once, training first."""
        return list(dict.fromkeys(filter(None, [self.train, self.validation, *self.test])))


class TeacherSpec(Spec):
    """A network to train (`model` and `train`), or one that exists (`weights`)."""

    model: Annotated[
        NetworkSpec | None,
        Field(
            description="The network to train, as under `student`.",
            examples=[{"n_feats": 64, "n_resblocks": 16}],
        ),
    ] = None
    train: Annotated[
        TrainSpec | None,
        Field(
            description="Training settings that differ from the suite's `train`.", examples=[{"steps": 30000}]
        ),
    ] = None
    weights: Annotated[
        str | None,
        Field(
            description="Existing weights instead of a training: a file, an address, `edsr-official` or "
            "`edsr-baseline-official`. The network's size is read from the file; `model` and `train` are ignored.",
            examples=["edsr_x2.pt"],
        ),
    ] = None
    blocks: Annotated[
        str | list[str],
        Field(
            description="Where features are read in a network of `weights` that is no EDSR: module paths, from "
            "shallow to deep, or the path of the module that holds them.",
            examples=[["conv_first", "layers.2"]],
        ),
    ] = []
    overlap: Annotated[
        Annotated[int, Field(ge=1, le=4096)] | None,
        Field(
            description="LR pixels around a tile for such a network. Without it, the receptive field.",
            examples=[32],
        ),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.model is None and self.weights is None:
            raise ValueError("needs model (to train a teacher) or weights (to load one)")
        if self.weights is None and (self.blocks or self.overlap):
            raise ValueError("blocks and overlap go with weights; with a model, give them in model")
        return self


class EvaluateSpec(Spec):
    """What reports show. Every metric is always measured and kept."""

    protocol: Annotated[
        ProtocolName,
        Field(
            description="Rules of measurement. Scores of two protocols never share a table.", examples=["y@1"]
        ),
    ] = "y@1"
    metrics: Annotated[
        list[MetricName],
        Field(
            description="Metrics that reports show, in this order. Empty: all metrics of the protocol.",
            examples=[["psnr_y"]],
        ),
    ] = []
    self_ensemble: Annotated[
        bool,
        Field(description="Measure the mean of eight flips and rotations of each image.", examples=[True]),
    ] = False

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
    """A whole study: teacher, student, methods × seeds, data sets and how they are measured."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            description="Name of the suite in reports.",
            examples=["my-study"],
        ),
    ]
    data: Annotated[
        DataSpec,
        Field(description="Data sets and scale.", examples=[{"train": "photos", "test": ["photos-test"]}]),
    ]
    teacher: Annotated[
        TeacherSpec,
        Field(
            description="The fixed network that students learn from.", examples=[{"weights": "edsr-official"}]
        ),
    ]
    student: Annotated[
        NetworkSpec,
        Field(
            description="The network that every method trains.", examples=[{"n_feats": 16, "n_resblocks": 8}]
        ),
    ]
    train: Annotated[
        TrainSpec,
        Field(
            description="Training settings of all students, and of the teacher unless `teacher.train` differs.",
            examples=[{"steps": 10000, "schedule": "cosine"}],
        ),
    ]
    methods: Annotated[
        list[str],
        Field(
            description="Methods to compare, or `all` for every installed one. `[]` measures the teacher alone.",
            examples=[["none", "hkd", "rkd+hkd"]],
        ),
    ]
    params: Annotated[
        dict[str, Params],
        Field(
            description="Hyper-parameters by method. A combination `a+b` takes those of `a` and of `b`. The word "
            "`tuned` stands for `tuned: true` without parameters.",
            examples=[{"ckd": {"warmup": 0.02}}],
        ),
    ] = {}
    tuned: Annotated[
        bool,
        Field(
            description="Use each method's best loss weights of `srkd tune`, searched around `params`.",
            examples=[True],
        ),
    ] = False
    seeds: Annotated[
        list[Seed],
        Field(
            min_length=1,
            description="One training of every method for each seed.",
            examples=[[0, 1, 2, 3, 4, 5]],
        ),
    ] = [0]
    evaluate: Annotated[
        EvaluateSpec, Field(description="What reports show.", examples=[{"metrics": ["psnr_y"]}])
    ] = EvaluateSpec()
    claims: Annotated[
        list[Claim],
        Field(
            max_length=100,
            description="Statements that `srkd report --claims` checks. Without any, those of the study.",
            examples=[[{"claim": "HKD helps", "gain": ["hkd"]}]],
        ),
    ] = []

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
            raise ValueError("has an entry twice")
        return value

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        for model in (self.student, self.teacher.model):
            if model is not None and model.scale != self.data.scale:
                raise ValueError(f"data.scale is {self.data.scale}, but a network's scale is {model.scale}")
        return self
