"""Write the summary of the published map, from which `srkd advise` answers.

Run `python -m docs_generators.advice` after results/map/scores.csv.gz has changed.
"""

from pathlib import Path

from srkd_bench.evaluation.grids.advice import PACKAGED, summarise, to_json
from srkd_bench.report.formats.grid_file import read_grid

SCORES = Path(__file__).parents[1] / "results" / "map" / "scores.csv.gz"


def summary() -> str:
    """Return the text of the summary of the committed scores."""
    return to_json(summarise(read_grid(SCORES), "psnr_y"))


if __name__ == "__main__":
    PACKAGED.write_text(summary(), encoding="utf-8", newline="\n")
