"""The stable interface for your own distillation methods."""

from srkd_bench.methods.base import (
    KINDS,
    LATER,
    HasTail,
    Losses,
    Method,
    Share,
    Step,
    TeacherView,
    Weight,
    Width,
)
from srkd_bench.methods.features import channel_statistics, sample_features
from srkd_bench.networks.base import Output

__all__ = [
    "KINDS",
    "LATER",
    "HasTail",
    "Losses",
    "Method",
    "Output",
    "Share",
    "Step",
    "TeacherView",
    "Weight",
    "Width",
    "channel_statistics",
    "sample_features",
]
