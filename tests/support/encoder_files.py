"""Files of small encoders, written by `torch.export.save`."""

from pathlib import Path

import torch
from torch import Tensor, nn


class TwoMaps(nn.Module):
    """Return a feature map, and a second one of half its size that is computed from it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, 3, H, W) to (N, 4, H, W) and (N, 5, H / 2, W / 2)."""
        features = self.first(images).relu()
        return features, self.second(features)


def encoder_file(path: Path, module: nn.Module | None = None, *, fixed: bool = False) -> Path:
    """Write an encoder with fixed random weights to a file, and return its path.

    Args:
        fixed: export it for two images of 16×16 pixels only.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = (module or TwoMaps()).eval()
    sizes = None if fixed else (dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO),)
    program = torch.export.export(module, (torch.rand(2, 3, 16, 16),), dynamic_shapes=sizes)
    torch.export.save(program, path)
    return path
