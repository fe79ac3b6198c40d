"""A small random encoder, with which checks run methods that need an encoder file."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srkd_bench.methods import registry, sources
from srkd_bench.methods.base import Method
from srkd_bench.methods.composition import Composition
from srkd_bench.methods.encoders import SUFFIX
from srkd_bench.networks.pretrained import checksum


class RandomEncoder(nn.Module):
    """Two feature maps, and the scores of six codes: the negative squared distances to random vectors."""

    codes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.register_buffer("codes", torch.randn(6, 5))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, 3, H, W) to (N, 4, H, W), (N, 5, H / 2, W / 2) and scores (N, 6, H / 2, W / 2)."""
        first = self.first(images).tanh()
        second = self.second(first)
        return first, second, -(second[:, None] - self.codes[None, :, :, None, None]).square().sum(2)


def completed(method: Method) -> Method:
    """Return a method with a random encoder for each required parameter that is not set."""
    if isinstance(method, Composition):
        return Composition({name: completed(part) for name, part in method.parts.items()})
    unset = [name for name in registry.required(type(method)) if not getattr(method, name)]
    if not unset:
        return method
    source, _ = _encoder()
    sources.know([source])
    more: dict[str, Any] = dict.fromkeys(unset, f"{source.sha256}{SUFFIX}")
    return replace(method, **more)  # type: ignore[type-var]  # every method is a dataclass


@cache
def _encoder() -> tuple[sources.Source, tempfile.TemporaryDirectory[str]]:
    """Return the encoder's file, and the folder that has it for the life of the process."""
    folder = tempfile.TemporaryDirectory()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = RandomEncoder().eval()
    sizes = (dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO),)
    program = torch.export.export(module, (torch.rand(2, 3, 16, 16),), dynamic_shapes=sizes)
    path = Path(folder.name) / f"encoder{SUFFIX}"
    torch.export.save(program, path)
    return sources.Source(SUFFIX, path.name, checksum(path), path, b"", "", allowed=True), folder
