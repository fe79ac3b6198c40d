"""Small networks of other architectures for tests, named like a user's: `tests.support.architectures:Distiller`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Distiller(nn.Module):
    """A small information-distillation network, after IMDN: a part of each block's channels is refined."""

    def __init__(self, width: int = 8, blocks: int = 4, scale: int = 2) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.join = nn.Conv2d(width * blocks, width, 1)
        self.tail = nn.Sequential(nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        outputs = [self.head(x - 0.5)]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        deep: Tensor = self.tail(self.join(torch.cat(outputs[1:], 1)))
        return deep + F.interpolate(x, scale_factor=self.scale, mode="nearest")


class Block(nn.Module):
    """Half of the channels is refined, and all are joined and added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width // 2, width // 2, 3, padding=1)
        self.join = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = F.leaky_relu(self.first(x), 0.05).chunk(2, 1)
        joined: Tensor = self.join(torch.cat([kept, self.second(rest)], 1))
        return joined + x


class Careless(nn.Module):
    """Modifies everything in place: its input, and every feature after passing it on."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        convolution = [nn.Conv2d(3 if i == 0 else 6, 6, 3, padding=1) for i in range(3)]
        self.body = nn.Sequential(
            convolution[0], nn.ReLU(inplace=True), convolution[1], nn.ReLU(inplace=True), convolution[2]
        )
        self.tail = nn.Sequential(
            nn.ReLU(inplace=True), nn.Conv2d(6, 3 * scale**2, 1), nn.PixelShuffle(scale)
        )

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        sr: Tensor = self.tail(self.body(x))
        return sr


class Aside(nn.Module):
    """Its blocks are a branch whose output is not used; with `echo`, the sum of what a block gives in two calls."""

    def __init__(self, echo: bool = False, scale: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
        self.tail = nn.Sequential(nn.Conv2d(3, 3 * scale**2, 1), nn.PixelShuffle(scale))
        self.echo = echo

    def forward(self, x: Tensor) -> Tensor:
        first = [block(x) for block in self.blocks]
        second = [block(1 - x) for block in self.blocks]
        sr: Tensor = self.tail(x + sum(first) + sum(second) if self.echo else x)
        return sr


class Attentive(nn.Module):
    """A small transformer: tokens (N, h*w, C), attention over the whole image, dropout, batch norm at its end."""

    def __init__(self, width: int = 8, depth: int = 3, upscale: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 1)
        self.layers = nn.ModuleList(Layer(width, dropout) for _ in range(depth))
        self.norm = nn.BatchNorm2d(width)
        self.tail = nn.Sequential(nn.Conv2d(width, 3 * upscale**2, 1), nn.PixelShuffle(upscale))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.embed(x)
        tokens = maps.flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens = layer(tokens)
        sr: Tensor = self.tail(self.norm(tokens.transpose(1, 2).reshape(maps.shape)))
        return sr


class Layer(nn.Module):
    """Attention of every pixel to all, and dropout."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.ask, self.give = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key = self.ask(tokens).chunk(2, -1)
        heeded = F.scaled_dot_product_attention(query, key, self.give(tokens))
        dropped: Tensor = self.dropout(heeded)
        return tokens + dropped


class Strided(nn.Module):
    """Works on every other pixel, so that its output depends on the crop position."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(12, 12 * scale**2, 3, padding=1)
        self.down, self.up = nn.PixelUnshuffle(2), nn.PixelShuffle(2 * scale)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        even = F.pad(x, (0, width % 2, 0, height % 2), "replicate")
        sr: Tensor = self.up(self.body(self.down(even)))
        ratio = sr.shape[-1] // even.shape[-1]
        return sr[..., : ratio * height, : ratio * width]


class Channels(nn.Module):
    """Keeps its maps as (N, h, w, C), which cannot be told from (N, C, h, w) everywhere."""

    def __init__(self, scale: int = 2) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 1)
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.tail = nn.Sequential(nn.Conv2d(6, 3 * scale**2, 1), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.embed(x).permute(0, 2, 3, 1)
        for layer in self.layers:
            maps = layer(maps)
        sr: Tensor = self.tail(maps.permute(0, 3, 1, 2))
        return sr


class SameSize(nn.Module):
    """A restoration network: its output has the size of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        restored: Tensor = self.body(x)
        return restored


class Failing(nn.Module):
    """Fails when it is run."""

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("a wire is loose")


def no_class() -> nn.Module:
    """Return a network, although it is not a class."""
    return SameSize()
