"""The base class of all specs: immutable, validated, identified by a digest."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=100_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Loss = Literal["mse", "l1"]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
LabelSource = Literal["patches", "images", "ensemble"]
Rate = Annotated[float, Field(gt=0, le=1)]
Params = dict[str, int | float | bool | str]
DIGITS = 20  # of a digest, in the names of folders and files


def flat_params(params: Any) -> Any:
    """Return hyper-parameters by method, in which a composition names those of its parts `part.parameter`.

    `{"rkd+hkd": {"hkd": {"weight": 4}}}` becomes `{"rkd+hkd": {"hkd.weight": 4}}`. Validation refuses what is not
    of this form.
    """
    if not isinstance(params, dict) or not all(isinstance(one, dict) for one in params.values()):
        return params
    return {method: dict(_flat(own) if "+" in str(method) else own) for method, own in params.items()}


def _flat(params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part, own in params.items():
        if isinstance(own, dict):
            yield from ((f"{part}.{name}", value) for name, value in own.items())
        else:
            yield part, own


def short(digest: str) -> str:
    """Return the leading hex digits of a digest, as used in file and folder names."""
    return digest[:DIGITS]


def digest_of(plain: Any) -> str:
    """Return the sha256, in hex, of the canonical JSON of plain data."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Spec(BaseModel):
    """A frozen record that refuses unknown keys and wrong types.

    The docstring below a field explains it; the documentation reads it from the source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @cached_property
    def digest(self) -> str:
        """The sha256, in hex, of the spec's canonical JSON with all defaults written out."""
        return digest_of(self.model_dump(mode="json"))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, and a digest of its own."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("digest", None)
        return copy


class Artifact(Spec):
    """The spec of an artifact in the store.

    Attributes:
        folder: the store's folder for artifacts of this class.
        kind: prefix of their locks' names.
    """

    folder: ClassVar[str]
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """The name of the artifact within its folder."""
        return short(self.digest)

    @property
    def place(self) -> str:
        """The path of the artifact within the store."""
        return f"{self.folder}/{self.name}"

    @property
    def lock(self) -> str:
        """Name of the lock that the process making the artifact holds."""
        return f"{self.kind}-{self.name}"

    @property
    def unfinished(self) -> str:
        """Name of the folder in `work/` that holds unfinished work on the artifact."""
        return self.name
