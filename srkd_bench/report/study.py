"""The study's published numbers and claims.

Source: "A Comparative Study of Knowledge Distillation Methods in Lightening a Super-Resolution Model", Table 2.
"""

from pathlib import Path

from srkd_bench.config.claims import Claim, Claims
from srkd_bench.config.suite_file import parse_yaml, validated

SOURCE = (
    "A Comparative Study of Knowledge Distillation Methods in Lightening a Super-Resolution Model, Table 2"
)
COLUMNS = ("teacher", "none", "hkd", "ckd", "rkd", "rvkd", "rkd+hkd")
PSNR_Y_X2 = {
    "set5": (38.193, 37.832, 37.852, 37.879, 37.868, 37.832, 37.846),
    "set14": (33.948, 33.402, 33.355, 33.408, 33.368, 33.346, 33.419),
    "bsd100": (32.320, 32.028, 32.060, 32.049, 32.019, 32.020, 32.061),
    "urban100": (32.967, 31.594, 31.671, 31.604, 31.486, 31.569, 31.671),
}
"""dB at scale 2, one run each; by data set, in the order of `COLUMNS`."""


def study_claims() -> list[Claim]:
    """Return what the study says, as claims; the file is an example of how to write one's own."""
    path = Path(__file__).with_name("study.yaml")
    return validated(Claims, parse_yaml(path.read_text(encoding="utf-8"), path.name), path.name).claims
