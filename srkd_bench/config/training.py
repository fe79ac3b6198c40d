"""How a network is trained."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from srkd_bench.config.base import Count, Precision, Rate, Spec


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


def overridden(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`; a length given in steps or epochs replaces one given in the other."""
    length = {"steps", "epochs", "steps_per_epoch"}
    drop = length if {"steps", "epochs"} & set(changes) else set()
    return {key: value for key, value in base.items() if key not in drop} | changes
