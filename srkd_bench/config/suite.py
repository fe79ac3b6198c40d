"""Suites: the specification of a whole study."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from srkd_bench.config.base import Count, LabelSource, Params, Rate, Seed, Spec, digest_of, flat_params, short
from srkd_bench.config.claims import Claim
from srkd_bench.config.distinct import Distinct
from srkd_bench.config.messages import SUITE_NAME, shown
from srkd_bench.config.metrics import METRICS, MetricName, ProtocolName
from srkd_bench.config.network import ForeignSpec, FusionSpec, ModelSpec, NetworkSpec
from srkd_bench.config.training import TrainSpec, teacher_training


class DataSpec(Spec):
    """Names of data sets or paths of folders: one to train on, any number to measure on, and the scale."""

    train: Annotated[str, Field(examples=["div2k"])]
    """Data set that all networks are trained on."""
    images: Annotated[Count | None, Field(examples=[50], exclude_if=lambda chosen: chosen is None)] = None
    """Number of images that students are trained on: the first ones in the order of their pixels' digests, a fixed
    shuffle that no seed or file name changes. A teacher is trained on all. Without it, all images."""
    test: Annotated[Distinct[str], Field(min_length=1, examples=[["set5", "set14"]])]
    """Data sets that networks are measured on."""
    validation: Annotated[str | None, Field(examples=["div2k-valid"])] = None
    """Data set that is measured during training, only for learning curves and `srkd tune`. Weights of networks
    do not depend on it."""
    scale: Annotated[Literal[2, 3, 4], Field(examples=[4])] = 2
    """Upscaling factor of all networks."""

    @property
    def trained_on(self) -> str:
        """The images that students are trained on: `bsds500`, or `50 images of bsds500`."""
        return self.train if self.images is None else f"{self.images:,} images of {self.train}"

    @property
    def names(self) -> list[str]:
        """All data sets without duplicates, the training set first."""
        return list(dict.fromkeys(filter(None, [self.train, self.validation, *self.test])))


def _teacher_seeds(given: Any) -> Any:
    """Refuse what is neither `paired` nor a list of seeds in one message; a union's own has one for each kind."""
    if given is None or given == "paired":
        return given
    valid = isinstance(given, list) and all(type(one) is int and 0 <= one < 2**32 for one in given)
    if not valid or not given or len({*given}) < len(given):
        raise ValueError(
            f"must be paired or a list of different seeds, such as [0, 1, 2, 3], not {shown(given)[:80]}"
        )
    return given


class TeacherSpec(Spec):
    """A network to train (`model` and `train`), or an existing one (`weights`, and `model` if needed)."""

    model: Annotated[NetworkSpec | None, Field(examples=[{"n_feats": 64, "n_resblocks": 16}])] = None
    """The network to train, as under `student`. Beside `weights`: the network that the file holds, needed if srkd
    does not recognise it."""
    train: Annotated[TrainSpec | None, Field(examples=[{"steps": 30000}])] = None
    """Training settings that differ from the suite's `train`."""
    seeds: Annotated[
        Literal["paired"] | Annotated[Distinct[Seed], Field(min_length=1)] | None,
        BeforeValidator(_teacher_seeds),
        Field(examples=[[0, 1, 2, 3]], exclude_if=lambda chosen: chosen is None),
    ] = None
    """Seeds of several teachers. `paired` trains one teacher for each student seed, with that seed. A list crosses
    its teachers with all student seeds: a method that needs a teacher is trained once for each pair. Without it,
    one teacher with seed 0."""
    weights: Annotated[str | None, Field(examples=["edsr_x2.pt"])] = None
    """Existing weights instead of a training: a file, an address, `edsr-official` or `edsr-baseline-official`.
    Without `model`, the network is recognised from the file."""
    blocks: Annotated[str | list[str], Field(examples=[["conv_first", "layers.2"]])] = []
    """Where features are read in a network of `weights` that is not built in: module paths, from shallow to deep,
    or the path of the module that holds them."""
    overlap: Annotated[Annotated[int, Field(ge=1, le=4096)] | None, Field(examples=[32])] = None
    """LR pixels of context around a tile, in a network of `weights` that is not built in. Without it, the measured
    receptive field."""

    range: Annotated[
        Literal[1, 255] | None, Field(examples=[255], exclude_if=lambda chosen: chosen is None)
    ] = None
    """Highest pixel value that the EDSR or RCAN in `weights` works with. Without it, read from the file."""
    res_scale: Annotated[Rate | None, Field(examples=[0.1], exclude_if=lambda chosen: chosen is None)] = None
    """Residual scale of the EDSR in `weights`, which its file does not state. Without it, 0.1 for 256 or
    more filters, else 1."""
    labels: Annotated[
        LabelSource, Field(examples=["images"], exclude_if=lambda chosen: chosen == "patches")
    ] = "patches"
    """Source of the teacher's SR of training patches. `patches`: a forward pass on every batch. `images`: crops of
    the teacher's SR of whole training images, computed once and stored. `ensemble`: the same, with the mean over
    eight flips and rotations of each image."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.model is None and self.weights is None:
            raise ValueError("needs model (to train a teacher) or weights (to load one)")
        if self.model is not None and (self.blocks or self.overlap or self.res_scale):
            raise ValueError("with a model, give blocks, overlap and res_scale in model")
        if self.range and (self.weights is None or isinstance(self.model, ForeignSpec)):
            raise ValueError(
                "range is of the weights of an EDSR or RCAN; for another network, give it in model"
            )
        if self.train is not None and self.train.stacked:
            raise ValueError("train.stacked is a setting of students: teachers are trained alone")
        if self.weights is not None and self.train is not None:
            raise ValueError("train cannot be given with weights: such a teacher is not trained")
        if self.weights is not None and self.seeds is not None:
            raise ValueError("seeds cannot be given with weights: such a teacher is not trained")
        return self


class FusionTraining(Spec):
    """The network that fuses the SRs of several teachers, and its training."""

    n_feats: Annotated[int, Field(ge=1, le=1024, examples=[64])] = 64
    """Filters of a convolution."""
    n_resblocks: Annotated[int, Field(ge=1, le=256, examples=[8])] = 8
    """Residual blocks."""
    train: Annotated[TrainSpec | None, Field(examples=[{"steps": 30000}])] = None
    """Training settings that differ from the suite's `train`."""

    @model_validator(mode="after")
    def _trained_alone(self) -> Self:
        if self.train is not None and self.train.stacked:
            raise ValueError("train.stacked is a setting of students: the fusion is trained alone")
        return self


