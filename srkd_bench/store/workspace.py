"""Store, display, device and options of a running command."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from srkd_bench.core.progress import Display
    from srkd_bench.store.artifact_store import ArtifactStore

# torch keeps eight bits of an index: cuda:256 would be cuda:0.
DEVICE_NAME = re.compile(r"auto|cpu|(cuda|mps|xpu)(:(0|[1-9]\d?))?")
DEVICE_NAMES = "auto, cpu, cuda, cuda:1, mps or xpu"


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


@dataclass(frozen=True)
class RunOptions:
    """Execution options of a command, which do not affect results; they can be sent to other processes.

    Args:
        devices: names of devices, as for `choose_device` or `choose_devices`.
        jobs: number of parallel tasks; the number of devices if None.
        address: of a Ray cluster, `HOST:PORT`; see `executors.ray`.
        checkpoint_seconds: seconds between checkpoints; see `fit`.
    """

    devices: str = "auto"
    jobs: int | None = None
    address: str | None = None
    checkpoint_seconds: float | None = None


@dataclass(frozen=True)
class Workplace:
    """A store, a display and a device of this process, and the options of the command."""

    store: ArtifactStore
    display: Display
    device: torch.device = field(default_factory=_cpu)
    options: RunOptions = field(default_factory=RunOptions)
