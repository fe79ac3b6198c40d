"""Suites and runs as frozen specs; what a spec says decides its digest."""

import hashlib
import json
from collections.abc import Hashable, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    field_validator,
    model_validator,
)

# Raise it when the loop, the initial weights or the choice of patches change a run's bits.
RECIPE = 2

Count = Annotated[int, Field(ge=1, le=100_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(gt=0, le=1)]
Params = dict[str, int | float | bool | str]


class Spec(BaseModel):
    """A frozen record that refuses unknown keys and wrong types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @cached_property
    def digest(self) -> str:
        """The sha256, in hex, of the spec's canonical JSON with all defaults written out."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, and a digest of its own."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("digest", None)
        return copy


class Artifact(Spec):
    """A spec that names what is kept in the store, in one of its folders."""

    folder: ClassVar[str]

    @property
    def place(self) -> str:
        """Where it is kept."""
        return f"{self.folder}/{self.digest[:20]}"


class ModelSpec(Spec):
    """An EDSR: `n_feats` filters, `n_resblocks` blocks whose output is multiplied by `res_scale`."""

    n_feats: Annotated[int, Field(ge=1, le=1024)]
    n_resblocks: Annotated[int, Field(ge=1, le=256)]
    res_scale: Rate = 1.0
    scale: Literal[2, 3, 4] = 2

    def __str__(self) -> str:
        return f"EDSR {self.n_feats}×{self.n_resblocks}"

    def _convolutions(self) -> list[tuple[int, int, int]]:
        """Return (inputs, outputs, pixels per LR pixel) of every 3x3 convolution."""
        n, s = self.n_feats, self.scale
        up = [(n, 4 * n, 1), (n, 4 * n, 4)] if s == 4 else [(n, s * s * n, 1)]
        return [(3, n, 1), *[(n, n, 1)] * (2 * self.n_resblocks + 1), *up[: s // 2], (n, 3, s * s)]

    @property
    def parameters(self) -> int:
        """How many weights are trained; the fixed mean shift isn't counted."""
        return sum(9 * i * o + o for i, o, _ in self._convolutions())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one LR pixel, biases left out."""
        return sum(9 * i * o * pixels for i, o, pixels in self._convolutions())


class Counts(Spec):
    """What a network of another architecture was found to have: weights, and multiply-adds for one LR pixel."""

    parameters: Annotated[int, Field(ge=0)]
    multiply_adds: Annotated[int, Field(ge=0)]


class ForeignSpec(Spec):
    """A network of any other architecture, by the dotted name of its class; `spandrel:ID` is known by its weights.

    Args:
        arch: `package.module:Class`, an `nn.Module` that maps (N, 3, h, w) to (N, 3, scale*h, scale*w) in [0, 1].
        params: what the class is called with; the scale is added where it takes one.
        blocks: where features are read: paths of modules, from shallow to deep, or of the module that holds them.
            Found and written out if not given; empty if there are none.
        overlap: LR pixels around a tile that are taken as enough; if None, what the network really looks at.
        source: sha256 of the file that the class is in; written in when a plan is made.
        counts: filled in when a plan is made; no part of the digest.
    """

    arch: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
    params: dict[str, int | float | bool | str | list[int] | list[float] | None] = {}
    blocks: str | list[str] = []
    overlap: Annotated[int, Field(ge=1, le=4096)] | None = None
    scale: Literal[2, 3, 4] = 2
    source: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    counts: Counts | None = Field(default=None, exclude=True)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __str__(self) -> str:
        settings = ", ".join(f"{key}={value}" for key, value in self.params.items())
        text = self.arch.rpartition(":")[2] + (f" ({settings})" if settings else "")
        return text if len(text) <= 60 else text[:59] + "…"

    @property
    def recognised(self) -> bool:
        """Whether the network is built by spandrel, from its weights alone."""
        return self.arch.startswith("spandrel:")

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return self._counted.parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one LR pixel, biases left out; as measured on a small image."""
        return self._counted.multiply_adds

    @property
    def _counted(self) -> Counts:
        if self.counts is None:
            raise ValueError(f"{self} has not been looked at: a plan does so")
        return self.counts


def network_spec(raw: Any) -> "ModelSpec | ForeignSpec":
    """Return plain data as the spec of an EDSR, or of another network if it says `arch`.

    Raises:
        ValidationError: it is neither.
    """
    if isinstance(raw, ModelSpec | ForeignSpec):
        return raw
    kind = ForeignSpec if isinstance(raw, dict) and "arch" in raw else ModelSpec
    return kind.model_validate(raw)


NetworkSpec = Annotated[
    ModelSpec | ForeignSpec,
    PlainValidator(network_spec),
    PlainSerializer(lambda spec: spec.model_dump(mode="json")),
]


class TrainSpec(Spec):
    """How a network is trained.

    `epochs` (of `steps_per_epoch` steps, 1000 if not said) may stand for `steps`.

    Args:
        loss: against HR; both are means over all elements of SR and HR in [0, 1].
        patch: side of a training patch in LR pixels.
        schedule: `constant`; `step` multiplies by `decay_factor` every `decay_every` steps;
            `cosine` falls to 0.
        augment: flips and rotations, each of the eight with equal chance.
    """

    loss: Literal["mse", "l1"] = "mse"
    batch: Annotated[int, Field(ge=1, le=4096)] = 8
    patch: Annotated[int, Field(ge=1, le=4096)] = 48
    steps: Count
    learning_rate: Rate = 1e-4
    schedule: Literal["constant", "step", "cosine"] = "constant"
    decay_every: Count = 200_000
    decay_factor: Rate = 0.5
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    augment: bool = True

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

    Exactly one of `best`, `second`, `gain`, `no_gain` and `only` is given.

    Args:
        claim: the statement, in words.
        best: this method is above all others of `among`.
        second: one method of `among` is above this one, which is above all others.
        gain: each of these is above `over`, on every data set.
        no_gain: none of these is above `over`, on any data set.
        only: these are above `over` on every data set, and no other method of `among` is.
        on: data sets; if not given, `best` and `second` are about all together, the others about each.
        not_on: data sets that `gain`, `no_gain` and `only` leave out.
        margin: `no_gain` and `only` hold where a gain is surely smaller, in the metric's unit.
        metric: the report's first if not given.
    """

    claim: Annotated[str, Field(min_length=1, max_length=200)]
    best: str | None = None
    second: str | None = None
    gain: list[str] = []
    no_gain: list[str] = []
    only: list[str] = []
    among: list[str] = []
    over: str = "none"
    on: list[str] = []
    not_on: list[str] = []
    margin: Annotated[float, Field(ge=0, le=100)] = 0.0
    metric: Literal["psnr_y", "ssim_y", "psnr_rgb"] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = ("best", "second", "gain", "no_gain", "only")
        given = [form for form in forms if getattr(self, form)]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(forms)}, not {' and '.join(given) or 'none'}")
        ranked = set(self.only) | {self.best or self.second}
        if given[0] in ("best", "second", "only") and not set(self.among) - ranked:
            raise ValueError(f"{given[0]} needs others to compare with: among: [...]")
        return self


class Claims(Spec):
    """A file of claims."""

    claims: Annotated[list[Claim], Field(max_length=100)]


class Suite(Spec):
    """A whole study: teacher, student, methods × seeds, data sets and how they are measured.

    Args:
        methods: names, or `all` for every installed one.
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
    methods: Annotated[list[str], Field(min_length=1)]
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