def _completed(raw: Any, train: Any, scale: dict[str, Any]) -> dict[str, Any]:
    """Fill in a teacher's derived settings: its network's scale, and its `train`."""
    teacher = dict(raw)
    if teacher.get("model") is not None:
        teacher["model"] = scale | teacher["model"]
        if teacher.get("weights") is None:
            teacher["train"] = teacher_training(train, teacher.get("train") or {})
    return teacher


class EvaluateSpec(Spec):
    """What reports show. Every metric is always measured and kept."""

    protocol: Annotated[ProtocolName, Field(examples=["y@1"])] = "y@1"
    """Evaluation rules. Scores of two protocols never appear in one table."""
    metrics: Annotated[Distinct[MetricName], Field(examples=[["psnr_y"]])] = []
    """Metrics that reports show, in this order. Empty: all metrics of the protocol."""
    self_ensemble: Annotated[bool, Field(examples=[True])] = False
    """Measure the mean of eight flips and rotations of each image."""

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

    name: Annotated[str, Field(pattern=SUITE_NAME, examples=["my-study"])]
    """Name of the suite in reports."""
    data: Annotated[DataSpec, Field(examples=[{"train": "photos", "test": ["photos-test"]}])]
    """Data sets and scale."""
    teacher: Annotated[TeacherSpec, Field(examples=[{"weights": "edsr-official"}])]
    """The fixed network that students learn from."""
    teachers: Annotated[
        list[TeacherSpec],
        Field(
            min_length=2,
            examples=[[{"weights": "edsr_x2.pt"}, {"weights": "rcan_x2.pt"}]],
            exclude_if=lambda chosen: not chosen,
        ),
    ] = []
    """Two or more teachers, instead of `teacher`. Methods that fuse several teachers, such as `mtkd`, learn from a
    network that is trained to fuse their SRs; all others learn from the first."""
    fusion: Annotated[
        FusionTraining | None, Field(examples=[{"n_feats": 64}], exclude_if=lambda chosen: chosen is None)
    ] = None
    """The network that fuses the SRs of `teachers`."""
    student: Annotated[NetworkSpec, Field(examples=[{"n_feats": 16, "n_resblocks": 8}])]
    """The network that every method trains."""
    student_init: Annotated[
        str | None, Field(min_length=1, examples=["edsr_x2.pt"], exclude_if=lambda chosen: chosen is None)
    ] = None
    """Initial weights of the students: the id of a finished run, or a file as under `teacher.weights`. The network
    must have the students' size, and their scale or 2. Without it, the seed determines random weights."""
    train: Annotated[TrainSpec, Field(examples=[{"steps": 10000, "schedule": "cosine"}])]
    """Training settings of all students, and of the teacher unless `teacher.train` differs."""
    methods: Annotated[Distinct[str], Field(examples=[["none", "hkd", "rkd+hkd"]])]
    """Methods to compare, or `all` for every installed one except those that need several teachers or a file that
    the suite lacks. `[]` measures the teacher alone. `none@2x` trains `none` for twice the steps, `none@equal-cost`
    for as many multiply-adds as a method with a teacher."""
    params: Annotated[
        dict[str, Params], BeforeValidator(flat_params), Field(examples=[{"ckd": {"warmup": 0.02}}])
    ] = {}
    """Hyper-parameters by method. A combination `a+b` takes those of `a` and of `b`, unless it has its own, as in
    `{rkd+hkd: {hkd: {weight: 4}}}`. Controls such as `none@2x` take `learning_rate`. The word `tuned` stands for
    `tuned: true` without parameters."""
    tuned: Annotated[bool, Field(examples=[True])] = False
    """Use each method's best loss weights of `srkd tune`, and the best learning rates of controls such
    as `none@2x`, searched around `params`."""
    seeds: Annotated[Distinct[Seed], Field(min_length=1, examples=[[0, 1, 2, 3, 4, 5]])] = [0]
    """One training of every method for each seed."""
    evaluate: Annotated[EvaluateSpec, Field(examples=[{"metrics": ["psnr_y"]}])] = EvaluateSpec()
    """What reports show."""
    claims: Annotated[
        list[Claim], Field(max_length=100, examples=[[{"claim": "HKD helps", "gain": ["hkd"]}]])
    ] = []
    """Statements that `srkd report --claims` checks. Without it, those of the original study."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: Any) -> Any:
        """Fill in derived settings: the networks' scale, the teacher's `train`, and abbreviated values."""
        if isinstance(raw, dict) and None not in (raw.get("teacher"), raw.get("teachers")):
            raise ValueError("teacher and teachers cannot both be given: teachers is for two or more")
        try:
            scale = {"scale": raw["data"].get("scale", 2)}
            several = raw.get("teachers")
            teachers = [_completed(one, raw["train"], scale) for one in several or [raw["teacher"]]]
            methods = ["all"] if raw["methods"] == "all" else raw["methods"]
            more: dict[str, Any] = {"params": {}, "tuned": True} if raw.get("params") == "tuned" else {}
            if several is not None:
                fusion = raw.get("fusion") or {}
                train = teacher_training(raw["train"], fusion.get("train") or {})
                more |= {"teachers": teachers, "fusion": fusion | {"train": train}}
            student = scale | raw["student"]
            if (init := student.pop("init", None)) is not None:  # an id of digits only is a number in YAML
                more["student_init"] = str(init) if type(init) is int else init
            return raw | {"student": student, "teacher": teachers[0], "methods": methods} | more
        except (KeyError, TypeError, AttributeError, ValueError):
            return raw  # a key is missing or no mapping: the fields' own validation reports it

    @model_validator(mode="after")
    def _only_edsr_is_stacked(self) -> Self:
        if self.train.stacked and not isinstance(self.student, ModelSpec):
            raise ValueError(f"train.stacked works with EDSR students only, not with {self.student}")
        return self

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        for model in (self.student, *(one.model for one in self.all_teachers)):
            if model is not None and model.scale != self.data.scale:
                scales = f"data.scale is {self.data.scale}, but a network's scale is {model.scale}"
                raise ValueError(f"{scales}: leave out the network's")
            if isinstance(model, FusionSpec):
                raise ValueError(
                    "a fusion is trained from the teachers that `teachers` lists; it is not a model"
                )
        return self

    @model_validator(mode="after")
    def _several_teachers(self) -> Self:
        if self.fusion is not None and not self.teachers:
            raise ValueError("fusion is the network that fuses several teachers; list them under teachers")
        if any(one.seeds is not None for one in self.teachers):
            raise ValueError("seeds cannot be given with several teachers: each is trained once, with seed 0")
        if len({one.labels for one in self.teachers}) > 1:
            raise ValueError("labels must be the same for all teachers")
        return self

    @property
    def all_teachers(self) -> list[TeacherSpec]:
        """The suite's teachers, one or several; methods that use one learn from the first."""
        return self.teachers or [self.teacher]

    @property
    def identity(self) -> str:
        """The suite's name, and the digest of the settings that decide its networks and their scores: `demo@3f…`.

        Display settings, seeds, methods and test sets are not included; weights files are included by name.
        """
        settings = self.model_dump(
            mode="json",
            include={
                "data": {"train", "images", "scale"},
                "teacher": True,
                "teachers": True,
                "fusion": True,
                "student": True,
                "student_init": True,
                "train": True,
                "params": True,
                "tuned": True,
                "evaluate": {"self_ensemble"},
            },
        )
        for teacher in (settings["teacher"], *settings.get("teachers", [])):
            if teacher["weights"] is not None:
                teacher["weights"] = teacher["weights"].rpartition("/")[2]
        if self.student_init is not None:
            settings["student_init"] = self.student_init.rpartition("/")[2]
        for params in settings["params"].values():
            files = {name: one for name, one in params.items() if str(one).endswith(".pt2")}
            params |= {name: one.rpartition("/")[2] for name, one in files.items()}
        return f"{self.name}@{short(digest_of(settings))}"
