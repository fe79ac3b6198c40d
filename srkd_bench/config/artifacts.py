"""Specs of stored artifacts; the digest of a spec is the identity of its artifact."""

from typing import ClassVar, Literal

from pydantic import Field

from srkd_bench.config.base import Artifact, Count, LabelSource, Params, Precision
from srkd_bench.config.network import NetworkSpec
from srkd_bench.config.training import TrainSpec

# Raise it when the loop, the initial weights or the choice of patches change a run's bits.
RECIPE = 2


class Weights(Artifact):
    """A network that was trained elsewhere, identified by the sha256 of its file.

    Args:
        range: value range of the EDSR in the file; other networks have it in their spec.
    """

    folder: ClassVar[str] = "weights"
    kind: ClassVar[str] = "weights"

    sha256: str
    model: NetworkSpec
    range: Literal[1, 255] = Field(default=255, exclude_if=lambda chosen: chosen == 255)


class Run(Artifact):
    """One training, with everything that determines its result.

    Args:
        data, pixels: name of the training set, and the digest of its decoded pixels.
        images: number of training images, the first of the set; None: all.
        method: `none` for teachers and controls; `a+b` for a composition.
        params: of each part of the method, defaults written out, with its `version`.
        teacher: None if no part of the method uses one.
        labels: source of the teacher's SR, as in a suite; `patches` if the method does not use it.
        init: network whose weights the training starts from; None: weights that the seed draws.
        fused: networks whose SRs the model fuses, if it is a `FusionSpec`; their weights are constant.
    """

    folder: ClassVar[str] = "runs"
    kind: ClassVar[str] = "run"

    model: NetworkSpec
    train: TrainSpec
    data: str
    pixels: str
    images: Count | None = Field(default=None, exclude_if=lambda chosen: chosen is None)
    method: str
    params: dict[str, Params]
    seed: int
    teacher: "Run | Weights | None"
    labels: LabelSource = Field(default="patches", exclude_if=lambda chosen: chosen == "patches")
    init: "Run | Weights | None" = Field(default=None, exclude_if=lambda chosen: chosen is None)
    fused: tuple["Run | Weights", ...] = Field(default=(), strict=False, exclude_if=lambda chosen: not chosen)
    recipe: int = RECIPE

    @property
    def teacher_labels(self) -> "Labels | None":
        """The stored labels that it is trained with; None if it uses none."""
        if self.teacher is None or self.labels == "patches":
            return None
        return Labels(
            teacher=self.teacher.digest,
            pixels=self.pixels,
            scale=self.model.scale,
            precision=self.train.precision,
            ensemble=self.labels == "ensemble",
        )


class Labels(Artifact):
    """A teacher's SR of every whole image of a training set. The machine that computed it is in its card.

    Args:
        teacher: digest of a `Run` or `Weights`.
        pixels: digest of the training set's decoded pixels.
        ensemble: the mean over eight flips and rotations.
        recipe: raise it when the same settings would give other labels.
    """

    folder: ClassVar[str] = "labels"
    kind: ClassVar[str] = "labels"

    teacher: str
    pixels: str
    scale: int
    precision: Precision
    ensemble: bool
    recipe: int = 1

    @property
    def passes(self) -> int:
        """Forward passes of the teacher over each image."""
        return 8 if self.ensemble else 1

    @property
    def unfinished(self) -> str:
        """Name of the folder in `work/`; it begins with the kind, since the others there are of runs."""
        return self.lock


class Measurement(Artifact):
    """The scores of one network on one data set: always all metrics.

    Args:
        network: digest of a `Run` or `Weights`, or `bicubic`.
        pixels: digest of the data set's decoded pixels.
        recipe: raise it when scores change although the protocol keeps its name.
    """

    folder: ClassVar[str] = "scores"
    kind: ClassVar[str] = "score"

    network: str
    pixels: str
    scale: int
    self_ensemble: bool = False
    recipe: int = 1


class Pack(Artifact):
    """A data set's images: HR for scale 1, otherwise LR. A newer copy of a data set replaces the older one."""

    folder: ClassVar[str] = "data"
    kind: ClassVar[str] = "data"

    dataset: str
    scale: Literal[1, 2, 3, 4]

    @property
    def name(self) -> str:
        """The data set's name, with the scale of LR images."""
        return self.dataset + (f"_x{self.scale}" if self.scale > 1 else "")

    @property
    def lock(self) -> str:
        """Name of the lock, shared by the images of all scales."""
        return f"{self.kind}-{self.dataset}"


ARTIFACTS: dict[str, type[Artifact]] = {one.folder: one for one in (Run, Weights, Measurement, Labels, Pack)}
