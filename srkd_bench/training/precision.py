"""Floating-point precision of training."""

import torch

from srkd_bench.config.training import TrainSpec

PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(train: TrainSpec, device: torch.device) -> torch.autocast:
    """Return the autocast context for the precision of a training."""
    precision = PRECISIONS[train.precision]
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)
