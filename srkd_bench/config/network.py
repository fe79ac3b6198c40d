"""Specs of networks and their sizes."""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator

from srkd_bench.config.base import Rate, Spec


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

    def _convolutions(self) -> list[tuple[int, int, int]]:
        """Return (inputs, outputs, pixels per LR pixel) of every 3x3 convolution."""
        n, s = self.n_feats, self.scale
        up = [(n, 4 * n, 1), (n, 4 * n, 4)] if s == 4 else [(n, s * s * n, 1)]
        return [(3, n, 1), *[(n, n, 1)] * (2 * self.n_resblocks + 1), *up[: s // 2], (n, 3, s * s)]

    @property
    def parameters(self) -> int:
        """Number of trainable weights; the fixed mean shift is not counted."""
        return sum(9 * i * o + o for i, o, _ in self._convolutions())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one LR pixel, biases left out."""
        return sum(9 * i * o * pixels for i, o, pixels in self._convolutions())


class Counts(Spec):
    """Measured size of a network of another architecture: weights, and multiply-adds for one LR pixel."""

    parameters: Annotated[int, Field(ge=0)]
    multiply_adds: Annotated[int, Field(ge=0)]


class ForeignSpec(Spec):
    """A network of any other architecture, by its class's dotted name; `spandrel:ID` is known by its weights."""

    arch: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
            max_length=200,
            examples=["mynets.small:FSRCNN"],
        ),
    ]
    """`package.module:Class`, an `nn.Module` that maps (N, 3, h, w) to (N, 3, scale·h, scale·w) in [0, 1], unless
    `range` says otherwise."""
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
    """Range of the values that the class takes and gives: 1 for [0, 1], 255 for [0, 255]."""
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


def network_spec(raw: Any) -> "ModelSpec | ForeignSpec":
    """Return plain data as the spec of an EDSR, or of another network if the key `arch` is present.

    Raises:
        ValidationError: the data are neither.
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
