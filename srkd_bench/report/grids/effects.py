"""The table of effects: gains fitted on the factors of a grid."""

from collections.abc import Mapping, Sequence

from srkd_bench.config.metrics import METRICS
from srkd_bench.evaluation.grids.cells import CellResults, axes_of, tied
from srkd_bench.evaluation.grids.regression import Fit, Term, position
from srkd_bench.report.grids.names import axis_name, labels_of, rounded, term_name, title
from srkd_bench.report.tables.differences import bracketed, signed
from srkd_bench.report.tables.table import MISSING, Cell, Table, one_line

WEIGHTS = (
    "Weighted least squares on logarithms to base 2. The weight of a cell is 1 / (variance over seeds, pooled over"
    " cells / number of seeds + variance between cells). Intervals: Student's t on {} degrees of freedom"
)


def effects_table(
    name: str, cells: Sequence[CellResults], fits: Mapping[str, Fit], metric: str
) -> Table | None:
    """Return a row for each method and effect, with its interval; None without an effect to show.

    An effect is what a doubling of a factor adds to the gain; an interaction is what the doubling of one factor
    adds to the effect of the other.
    """
    shown = {model: fit for model, fit in fits.items() if len(fit.layout.terms) + len(fit.layout.aliased) > 1}
    if not shown:
        return None
    names, decimals = labels_of(cells), METRICS[metric].decimals + 1
    return Table(
        title=title(name, metric, "effects of the factors on the gain"),
        header=["", "Effect per doubling", "95 % interval"],
        rows=[
            [Cell(f"{names[model]}: {term_name(term)}"), *_numbers(fit, term, decimals)]
            for model, fit in shown.items()
            for term in (*fit.layout.terms, *fit.layout.aliased)
        ],
        footnotes=[one_line(note) for note in (*_notes(shown, names), *_references(cells), *_tied(cells))],
        upright=True,
    )


def _numbers(fit: Fit, term: Term, decimals: int) -> list[Cell]:
    if term in fit.layout.aliased:
        return [Cell("not estimable"), Cell(MISSING)]
    effect = fit.coefficients[fit.layout.terms.index(term)]
    return [Cell(signed(effect, decimals)), Cell(bracketed(*fit.interval(term), decimals))]


def _notes(fits: Mapping[str, Fit], names: Mapping[str, str]) -> list[str]:
    freedoms = sorted({fit.freedom for fit in fits.values()})
    notes = [WEIGHTS.format(" to ".join(map(str, dict.fromkeys((freedoms[0], freedoms[-1])))))]
    if aliased := list(dict.fromkeys(term for fit in fits.values() for term in fit.layout.aliased)):
        terms = ", ".join(map(term_name, aliased))
        notes.append(
            f"Not estimable by this design, since they vary together with effects above, and taken as 0: {terms}"
        )
    for models, centre in _centres(fits, names).items():
        notes.append(f"Centre{models}: {centre}")
    return notes


def _references(cells: Sequence[CellResults]) -> list[str]:
    """Name the values that the effects of axes without numbers are differences from."""
    axes = dict.fromkeys(factor.partition("=")[0] for factor in position(cells[0], cells) if "=" in factor)
    return [f"The effects of {axis} are differences from {axes_of(cells)[axis][0]}" for axis in axes]


def _tied(cells: Sequence[CellResults]) -> list[str]:
    axes = ", ".join(tied(cells))
    return [f"The effect of the steps includes that of {axes}, which follows from them"] if axes else []


def _centres(fits: Mapping[str, Fit], names: Mapping[str, str]) -> dict[str, str]:
    """Return the geometric means of the factors, by the methods that they are of; empty if of all."""
    found: dict[str, list[str]] = {}
    for model, fit in fits.items():
        means = {name: 2**mean for name, mean in fit.layout.centre.items() if "=" not in name}
        text = ", ".join(f"{axis_name(name)} {rounded(mean)}" for name, mean in means.items())
        found.setdefault(text, []).append(names[model])
    if len(found) == 1:
        return {"": next(iter(found))} if all(found) else {}
    return {f" of {', '.join(models)}": text for text, models in found.items() if text}
