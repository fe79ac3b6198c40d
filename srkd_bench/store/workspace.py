"""Where and how work is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from srkd_bench.core.progress import Display
    from srkd_bench.store.artifact_store import ArtifactStore


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


@dataclass(frozen=True)
class Workplace:
    """Where and how work is done; nothing here changes a number.

    Args:
        checkpoint_seconds: seconds between checkpoints; see `fit`.
        teacher_cache: bytes that the teacher's cached SR may take.
    """

    store: ArtifactStore
    display: Display
    device: torch.device = field(default_factory=_cpu)
    checkpoint_seconds: float | None = None
    teacher_cache: float = 0.0
