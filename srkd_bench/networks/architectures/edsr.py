"""EDSR (Lim et al., CVPR Workshops 2017), and its weight files of other projects."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.networks.architectures.residual import (
    ResidualNetwork,
    conv,
    filled,
    in_known_range,
    parted,
    upsampling,
)
from srkd_bench.networks.weight_files import WeightFile

NAMES = "EDSR (names such as head.0.weight and body.0.body.0.weight, or conv_first.weight and body.0.conv1.weight)"
_NAME = re.compile(r"(head\.0|body\.\d+(\.body\.[02])?|tail\.0\.[02]|tail\.1)\.(weight|bias)")


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a ReLU, multiplied by `res_scale` and added to the input."""

    def __init__(self, n_feats: int, res_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(n_feats, n_feats), nn.ReLU(inplace=True), conv(n_feats, n_feats))
        self.res_scale = res_scale

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_feats, h, w) to the same shape."""
        residual: Tensor = self.body(x)
        return x + (residual if self.res_scale == 1 else residual * self.res_scale)


class EDSR(ResidualNetwork):
    """Enhanced deep residual network (Lim et al., CVPRW 2017, arXiv:1707.02921)."""

    spec: ModelSpec

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, (ResBlock(spec.n_feats, spec.res_scale) for _ in range(spec.n_resblocks)))

    @property
    def halo(self) -> int:
        """Radius of the receptive field in LR pixels: head, body, upsampler, last layer."""
        return 2 * self.spec.n_resblocks + 5


def detect(file: WeightFile) -> EDSR | None:
    """Read a state dict with EDSR-PyTorch's or BasicSR's names.

    The size is read from the shapes. The files do not contain `res_scale`: unless the user sets it, it is 0.1 from
    256 filters on and 1 below, as in EDSR's paper. A network of range 0..1 is converted to range 0..255, which
    changes its biases only.
    """
    weights, shift = parted(file.state)
    state = _as_edsr_pytorch(weights)
    spec = (
        file.hints.model if isinstance(file.hints.model, ModelSpec) else _spec_of(state, file.hints.res_scale)
    )
    if spec is None or 2 * sum(bool(_NAME.fullmatch(name)) for name in state) < len(state):
        return None
    return in_known_range(filled(EDSR, spec, state, file.path), shift, file)


def _as_edsr_pytorch(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of BasicSR's EDSR by EDSR-PyTorch's names, others as they are."""
    if not {"conv_first.weight", "conv_after_body.weight", "conv_last.weight"} <= state.keys():
        return dict(state)
    blocks = sum(name.startswith("body.") and name.endswith(".conv1.weight") for name in state)
    names = {
        r"conv_first\.": "head.0.",
        r"body\.(\d+)\.conv1\.": r"body.\1.body.0.",
        r"body\.(\d+)\.conv2\.": r"body.\1.body.2.",
        r"conv_after_body\.": f"body.{blocks}.",
        r"upsample\.": "tail.0.",
        r"conv_last\.": "tail.1.",
    }

    def renamed(name: str) -> str:
        for theirs, ours in names.items():
            if re.match(theirs, name):
                return re.sub(f"^{theirs}", ours, name)
        return name

    return {renamed(name): value for name, value in state.items()}


def _spec_of(state: Mapping[str, Tensor], res_scale: float | None) -> ModelSpec | None:
    """Return the size of a network with EDSR-PyTorch's names; None if it is another."""
    try:
        size = upsampling(state)
        raw = {
            "n_resblocks": sum(bool(re.fullmatch(r"body\.\d+\.body\.0\.weight", name)) for name in state),
            "res_scale": res_scale or (0.1 if size["n_feats"] >= 256 else 1.0),
        }
        return ModelSpec.model_validate(size | raw)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None
