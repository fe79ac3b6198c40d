"""Specs of stored artifacts; the digest of a spec is the identity of its artifact."""

from typing import ClassVar, Literal

from pydantic import Field

from srkd_bench.config.base import Artifact, Params
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
        method: `none` for teachers and controls; `a+b` for a composition.
        params: of each part of the method, defaults written out, with its `version`.
        teacher: None if no part of the method uses one.
        init: network whose weights the training starts from; None: weights that the seed draws.
    """

    folder: ClassVar[str] = "runs"
    kind: ClassVar[str] = "run"

    model: NetworkSpec
    train: TrainSpec
    data: str
    pixels: str
    method: str
    params: dict[str, Params]
    seed: int
    teacher: "Run | Weights | None"
    init: "Run | Weights | None" = Field(default=None, exclude_if=lambda chosen: chosen is None)
    recipe: int = RECIPE


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


ARTIFACTS: dict[str, type[Artifact]] = {one.folder: one for one in (Run, Weights, Measurement, Pack)}
