"""Floating-point precision of training."""

import warnings

import torch
import torch.nn.functional as F

from srkd_bench.config.training import TrainSpec

PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
AMPERE = (8, 0)  # compute capability of the first NVIDIA GPUs with TF32


def autocast(train: TrainSpec, device: torch.device) -> torch.autocast:
    """Return the autocast context for the precision of a training."""
    precision = PRECISIONS[train.precision]
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


def obstacle(precision: str, device: torch.device) -> str:
    """Return why a device cannot train at a precision; empty if it can.

    bf16 and fp16 are tried with a convolution, its gradient and an optimizer step, since torch's own answers differ
    between versions and devices. On a CPU, fp16 would be emulated, and is refused.
    """
    if precision == "tf32" and not _has_tf32(device):
        return "needs an NVIDIA GPU with TF32 (Ampere or later)"
    if precision == "fp16" and device.type == "cpu":
        return "needs a GPU"
    try:
        used = _tried(precision, device)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        return f"does not work on {device}: {reason[:200]}"
    return "" if used == PRECISIONS[precision] else f"is not supported on {device}"


def has_bf16_arithmetic() -> bool:
    """Return whether the processor computes in bfloat16; otherwise it is emulated, many times more slowly."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _has_tf32(device: torch.device) -> bool:
    nvidia = device.type == "cuda" and torch.version.hip is None
    return nvidia and torch.cuda.get_device_capability(device) >= AMPERE


def _tried(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of a convolution's result: float32 if autocast lacks the type of the precision."""
    train = TrainSpec.model_validate({"steps": 1, "precision": precision})
    weight = torch.ones(8, 8, 3, 3, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([weight], fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    with warnings.catch_warnings(action="ignore"), autocast(train, device):
        result = F.conv2d(torch.ones(1, 8, 8, 8, device=device), weight)
    torch.autograd.backward(scaler.scale(result.float().mean()))
    scaler.step(optimizer)
    scaler.update()
    return result.dtype
