"""Results: what a report is made from."""

from dataclasses import dataclass, field
from typing import Any, Literal

from srkd_bench.evaluation.scores import Score


@dataclass(frozen=True)
class Network:
    """What a network costs.

    Args:
        role: whose place it takes in the comparison.
        description: such as `EDSR 256x32`.
        parameters: true count of the network as it is used, without what is only trained beside it.
        multiply_adds: for one SR image of 1280x720 pixels.
    """

    role: Literal["teacher", "student"]
    description: str
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class About:
    """What a method says of itself.

    Args:
        summary: what it does, in one line.
        kind: what is compared with the teacher: `none`, `response`, `relation`, `feature` or `composition`.
        source: authors, place and year.
    """

    summary: str
    kind: str
    source: str


@dataclass(frozen=True)
class Training:
    """How a network of the report was trained.

    Args:
        model, seed: as in `Score`.
        events: in order of steps, as the loop logged them: `step`, `learning_rate`, `terms` by name, `share` (of
            the gradient: the distillation terms' against the ground truth's), in some `validation` (PSNR-Y in dB).
        card: versions, machine, command, `seconds`, when it was finished.
    """

    model: str
    seed: int | None
    events: list[dict[str, Any]]
    card: dict[str, Any]


@dataclass(frozen=True)
class Results:
    """All that a report says, and the order it says it in.

    Args:
        suite: the report's name.
        columns: models in order: `bicubic`, `teacher`, methods (`none`, `rkd+hkd`), weight files, image folders.
        datasets, metrics: rows and tables in order; metrics are keys of `metrics.METRICS`.
        scores: what was measured so far; columns or data sets without any are shown as missing.
        seeds: those asked for; a student that was measured on fewer is marked.
        budget: how long each student is trained, in words: `1,500 steps of 8 patches of 24x24 LR pixels`.
        notes: whatever is partial or unusual: `hkd seed 2: not trained yet`, `self-ensemble`.
        baseline: the method that all others are compared with.
        trainings: of the networks that are finished; only where they were asked for.
        scale: how many times wider and higher SR is than LR; None where it isn't known.
        about: methods by name.
    """

    suite: str
    columns: list[str]
    datasets: list[str]
    metrics: list[str]
    scores: list[Score] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    budget: str = ""
    notes: list[str] = field(default_factory=list)
    baseline: str = "none"
    trainings: list[Training] = field(default_factory=list)
    scale: int | None = None
    about: dict[str, About] = field(default_factory=dict)
