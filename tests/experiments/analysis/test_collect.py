"""Collecting results starts without heavy imports."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["collect", "compare", "listing"])
def test_results_are_collected_without_torch_and_matplotlib(module: str) -> None:
    heavy = "{'torch', 'matplotlib'} & set(sys.modules)"
    code = f"import sys, srkd_bench.experiments.analysis.{module}; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
