"""Specs of networks and their sizes."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from srkd_bench.config.base import Rate, Spec
from srkd_bench.config.messages import CLASS_PATH


class ModelSpec(Spec):
    """An EDSR: `n_feats` filters, `n_resblocks` blocks whose output is multiplied by `res_scale`."""

    n_feats: Annotated[int, Field(ge=1, le=1024, examples=[64])]
    """Filters of a convolution."""
    n_resblocks: Annotated[int, Field(ge=1, le=256, examples=[16])]
    """Residual blocks."""
    res_scale: Annotated[Rate, Field(examples=[0.1])] = 1.0
    """Factor that a block's output is multiplied by."""
    scale: Annotated[Literal[2, 3, 4], Field(examples=[4])] = 2
    """Upscaling factor; the suite's `data.scale` unless given."""

    def __str__(self) -> str:
        return f"EDSR {self.n_feats}×{self.n_resblocks}"

    @property
    def parameters(self) -> int:
        """Number of trainable weights; the fixed mean shift is not counted."""
        layers = _convolutions(self.n_feats, self.scale, 2 * self.n_resblocks + 1)
        return sum(9 * i * o + o for i, o, _ in layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one LR pixel, biases left out."""
        layers = _convolutions(self.n_feats, self.scale, 2 * self.n_resblocks + 1)
        return sum(9 * i * o * pixels for i, o, pixels in layers)


class RcanSpec(Spec):
    """An RCAN: `n_resgroups` groups of `n_resblocks` residual channel attention blocks with `n_feats` filters."""

    arch: Annotated[Literal["rcan"], Field(examples=["rcan"])]
    """`rcan`."""
    n_resgroups: Annotated[int, Field(ge=1, le=64, examples=[10])]
    """Residual groups. Features are read after them."""
    n_resblocks: Annotated[int, Field(ge=1, le=64, examples=[6])]
    """Residual channel attention blocks of a group."""
    n_feats: Annotated[int, Field(ge=1, le=1024, examples=[64])]
    """Filters of a convolution."""
    reduction: Annotated[int, Field(ge=1, le=1024, examples=[16])] = 16
    """Factor by which channel attention reduces `n_feats`, which is a multiple of it."""
    scale: Annotated[Literal[2, 3, 4], Field(examples=[4])] = 2
    """Upscaling factor; the suite's `data.scale` unless given."""

    def __str__(self) -> str:
        return f"RCAN {self.n_resgroups}×{self.n_resblocks}×{self.n_feats}"

    @model_validator(mode="after")
    def _reducible(self) -> Self:
        if self.n_feats % self.reduction:
            raise ValueError(
                f"n_feats must be a multiple of reduction, {self.n_feats} is none of {self.reduction}"
            )
        return self

    @property
    def _layers(self) -> list[tuple[int, int, int]]:
        inner = self.n_resgroups * (2 * self.n_resblocks + 1) + 1
        return _convolutions(self.n_feats, self.scale, inner)

    @property
    def parameters(self) -> int:
        """Number of trainable weights; the fixed mean shift is not counted."""
        n, squeezed = self.n_feats, self.n_feats // self.reduction
        attention = 2 * n * squeezed + n + squeezed
        layers = sum(9 * i * o + o for i, o, _ in self._layers)
        return layers + self.n_resgroups * self.n_resblocks * attention

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one LR pixel, biases left out; channel attention, once an image, is not counted."""
        return sum(9 * i * o * pixels for i, o, pixels in self._layers)


BuiltInSpec = ModelSpec | RcanSpec


def _convolutions(n_feats: int, scale: int, inner: int) -> list[tuple[int, int, int]]:
    """Return (inputs, outputs, pixels per LR pixel) of every 3x3 convolution.

    Args:
        inner: number of convolutions between head and upsampler.
    """
    n, s = n_feats, scale
    up = [(n, 4 * n, 1), (n, 4 * n, 4)] if s == 4 else [(n, s * s * n, 1)]
    return [(3, n, 1), *[(n, n, 1)] * inner, *up[: s // 2], (n, 3, s * s)]


class Counts(Spec):
    """Measured size of a network of another architecture: weights, and multiply-adds for one LR pixel."""

    parameters: Annotated[int, Field(ge=0)]
    multiply_adds: Annotated[int, Field(ge=0)]


class ForeignSpec(Spec):
    """A network of any other architecture, by its class's dotted name; `spandrel:ID` is known by its weights."""

    arch: Annotated[
        str,
        Field(
            pattern=CLASS_PATH,
            max_length=200,
            examples=["mynets.small:FSRCNN"],
        ),
    ]
    """`package.module:Class`, an `nn.Module` that maps (N, 3, h, w) to (N, 3, scale·h, scale·w), with values
    in the `range`."""
    params: Annotated[
        dict[str, int | float | bool | str | list[int] | list[float] | None], Field(examples=[{"width": 32}])
    ] = {}
    """Arguments of the class. The scale is added if the class takes one."""
    blocks: Annotated[str | list[str], Field(examples=[["conv_first", "layers.2"]])] = []
    """Where features are read: module paths, from shallow to deep, or the path of the module that holds them. Found
    automatically if not given."""
    overlap: Annotated[Annotated[int, Field(ge=1, le=4096)] | None, Field(examples=[32])] = None
    """LR pixels of context around a tile. Without it, the measured receptive field."""
    scale: Annotated[Literal[2, 3, 4], Field(examples=[4])] = 2
    """Upscaling factor; the suite's `data.scale` unless given."""
    range: Annotated[Literal[1, 255], Field(examples=[255], exclude_if=lambda chosen: chosen == 1)] = 1
    """Range of the class's inputs and outputs: 1 for [0, 1], 255 for [0, 255]."""
    source: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """SHA-256 of the file that holds the class. srkd fills it in."""
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
        """Number of weights."""
        return self._counted.parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one LR pixel, biases left out; as measured on a small image."""
        return self._counted.multiply_adds

    @property
    def _counted(self) -> Counts:
        if self.counts is None:
            raise ValueError(f"{self} is not inspected yet; planning does that")
        return self.counts


class FusionSpec(Spec):
    """A network that fuses the SRs of several networks, which it contains.

    Args:
        fused: the networks.
        n_feats, n_resblocks: filters and residual blocks of the layers that are trained.
    """

    arch: Literal["fusion"] = "fusion"
    fused: tuple["NetworkSpec", ...] = Field(min_length=2, strict=False)
    n_feats: Annotated[int, Field(ge=1, le=1024)]
    n_resblocks: Annotated[int, Field(ge=1, le=256)]
    scale: Literal[2, 3, 4] = 2

    def __str__(self) -> str:
        return f"fusion of {len(self.fused)} networks"

    @property
    def _layers(self) -> list[tuple[int, int, int]]:
        _, *rest = _convolutions(self.n_feats, self.scale, 2 * self.n_resblocks + 1)
        return [(3 * len(self.fused) * self.scale**2, self.n_feats, 1), *rest]

    @property
    def parameters(self) -> int:
        """Number of weights, those of the fused networks included."""
        return sum(9 * i * o + o for i, o, _ in self._layers) + sum(one.parameters for one in self.fused)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one LR pixel, those of the fused networks included; biases left out."""
        return sum(9 * i * o * pixels for i, o, pixels in self._layers) + self.frozen_multiply_adds

    @property
    def frozen_multiply_adds(self) -> int:
        """Multiply-adds for one LR pixel of the fused networks, which are not trained."""
        return sum(one.multiply_adds for one in self.fused)


def network_spec(raw: Any) -> "ModelSpec | RcanSpec | ForeignSpec | FusionSpec":
    """Return plain data as the spec of an EDSR, or of the network that the key `arch` names.

    Raises:
        ValidationError: the data are neither.
    """
    if isinstance(raw, ModelSpec | RcanSpec | ForeignSpec | FusionSpec):
        return raw
    return kind_of(raw).model_validate(raw)


def kind_of(raw: Any) -> "type[ModelSpec | RcanSpec | ForeignSpec | FusionSpec]":
    """Return the kind of spec that plain data are meant to be."""
    arch = raw.get("arch") if isinstance(raw, dict) else None
    if arch is None:
        return ModelSpec
    return RcanSpec if arch == "rcan" else FusionSpec if arch == "fusion" else ForeignSpec


NetworkSpec = Annotated[
    ModelSpec | RcanSpec | ForeignSpec | FusionSpec,
    PlainValidator(network_spec),
    PlainSerializer(lambda spec: spec.model_dump(mode="json")),
]
