"""The table of metrics: protocol, label, unit, decimals.

A metric is a row here and a function of the same name in `evaluation.metrics.FUNCTIONS`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

PROTOCOLS = {
    "y@1": "SR is rounded to 8 bits, as a saved PNG; both images become BT.601 luma, not rounded; a border as wide "
    "as the scale (2 pixels at ×2) is left out; a data set's score is the mean of its images'. "
    "SSIM: 11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03, only where the window fits.",
    "rgb@1": "As y@1, but on the three colour channels, with one mean squared error over all of them.",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A column of the reports.

    Args:
        protocol: a key of `PROTOCOLS`.
        label, unit, decimals: how reports print it; `unit` may be empty.
    """

    protocol: str
    label: str
    unit: str
    decimals: int


METRICS = {
    "psnr_y": Metric("y@1", "PSNR-Y", "dB", 3),
    "ssim_y": Metric("y@1", "SSIM-Y", "", 4),
    "psnr_rgb": Metric("rgb@1", "PSNR-RGB", "dB", 3),
}

if TYPE_CHECKING:  # type checkers accept no Literal of a table's keys
    MetricName: TypeAlias = str
    ProtocolName: TypeAlias = str
else:
    MetricName, ProtocolName = Literal[tuple(METRICS)], Literal[tuple(PROTOCOLS)]


def rules(protocol: str) -> str:
    """Describe a protocol's rules; scores of another version of srkd may use an unknown protocol."""
    return PROTOCOLS.get(protocol, "rules of another version")
