"""srkd benchmarks knowledge distillation for image super-resolution."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {"contract": "srkd_bench.training.contract.checks"}
"""Public modules under the names that users import; loaded on first use, so that the command starts quickly."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return import_module(_LAZY[name])
    raise AttributeError(f"module 'srkd_bench' has no attribute '{name}'")
