"""Write what srkd comes with about built-in methods and suites, so that reports and plans do not import torch:
srkd_bench/methods/traits.json, and the cost of training steps, srkd_bench/experiments/analysis/step_costs.json.

Run `python -m docs_generators.traits` after a built-in method or a suite has changed.
"""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from srkd_bench.config.base import Loss, Params
from srkd_bench.config.suite_file import load_grid
from srkd_bench.config.suite_names import suite_files
from srkd_bench.core.progress import Display
from srkd_bench.experiments.analysis import step_costs
from srkd_bench.experiments.planning.planner import Plan, plan
from srkd_bench.methods import metadata, sources
from srkd_bench.store.artifact_store import ArtifactStore


def requests() -> Iterator[tuple[str, dict[str, Params], Loss]]:
    """Yield the built-in methods with their defaults, and those of the built-in suites with their
    parameters and loss."""
    for name in sorted(sources.builtin()):
        yield name, {}, "mse"
    for path in suite_files().values():
        for cell in load_grid(str(path)).cells:
            for name in cell.suite.methods:
                if "@" not in name and name != "all":
                    yield name, dict(cell.suite.params), cell.suite.train.loss


def plans_of_cpu_suites(store: ArtifactStore) -> Iterator[Plan]:
    """Yield the plans of the built-in suites that are trained on a CPU."""
    quiet = Display(Console(file=io.StringIO()))
    for name, path in suite_files().items():
        if name.startswith("bsds") or name in ("conformance", "demo", "map", "rcan-demo", "smoke"):
            for cell in load_grid(str(path)).cells:
                yield plan(cell.suite, store, quiet, readonly=True, scored=True)


if __name__ == "__main__":
    metadata.ship(requests())
    with tempfile.TemporaryDirectory() as folder:
        step_costs.ship(plans_of_cpu_suites(ArtifactStore(Path(folder))))
