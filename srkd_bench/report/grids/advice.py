"""The answer of `srkd advise`: a table, plain data, and the command that checks it."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from srkd_bench.config.metrics import METRICS
from srkd_bench.config.network import ModelSpec
from srkd_bench.evaluation.grids.advice import Advice, Expectation, Range, Summary
from srkd_bench.report.formats.data import strict
from srkd_bench.report.grids.names import axis_name, phrase, rounded
from srkd_bench.report.tables.differences import bracketed, signed
from srkd_bench.report.tables.table import MISSING, Cell, Table, capitals, label, one_line

OPTIONS = {"student": "--params", "train.steps": "--steps", "data.images": "--images"}
"""The option of each axis that a question is about."""
TEACHER = "edsr-baseline-official"  # whose file is downloaded, so that no teacher has to be trained


def advice_table(summary: Summary, found: Advice, asked: Mapping[str, float]) -> Table:
    """Return the expected gains with what they rest on."""
    known = METRICS[summary.metric]
    rows = [
        [
            label(capitals(one.method)),
            signed(one.gain, known.decimals),
            bracketed(one.low, one.high, known.decimals),
            *_worth(one),
        ]
        for one in found.expected
    ]
    return Table(
        title=one_line(
            f"Expected gain over {label('none')} in {known.label}{f' ({known.unit})' if known.unit else ''}"
        ),
        header=["", "Gain", "95 % interval", "k", "95 % interval"],
        rows=[[Cell(text) for text in row] for row in rows],
        footnotes=[one_line(note) for note in _notes(summary, found, asked)],
        upright=True,
    )


def advice_data(summary: Summary, found: Advice, asked: Mapping[str, float]) -> dict[str, Any]:
    """Return the answer as plain data; what is not known is null."""
    return {
        "schema": 2,
        "grid": summary.grid,
        "cells": len(summary.cells),
        "metric": summary.metric,
        "datasets": list(summary.datasets),
        "asked": dict(asked),
        "assumed": found.assumed,
        "factors": [strict(asdict(one)) for one in found.ranges],
        "expected": [strict(asdict(one)) for one in found.expected],
    }


def checking_command(summary: Summary, asked: Mapping[str, float]) -> list[str]:
    """Return the command that trains such a student on the user's images, at the rate of the map's centre."""
    methods = ", ".join(["none", *summary.gains])
    settings = [
        "grid=null",
        "overrides=[]",
        "data.train=./train",
        "data.test=[./test]",
        f"methods=[{methods}]",
    ]
    if (steps := asked.get("train.steps")) is not None:
        settings.append(f"train.steps={steps:.0f}")
    if (images := asked.get("data.images")) is not None:
        settings.append(f"data.images={images:.0f}")
    if (params := asked.get("student")) is not None:
        n_feats, n_resblocks = nearest_student(params)
        settings.append(f"student={{n_feats: {n_feats}, n_resblocks: {n_resblocks}}}")
    words = [word for setting in settings for word in ("--set", setting)]
    return ["srkd", "run", "map", "--teacher", TEACHER, *words, "--seeds", "3"]


def nearest_student(params: float) -> tuple[int, int]:
    """Return filters and blocks of the EDSR with half as many blocks as filters that is nearest in parameters."""

    def distance(blocks: int) -> float:
        return abs(math.log(ModelSpec(n_feats=2 * blocks, n_resblocks=blocks).parameters / params))

    blocks = min(range(1, 257), key=distance)
    return 2 * blocks, blocks


def _worth(one: Expectation) -> list[str]:
    """Return k and its interval as printed."""
    if one.k is None:
        return [MISSING, MISSING]
    unknown = one.k_low is None or one.k_high is None
    return [f"{one.k:.2f}", MISSING if unknown else f"[{one.k_low:.2f}, {one.k_high:.2f}]"]


def _notes(summary: Summary, found: Advice, asked: Mapping[str, float]) -> list[str]:
    """Return the basis of the prediction, and how far the requested values are outside the grid."""
    sets = ", ".join(label(name) for name in summary.datasets)
    notes = [
        f"Predicted from {len(summary.cells)} cells of {summary.grid}, measured on {sets}",
        "k: how many times longer the student alone must be trained for the same gain; – where its own gain"
        " from longer training is not known",
        *map(_in_words, found.ranges),
    ]
    for axis in asked:
        if axis not in summary.cells[0]:
            known = axis in {name.partition("=")[0] for name in summary.cells[0]}
            why = f"does not state the numbers of {axis}" if known else f"does not vary {axis}"
            notes.append(f"{OPTIONS[axis]} has no effect: {summary.grid} {why}")
    if found.assumed:
        notes.append(f"As in most cells: {', '.join(phrase(*one) for one in found.assumed.items())}")
    if outside := [label(capitals(one.method)) for one in found.expected if not one.inside]:
        notes.append(
            f"Outside the range of the cells with {', '.join(outside)}: the prediction is an extrapolation, and its"
            " intervals are too narrow"
        )
    return notes


def _in_words(one: Range) -> str:
    """Return whether a factor is inside the grid: `steps 10,000: inside the grid (2,500 to 160,000)`."""
    bounds = f"{rounded(one.low)} to {rounded(one.high)}"
    if one.times == 1:
        where = f"inside the grid ({bounds})"
    else:
        side = "largest" if one.times > 1 else "smallest"
        where = f"outside the grid ({bounds}), {one.times:.3g} times its {side} value"
    return f"{axis_name(one.factor)} {rounded(one.value)}: {where}"
