"""The stable interface for your own distillation methods."""

from srkd_bench.methods.base import (
    KINDS,
    LATER,
    PIXEL_LOSSES,
    REQUIRED,
    Depth,
    Factor,
    Losses,
    Method,
    PixelLoss,
    Share,
    Step,
    TeacherView,
    Weight,
    Width,
    originally,
)
from srkd_bench.methods.distances import Domain, distance
from srkd_bench.methods.encoders import Encoder, EncoderFile
from srkd_bench.methods.encoders import load as load_encoder
from srkd_bench.methods.features import channel_statistics, sample_features
from srkd_bench.networks.base import BODY, HEAD, Output, update_average

__all__ = [
    "BODY",
    "HEAD",
    "KINDS",
    "LATER",
    "PIXEL_LOSSES",
    "REQUIRED",
    "Depth",
    "Domain",
    "Encoder",
    "EncoderFile",
    "Factor",
    "Losses",
    "Method",
    "Output",
    "PixelLoss",
    "Share",
    "Step",
    "TeacherView",
    "Weight",
    "Width",
    "channel_statistics",
    "distance",
    "load_encoder",
    "originally",
    "sample_features",
    "update_average",
]
