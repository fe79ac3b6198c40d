"""Score: one measured value of one image."""

from dataclasses import dataclass

EQUAL_COST = "none@equal-cost"  # the control, trained for as long as a distillation's multiply-adds pay for
Scores = dict[str, dict[str, float]]  # of one data set: by image, by metric


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one image.

    Args:
        model: the column it belongs to: `bicubic`, `teacher`, or a method's name as in the suite (`rkd+hkd`).
        dataset, image: where it was measured; `image` is the file's stem.
        metric: a key of `metrics.METRICS`: `psnr_y`, `ssim_y`, `psnr_rgb`.
        protocol: name and version of the rules that it was measured by: `y@1`, `rgb@1`.
        value: dB for PSNR (may be `inf`), 0..1 for SSIM.
        run: digest of the run, empty for bicubic, weight files and image folders.
        method, seed: of a student; None for everything else.
        suite: name and digest of the settings that it was measured under, as `Suite.identity`; empty if not known.
    """

    model: str
    dataset: str
    image: str
    metric: str
    protocol: str
    value: float
    run: str = ""
    method: str | None = None
    seed: int | None = None
    suite: str = ""
