"""Training settings."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from srkd_bench.config.base import Count, Loss, Precision, Rate, Spec
from srkd_bench.config.messages import shown

Beta = Annotated[float, Field(ge=0, lt=1)]
ADAM = (0.9, 0.999)
STACK_WIDTH = 6  # fewest groups of a stack: with fewer, convolutions round differently


def _compilation(given: Any) -> Any:
    """Refuse other values in one message; a union's own has one for each kind."""
    if type(given) is not bool and given != "reduce-overhead":
        raise ValueError(f"must be true, false or reduce-overhead, not {shown(given)[:80]}")
    return given


class TrainSpec(Spec):
    """How a network is trained, with Adam.

    `epochs` (of `steps_per_epoch` steps, 1000 unless given) may replace `steps`.
    """

    loss: Annotated[Loss, Field(examples=["l1"])] = "mse"
    """Loss against HR: the mean over all elements in [0, 1]. Methods that compare SR with SR use it too."""
    batch: Annotated[int, Field(ge=1, le=4096, examples=[16])] = 8
    """Patches per step."""
    patch: Annotated[int, Field(ge=1, le=4096, examples=[24])] = 48
    """Side of a training patch in LR pixels."""
    steps: Annotated[Count, Field(examples=[10000])]
    """Number of optimizer steps. `epochs` may be given instead, with `steps_per_epoch` (1000)."""
    learning_rate: Annotated[Rate, Field(examples=[1.5e-3])] = 1e-4
    """Learning rate of the first step."""
    betas: Annotated[tuple[Beta, Beta], Field(examples=[[0.9, 0.99]])] = Field(
        default=ADAM, strict=False, exclude_if=lambda chosen: chosen == ADAM
    )
    """Decay rates of Adam's averages of the gradient and of its square."""
    schedule: Annotated[Literal["constant", "step", "cosine"], Field(examples=["cosine"])] = "constant"
    """`constant`; `step` multiplies the rate by `decay_factor` every `decay_every` steps; `cosine` falls to 0."""
    decay_every: Annotated[Count, Field(examples=[50000])] = 200_000
    """Steps between two decays of `schedule: step`, unless there are `milestones`."""
    milestones: Annotated[tuple[Count, ...], Field(examples=[[100000, 200000]])] = Field(
        default=(), strict=False, exclude_if=lambda chosen: not chosen
    )
    """Steps at which `schedule: step` decays, instead of every `decay_every`."""
    decay_factor: Annotated[Rate, Field(examples=[0.1])] = 0.5
    """Factor of a decay, and of each restart of a cosine."""
    restarts: Annotated[tuple[Count, ...], Field(examples=[[20000]])] = Field(
        default=(), strict=False, exclude_if=lambda chosen: not chosen
    )
    """Steps at which a cosine restarts (Loshchilov and Hutter, ICLR 2017), at `decay_factor` times the previous
    rate and with a reset optimizer."""
    precision: Annotated[Precision, Field(examples=["bf16"])] = "fp32"
    """Arithmetic of forward and backward passes. `tf32` needs an NVIDIA GPU, and `fp16` a GPU; `fp32` excludes
    TF32."""
    ema: Annotated[
        float | None, Field(gt=0, lt=1, examples=[0.999], exclude_if=lambda chosen: chosen is None)
    ] = None
    """Decay of an exponential moving average of the weights: after each step, `ema` times the average plus
    `1 - ema` times the weights. The average is what is stored and measured. Without it, the weights themselves."""
    augment: Annotated[bool, Field(examples=[False])] = True
    """Flip and rotate patches, each of the eight ways equally often."""
    compile: Annotated[
        bool | Literal["reduce-overhead"], BeforeValidator(_compilation), Field(examples=[True])
    ] = Field(default=False, exclude_if=lambda chosen: not chosen)
    """Compile networks with torch.compile; `reduce-overhead` also records CUDA graphs. Rounding differs, so it is
    part of a run's digest when it is on."""
    stacked: Annotated[bool, Field(examples=[True])] = Field(
        default=False, exclude_if=lambda chosen: not chosen
    )
    """Train EDSR students of several methods and seeds together as one grouped network, which is faster for small
    networks on small patches. Only students of methods that use SR alone are stacked; the others train as without
    it. Rounding differs, so it is part of the digest of a stacked run."""

    @model_validator(mode="after")
    def _can_be_stacked(self) -> Self:
        if self.stacked and self.compile:
            raise ValueError("stacked and compile cannot both be true")
        if self.stacked and self.precision == "fp16":
            raise ValueError("stacked works with precision fp32, tf32 or bf16, not fp16")
        return self

    @model_validator(mode="after")
    def _steps_of_the_schedule(self) -> Self:
        for name, given, schedule in (
            ("restarts", self.restarts, "cosine"),
            ("milestones", self.milestones, "step"),
        ):
            if given and self.schedule != schedule:
                raise ValueError(f"{name} need schedule: {schedule}")
            if not all(a < b for a, b in pairwise([0, *given, self.steps])):
                raise ValueError(f"{name} must increase and be less than steps")
        return self

    @model_validator(mode="before")
    @classmethod
    def _epochs_are_steps(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "epochs" not in raw:
            return raw
        rest = {key: value for key, value in raw.items() if key not in ("epochs", "steps_per_epoch")}
        epochs, each = raw["epochs"], raw.get("steps_per_epoch", 1000)
        if "steps" in rest:
            raise ValueError("steps and epochs cannot both be given")
        if type(epochs) is not int or type(each) is not int:
            raise ValueError("epochs and steps_per_epoch must be whole numbers")
        return rest | {"steps": epochs * each}

    def __str__(self) -> str:
        return f"{self.steps:,} steps of {self.batch} patches of {self.patch}×{self.patch} LR pixels"


def overridden(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`; a length in steps replaces one in epochs, and vice versa."""
    length = {"steps", "epochs", "steps_per_epoch"}
    drop = length if {"steps", "epochs"} & set(changes) else set()
    return {key: value for key, value in base.items() if key not in drop} | changes
