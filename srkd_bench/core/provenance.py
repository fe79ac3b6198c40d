"""Record the versions, machine and command that made an artifact."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from srkd_bench import __version__
from srkd_bench.core.errors import command_line

if TYPE_CHECKING:
    import torch


def provenance(device: torch.device) -> dict[str, object]:
    """Return the provenance of an artifact for its card: versions, machine, device, command, time."""
    import torch

    return {
        "srkd": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "device": device_name(device),
        "command": command_line(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def device_name(device: torch.device) -> str:
    """Return the hardware that determines rounding: the GPU, or the instruction set that torch uses on this CPU."""
    import torch

    if device.type == "cpu":
        return f"cpu {torch.backends.cpu.get_cpu_capability()}"
    named = getattr(torch.get_device_module(device), "get_device_name", None)
    return (
        f"{device.type} {named(device) if named else platform.processor()}"  # Apple's GPU is part of its chip
    )
