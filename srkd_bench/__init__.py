"""srkd benchmarks knowledge distillation for image super-resolution.

`import srkd_bench as srkd` gives the Python interface: `srkd.run`, `srkd.results`, `srkd.load`, `srkd.evaluate`,
`srkd.imresize`, `srkd.psnr_y` and `srkd.ssim_y`. Errors are `srkd.SrkdError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srkd_bench.core.errors import SrkdError
    from srkd_bench.experiments.api import evaluate, imresize, load, psnr_y, results, run, ssim_y
    from srkd_bench.experiments.study_results import StudyResults
    from srkd_bench.training.contract import checks as contract

__version__ = "0.1.0"
__all__ = [
    "SrkdError",
    "StudyResults",
    "__version__",
    "contract",
    "evaluate",
    "imresize",
    "load",
    "psnr_y",
    "results",
    "run",
    "ssim_y",
]

_API = ["evaluate", "imresize", "load", "psnr_y", "results", "run", "ssim_y"]
_LAZY = {name: f"srkd_bench.experiments.api:{name}" for name in _API} | {
    "SrkdError": "srkd_bench.core.errors:SrkdError",
    "StudyResults": "srkd_bench.experiments.study_results:StudyResults",
    "contract": "srkd_bench.training.contract.checks:",
}
"""Public names and where they are; loaded on first use, so that the command starts quickly."""

if not TYPE_CHECKING:  # type checkers use the imports above instead, and so report misspelled names

    def __getattr__(name: str) -> object:
        if name not in _LAZY:
            raise AttributeError(f"module 'srkd_bench' has no attribute '{name}'")
        module, _, attribute = _LAZY[name].partition(":")
        found = import_module(module)
        return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
