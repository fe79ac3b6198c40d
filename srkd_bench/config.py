"""Suites and runs as frozen specs; what a spec says decides its digest."""

from collections.abc import Hashable
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from srkd_bench.networkspec import NetworkSpec
from srkd_bench.spec import Artifact, Count, Params, Precision, Rate, Seed, Spec

# Raise it when the loop, the initial weights or the choice of patches change a run's bits.
RECIPE = 2


class TrainSpec(Spec):
    """How a network is trained.

    `epochs` (of `steps_per_epoch` steps, 1000 if not said) may stand for `steps`.

    Args:
        loss: against HR; both are means over all elements of SR and HR in [0, 1].
        patch: side of a training patch in LR pixels.
        schedule: `constant`; `step` multiplies by `decay_factor` every `decay_every` steps;
            `cosine` falls to 0.
        restarts: steps at which a cosine begins anew (Loshchilov & Hutter, ICLR 2017), at `decay_factor` times the
            rate of the one before and with an optimizer that has forgotten.
        precision: tf32 and fp16 need a CUDA device; fp32 is without TF32 there.
        augment: flips and rotations, each of the eight with equal chance.
        compile: let torch.compile join a network's layers. It rounds otherwise, so that it is part of the digest
            where it is on.
    """

    loss: Literal["mse", "l1"] = "mse"
    batch: Annotated[int, Field(ge=1, le=4096)] = 8
    patch: Annotated[int, Field(ge=1, le=4096)] = 48
    steps: Count
    learning_rate: Rate = 1e-4
    schedule: Literal["constant", "step", "cosine"] = "constant"
    decay_every: Count = 200_000
    decay_factor: Rate = 0.5
    restarts: tuple[Count, ...] = Field(default=(), strict=False, exclude_if=lambda chosen: not chosen)
    precision: Precision = "fp32"
    augment: bool = True
    compile: bool = Field(default=False, exclude_if=lambda chosen: not chosen)

    @model_validator(mode="after")
    def _restarts_lie_within(self) -> Self:
        if self.restarts and self.schedule != "cosine":
            raise ValueError("restarts go with schedule: cosine")
        if not all(a < b for a, b in pairwise([0, *self.restarts, self.steps])):
            raise ValueError("restarts rise, and lie below steps")
        return self

    @model_validator(mode="before")
    @classmethod
    def _epochs_are_steps(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "epochs" not in raw:
            return raw
        rest = {key: value for key, value in raw.items() if key not in ("epochs", "steps_per_epoch")}
        epochs, each = raw["epochs"], raw.get("steps_per_epoch", 1000)
        if "steps" in rest:
            raise ValueError("steps and epochs are both given")
        if type(epochs) is not int or type(each) is not int:
            raise ValueError("epochs and steps_per_epoch are whole numbers")
        return rest | {"steps": epochs * each}

    def __str__(self) -> str:
        return f"{self.steps:,} steps of {self.batch} patches of {self.patch}×{self.patch} LR pixels"


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

    protocol: Literal["y@1", "rgb@1"] = "y@1"
    metrics: list[Literal["psnr_y", "ssim_y", "psnr_rgb"]] = []
    self_ensemble: bool = False

    @model_validator(mode="after")
    def _metrics_of_the_protocol(self) -> Self:
        if wrong := [metric for metric in self.metrics if not self._has(metric)]:
            raise ValueError(f"{wrong[0]} is not measured by protocol {self.protocol}")
        return self

    def _has(self, metric: str) -> bool:
        return metric.endswith("_" + self.protocol.partition("@")[0])

    @property
    def shown(self) -> list[str]:
        """The metrics to show, in order."""
        return list(self.metrics) or [m for m in ("psnr_y", "ssim_y", "psnr_rgb") if self._has(m)]


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
    metric: Literal["psnr_y", "ssim_y", "psnr_rgb"] | None = None

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


class Weights(Artifact):
    """A network that was trained elsewhere, known by its file's sha256."""

    folder: ClassVar[str] = "weights"

    sha256: str
    model: NetworkSpec


class Run(Artifact):
    """One training, with everything that decides its numbers.

    Args:
        data, pixels: name of the training set, and the digest of its decoded pixels.
        method: `none` for teachers and controls; `a+b` for a composition.
        params: of each part of the method, defaults written out, with its `version`.
        teacher: None if no part of the method looks at one.
    """

    folder: ClassVar[str] = "runs"

    model: NetworkSpec
    train: TrainSpec
    data: str
    pixels: str
    method: str
    params: dict[str, Params]
    seed: int
    teacher: "Run | Weights | None"
    recipe: int = RECIPE


class Measurement(Artifact):
    """The scores of one network on one data set: always all metrics.

    Args:
        network: digest of a `Run` or `Weights`, or `bicubic`.
        pixels: digest of the data set's decoded pixels.
        recipe: raise it when a number changes that a protocol's name doesn't tell apart.
    """

    folder: ClassVar[str] = "scores"

    network: str
    pixels: str
    scale: int
    self_ensemble: bool = False
    recipe: int = 1


class Pack(Artifact):
    """A data set's images: HR for scale 1, else LR. The latest copy of a data set is kept, whatever its pixels."""

    folder: ClassVar[str] = "data"

    dataset: str
    scale: Literal[1, 2, 3, 4]

    @property
    def place(self) -> str:
        """Where it is kept: by its name."""
        return f"{self.folder}/{self.dataset}" + (f"_x{self.scale}" if self.scale > 1 else "")


def overridden(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`; a length given in steps or epochs replaces one given in the other."""
    length = {"steps", "epochs", "steps_per_epoch"}
    drop = length if {"steps", "epochs"} & set(changes) else set()
    return {key: value for key, value in base.items() if key not in drop} | changes
