"""Write the report of a grid as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from srkd_bench.evaluation.grids.cells import CellResults, axes_of
from srkd_bench.evaluation.grids.changes import Change
from srkd_bench.evaluation.grids.gains import CellGain, cell_multipliers
from srkd_bench.evaluation.grids.regression import Fit
from srkd_bench.report.formats.data import SCHEMA, difference_row, report_of, strict


def to_json(
    name: str,
    cells: Sequence[CellResults],
    gains: Mapping[str, Sequence[CellGain]],
    fits: Mapping[str, Mapping[str, Fit]],
    changes: Mapping[str, Sequence[Change]],
) -> str:
    """Return strict JSON; what is infinite or not known is null.

    Args:
        gains, changes: by metric.
        fits: by metric and method.
    """
    document = {
        "schema": SCHEMA,
        "grid": name,
        "axes": axes_of(cells),
        "cells": [
            {
                "cell": cell.name,
                "axes": dict(cell.axes),
                "factors": strict(cell.factors),
                "multiply_adds": strict(cell.costs),
                "report": report_of(cell.results),
            }
            for cell in cells
        ],
        "gains": [_gain(one) for own in gains.values() for one in own],
        "multipliers": [
            {"cell": cell, "metric": metric, **strict(asdict(one))}
            for metric in gains
            for (cell, _), one in cell_multipliers(cells, metric).items()
        ],
        "effects": [
            {"metric": metric, "model": model, **_effects(fit)}
            for metric, own in fits.items()
            for model, fit in own.items()
        ],
        "changes": [
            {"metric": metric, **strict(asdict(one))} for metric, own in changes.items() for one in own
        ],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _gain(one: CellGain) -> dict[str, Any]:
    """Return a gain; of a method that could not be compared, its cell and name only."""
    row = {} if one.difference is None else difference_row(one.difference)
    return {"cell": one.cell.name, "model": one.model, **row}


def _effects(fit: Fit) -> dict[str, Any]:
    rows = []
    for term, effect in zip(fit.layout.terms, fit.coefficients, strict=True):
        low, high = fit.interval(term)
        rows.append({"term": list(term), **strict({"effect": effect, "low": low, "high": high})})
    return {
        "terms": rows,
        "not_estimable": [list(term) for term in fit.layout.aliased],
        **strict(
            {
                "centre": {
                    name: mean if "=" in name else 2**mean for name, mean in fit.layout.centre.items()
                },
                "variance_within": fit.within,
                "variance_between": fit.between,
                "degrees_of_freedom": fit.freedom,
                "cells": fit.cells,
                "seeds": fit.seeds,
            }
        ),
    }
