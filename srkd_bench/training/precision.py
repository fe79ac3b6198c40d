"""Floating-point precision of training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from srkd_bench.config.training import TrainSpec

PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(train: TrainSpec, device: torch.device) -> torch.autocast:
    """Return the context in which networks run at the precision of a training."""
    precision = PRECISIONS[train.precision]
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


@contextmanager
def tf32(train: TrainSpec) -> Iterator[None]:
    """Use TF32 in the block only if the training's precision is `tf32`; PyTorch's default is to use it."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = train.precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
