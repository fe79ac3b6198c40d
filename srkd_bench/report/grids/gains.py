"""The tables of gains: one row for each cell and method, and one table of two axes for each method."""

from collections import defaultdict
from collections.abc import Sequence

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.grids.cells import STEPS, CellResults, axes_of, free, grouped, measured, tied
from srkd_bench.evaluation.grids.gains import CellGain, cell_multipliers
from srkd_bench.evaluation.multiplier import Multiplier
from srkd_bench.evaluation.statistics import LEVEL, Difference
from srkd_bench.report.grids.names import (
    axis_title,
    baseline_of,
    cell_name,
    cell_names,
    labels_of,
    phrase,
    title,
    value,
)
from srkd_bench.report.tables.differences import (
    TOGETHER,
    bracketed,
    probability,
    shortened,
    signed,
    untested,
)
from srkd_bench.report.tables.gains import cost_note, explained, factor, relative_cost
from srkd_bench.report.tables.outliers import outlier_note
from srkd_bench.report.tables.table import MISSING, Cell, Table, label, one_line

K = (
    "k: how many times longer {} must be trained for the same score, with a 95 % interval; from its own scores at"
    " other numbers of steps, < and > beyond them"
)


def gains_table(
    name: str, cells: Sequence[CellResults], gains: Sequence[CellGain], metric: str
) -> Table | None:
    """Return a row for each cell and method: gain, 95 % interval, Holm p, verdict, seeds if they differ, k and c.

    k is the training multiplier, c the cost of a training step.

    Returns:
        None without a method to compare.
    """
    if not gains:
        return None
    names, calls = labels_of(cells), cell_names(cells)
    worth = cell_multipliers(cells, metric)
    costs = any(one.model in one.cell.results.step_costs for one in gains)
    seeds = len({one.difference.seeds for one in gains if one.difference is not None}) > 1
    header = ["", f"Gain on {_scope(cells)}", "95 % interval", "Holm p", "Verdict"]
    header += ["Seeds"] * seeds + ["k"] * bool(worth) + ["c"] * costs
    return Table(
        title=title(name, metric, f"gain over {baseline_of(cells)} in each cell"),
        header=header,
        rows=[
            [Cell(f"{calls[one.cell.name]}: {names[one.model]}"), *_numbers(one.difference, metric)]
            + [Cell(str(one.difference.seeds) if one.difference else MISSING)] * seeds
            + [Cell(factor(worth.get((one.cell.name, one.model))))] * bool(worth)
            + [Cell(relative_cost(one.cell.results.step_costs.get(one.model)))] * costs
            for one in gains
        ],
        footnotes=_notes(cells, gains, metric, worth),
        upright=True,
    )


def heat_table(
    name: str, cells: Sequence[CellResults], gains: Sequence[CellGain], metric: str, model: str
) -> Table | None:
    """Return the gains of a method over two axes; the cells of further axes have rows of their own.

    Returns:
        None for grids with fewer than two axes that vary.
    """
    keys = two_axes(cells)
    if keys is None:
        return None
    down, across = keys
    labels, names = axes_of(cells), labels_of(cells)
    known = {one.cell.name: one.difference for one in gains if one.model == model}
    others = [key for key in free(cells) if key not in keys]
    rows = []
    for group in grouped(cells, down, across, *tied(cells)):
        places = {(cell.axes[down], cell.axes[across]): cell for cell in group}
        for row in labels[down]:
            own = [places.get((row, column)) for column in labels[across]]
            if some := next((cell for cell in own if cell is not None), None):
                where = cell_name(some, others)
                found = [known.get(cell.name) if cell else None for cell in own]
                texts = [gain_text(one, METRICS[metric].decimals) for one in found]
                rows.append(
                    [Cell(f"{where}: {value(down, row)}" if where else value(down, row)), *map(Cell, texts)]
                )
    return Table(
        title=title(name, metric, f"gain of {names[model]} over {baseline_of(cells)}"),
        header=["", *(phrase(across, column) for column in labels[across])],
        rows=rows,
        footnotes=[
            f"Rows: {axis_title(down)}. In parentheses: not significant, with p adjusted for all cells and"
            f" methods (Holm); {MISSING}: not measured"
        ],
        upright=True,
    )


