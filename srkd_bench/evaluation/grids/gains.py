"""Gains and training multipliers of the methods in every cell of a grid."""

from collections.abc import Sequence
from dataclasses import dataclass

from srkd_bench.evaluation.controls import is_control
from srkd_bench.evaluation.grids.cells import STEPS, CellResults, by_steps, lengths_alone
from srkd_bench.evaluation.multiplier import Multiplier, multiplier
from srkd_bench.evaluation.statistics import Difference, adjusted, unadjusted


@dataclass(frozen=True)
class CellGain:
    """The difference of a method from the baseline in a cell, on all data sets together.

    Attributes:
        difference: its Holm p is adjusted for all cells and methods; None where nothing could be compared.
    """

    cell: CellResults
    model: str
    difference: Difference | None


def cell_gains(cells: Sequence[CellResults], metric: str) -> list[CellGain]:
    """Return the gain of each method in each cell; all tests together are one family."""
    places: list[tuple[str, str]] = []
    found: list[Difference] = []
    for cell in cells:
        for one in unadjusted(cell.results, metric):
            if one.dataset is None:
                places.append((cell.name, one.model))
                found.append(one)
    known = dict(zip(places, adjusted(found), strict=True))
    return [
        CellGain(cell, model, known.get((cell.name, model))) for cell in cells for model in methods_of(cell)
    ]


def methods_of(cell: CellResults) -> list[str]:
    """Return the methods that are compared with the baseline of a cell; the student alone, longer, comes last."""
    results = cell.results
    unseeded = {score.model for score in results.scores if score.seed is None}
    others = {"bicubic", "teacher", results.baseline, *unseeded}
    return sorted((model for model in results.columns if model not in others), key=is_control)


def cell_multipliers(cells: Sequence[CellResults], metric: str) -> dict[tuple[str, str], Multiplier]:
    """Return the training multiplier k of each method in each cell, by (cell, method).

    How many times the steps of the cell the student alone needs for the same score, read from `none` in the cells
    that differ in nothing but their steps, and from the cell's own controls, as `multiplier` does.

    Returns:
        Nothing for cells without another such length, and where `none` is not the baseline or not measured.
    """
    found: dict[tuple[str, str], Multiplier] = {}
    for group in by_steps(cells):
        alone = [lengths_alone(cell, metric) for cell in group]
        of_cells = {
            own["none"]: (cell.results, "none")
            for cell, own in zip(group, alone, strict=True)
            if "none" in own
        }
        for cell, own in zip(group, alone, strict=True):
            results = cell.results
            lengths = {steps: (results, model) for model, steps in own.items()} | of_cells
            if results.baseline != "none" or len(lengths) < 2:
                continue
            curve = [(steps / cell.factors[STEPS], *lengths[steps]) for steps in sorted(lengths)]
            for model in methods_of(cell):
                if not is_control(model) and (one := multiplier(results, metric, model, curve)):
                    found[cell.name, model] = one
    return found
