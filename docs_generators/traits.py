"""Write srkd_bench/methods/traits.json, so that reports and plans of built-in methods do not import torch.

Run `python -m docs_generators.traits` after a built-in method or a suite has changed.
"""

from collections.abc import Iterator

from srkd_bench.config.base import Loss, Params
from srkd_bench.config.suite_file import load_grid
from srkd_bench.config.suite_names import suite_files
from srkd_bench.methods import metadata, sources


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


if __name__ == "__main__":
    metadata.ship(requests())