def two_axes(cells: Sequence[CellResults]) -> tuple[str, str] | None:
    """Return the axes with the most labels, the one with more labels, or the steps, across; None for one axis."""
    labels = axes_of(cells)
    keys = sorted(free(cells), key=lambda key: (-len(labels[key]), key != STEPS))[:2]
    return (keys[1], keys[0]) if len(keys) == 2 else None


def _scope(cells: Sequence[CellResults]) -> str:
    datasets = {name for cell in cells for name in cell.results.datasets}
    return label(datasets.pop()) if len(datasets) == 1 else "All"


def _numbers(one: Difference | None, metric: str) -> list[Cell]:
    if one is None:
        return [Cell(MISSING)] * 4
    decimals = METRICS[metric].decimals
    interval, verdict = bracketed(one.low, one.high, decimals), one.verdict or MISSING
    texts = [signed(one.mean, decimals), interval, probability(one.p_holm), verdict]
    return [Cell(text) for text in texts]


def gain_text(one: Difference | None, decimals: int) -> str:
    """Return a gain as printed, in parentheses if it is not significant."""
    if one is None:
        return MISSING
    text = signed(one.mean, decimals)
    return text if one.p_holm is not None and one.p_holm < LEVEL else f"({text})"


def _notes(
    cells: Sequence[CellResults],
    gains: Sequence[CellGain],
    metric: str,
    worth: dict[tuple[str, str], Multiplier],
) -> list[str]:
    names = labels_of(cells)
    tested = [one.difference for one in gains if one.difference and one.difference.p_holm is not None]
    notes = explained(tested, names, metric) if tested else []
    return [
        *(
            one_line(note)
            for note in (
                *_incomplete(cells, metric),
                *_unpaired(cells, gains),
                *_outliers(cells, metric),
                *notes,
            )
        ),
        *([K.format(baseline_of(cells))] if worth else []),
        *filter(None, [cost_note(one.cell.results.step_costs.get(one.model) for one in gains)]),
        *([TOGETHER] if _scope(cells) == "All" else []),
    ]


def _incomplete(cells: Sequence[CellResults], metric: str) -> list[str]:
    """Say of each cell which results are missing, and why where that is known."""
    calls, names, notes = cell_names(cells), labels_of(cells), []
    for cell in cells:
        results = cell.results
        known = measured(cell, metric)
        if not known:
            notes.append(f"{calls[cell.name]}: no scores")
            continue
        if results.baseline not in known:
            notes.append(f"{calls[cell.name]}: no gains, {names[results.baseline]} was not measured")
        of_columns = tuple(f"{model}{end}" for model in results.columns for end in (": ", ", "))
        notes += [f"{calls[cell.name]}: {note}" for note in results.notes if note.startswith(of_columns)]
    return notes


def _outliers(cells: Sequence[CellResults], metric: str) -> list[str]:
    """Name the trainings of each cell that lie far below the others."""
    calls = cell_names(cells)
    found = ((calls[cell.name], outlier_note(cell.results, metric)) for cell in cells)
    return [f"{call}: {note}" for call, note in found if note]


def _unpaired(cells: Sequence[CellResults], gains: Sequence[CellGain]) -> list[str]:
    """Name what cannot be tested, with the reason, and what lacks seeds or images; no place if it is everywhere."""
    calls, names = cell_names(cells), labels_of(cells)
    reasons = defaultdict[str, list[str]](list)
    compared = [(one, one.difference) for one in gains if one.difference is not None]
    for one, difference in compared:
        where = f"{calls[one.cell.name]} {names[one.model]}"
        if reason := untested(difference):
            reasons[f"No test, {reason}"].append(where)
        if lost := shortened(difference.left_out):
            reasons[f"Left out, as missing or infinite on one side, {lost}"].append(where)
    return [
        reason if len(where) == len(compared) else f"{reason}: {'; '.join(where)}"
        for reason, where in reasons.items()
    ]
