"""Grids: suites that vary keys. Each combination of values is a cell, an ordinary suite."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from srkd_bench.config.base import Spec
from srkd_bench.config.messages import shown, unquoted
from srkd_bench.config.suite import Suite, TeacherSpec
from srkd_bench.config.training import overridden, teacher_training
from srkd_bench.core.errors import SrkdError

MOST = 1_000
"""Cells of a grid, at most: planning one takes some milliseconds."""
CELL = "cell"
"""What `--set cell=NAME` selects by, beside the keys of a grid."""
_OF_ALL_CELLS = frozenset({"name", "grid", "overrides"})
_DOT = re.compile(r"\.(?!\d+x(?:\.|$))")  # between the keys of a setting; not the one in none@3.4x
_AXES = "grid: {train.steps: [2500, 10000], data.images: [50, 399]}"
_OVERRIDES = "overrides: [{when: {train.steps: 2500}, set: {train.learning_rate: 3e-3}}]"

Raw = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One combination of a grid's values.

    Args:
        name: the labels of all axes, such as `train.steps=2500 student=8x4`; empty for a suite without a grid.
        axes: label of the cell's value on each axis, by the axis' key, in the grid's order.
    """

    name: str
    axes: Mapping[str, str]
    suite: Suite


def path_of(key: str) -> list[str]:
    """Return the parts of a dotted key of a suite."""
    return _DOT.split(key.strip())


def put(raw: Raw, path: Sequence[str], value: Any, where: str) -> Raw:
    """Return a raw suite with the value at a path changed.

    Args:
        where: names what gives the value, for messages.
    Raises:
        SrkdError: there is a value without keys on the path.
    """
    first, *rest = path
    if not rest:
        return raw | {first: value}
    inner = raw.get(first) or {}
    if not isinstance(inner, dict):
        raise SrkdError(f"{where}: '{first[:80]}' has no keys")
    return raw | {first: overridden(inner, {rest[0]: put(inner, rest, value, where)[rest[0]]})}


def value_at(raw: Any, path: Iterable[str]) -> Any:
    """Return the value at a path of a raw suite; None if there is none."""
    for part in path:
        raw = raw.get(part) if isinstance(raw, Mapping) else None
    return raw


def field_of(suite: Suite, key: str) -> Any:
    """Return a suite's value at a dotted key, with defaults; None if there is none."""
    value: Any = suite
    for part in path_of(key):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return value


def expanded(raw: Raw, where: str) -> list[Raw]:
    """Return the raw suites of a raw suite's cells; itself if it has no `grid`.

    Args:
        where: the suite, for messages.
    Raises:
        SrkdError: a grid without values, with too many cells, or with an override that applies to no cell.
    """
    base = {key: value for key, value in raw.items() if key not in ("grid", "overrides")}
    if raw.get("grid") is None:
        if raw.get("overrides"):
            raise SrkdError(f"{where}: overrides need a grid", _AXES)
        return [base]
    blocks = _blocks(raw, where)
    count = sum(prod(map(len, axes.values())) for axes in blocks)
    if not count:
        raise SrkdError(f"{where}: the grid has no values", _AXES)
    if count > MOST:
        raise SrkdError(
            f"{where}: the grid has {count:,} cells, more than {MOST:,}",
            "leave out values, or list several smaller products: grid: [{…}, {…}]",
        )
    found = [_placed(base, at, where) for axes in blocks for at in _products(axes)]
    for number, override in enumerate(_overrides(raw, where), 1):
        found = _override(found, *override, f"{where}: override {number}")
    return found


def axes_of(raw: Raw, where: str) -> list[str]:
    """Return the keys that a raw suite varies, in order; raises as `expanded`."""
    blocks = [] if raw.get("grid") is None else _blocks(raw, where)
    return list(dict.fromkeys(key for axes in blocks for joined in axes for key in joined))


def with_fixed_teacher(raw: Raw, base: Raw) -> Raw:
    """Return a cell whose teacher is trained as in the suite before the grid varies `train`.

    Otherwise, each length of the students' training would have a teacher of its own.

    Args:
        base: the suite without its grid.
    """
    teacher, train = raw.get("teacher"), base.get("train")
    if not isinstance(teacher, dict) or teacher.get("weights") is not None or not isinstance(train, dict):
        return raw
    own = teacher.get("train") or {}
    return raw | {
        "teacher": teacher | {"train": teacher_training(train, own) if isinstance(own, dict) else own}
    }


def _blocks(raw: Raw, where: str) -> list[dict[tuple[str, ...], list[Any]]]:
    """Return the axes of each product whose union is the grid."""
    given = raw["grid"] if isinstance(raw["grid"], list) else [raw["grid"]]
    return [_axes(block, where) for block in given]


def _axes(block: Any, where: str) -> dict[tuple[str, ...], list[Any]]:
    """Return the values of each axis by its keys: one, or several that vary together."""
    if not isinstance(block, dict) or not block:
        raise SrkdError(f"{where}: grid must map keys to lists of values", _AXES)
    found: dict[tuple[str, ...], list[Any]] = {}
    for text, values in block.items():
        keys = tuple(part.strip() for part in str(text).split(","))
        if not all(all(path_of(key)) for key in keys) or _OF_ALL_CELLS & {*keys}:
            raise SrkdError(f"{where}: a grid cannot vary '{str(text)[:80]}'", _AXES)
        if not isinstance(values, list) or not values:
            raise SrkdError(f"{where}: grid: {str(text)[:80]} must be a list of values", _AXES)
        if len(keys) > 1 and not all(isinstance(one, list) and len(one) == len(keys) for one in values):
            hint = 'grid: {"train.steps, train.learning_rate": [[2500, 3e-3], [10000, 1.5e-3]]}'
            raise SrkdError(f"{where}: grid: each value of {text[:80]} must be a list of {len(keys)}", hint)
        found[keys] = values if len(keys) > 1 else [[one] for one in values]
    keys_of_all = [key for keys in found for key in keys]
    for key in keys_of_all:
        if keys_of_all.count(key) > 1:
            raise SrkdError(f"{where}: grid: {key[:80]} is given twice", "give all its values in one list")
    return found


def _products(axes: Mapping[tuple[str, ...], Sequence[Sequence[Any]]]) -> Iterator[dict[str, Any]]:
    """Give each combination of the axes' values, by key."""
    for chosen in product(*axes.values()):
        yield {
            key: value
            for keys, values in zip(axes, chosen, strict=True)
            for key, value in zip(keys, values, strict=True)
        }


def _placed(raw: Raw, values: Mapping[str, Any], where: str) -> Raw:
    for key, value in values.items():
        raw = put(raw, path_of(key), value, f"{where}: {key[:80]}")
    return raw


def _overrides(raw: Raw, where: str) -> Iterator[tuple[Raw, Raw]]:
    """Give the conditions and settings of each override."""
    given = raw.get("overrides") or []
    for one in given if isinstance(given, list) else [given]:
        parts: tuple[Any, Any] = (None, None)
        if isinstance(one, dict) and len(one) == 2:
            parts = one.get("when"), one.get("set")
        if not all(isinstance(part, dict) and part and all(map(_is_key, part)) for part in parts):
            raise SrkdError(f"{where}: overrides must be a list of {{when: {{…}}, set: {{…}}}}", _OVERRIDES)
        if wrong := sorted(_OF_ALL_CELLS & {*parts[1]}):
            raise SrkdError(f"{where}: an override cannot set '{wrong[0]}'", _OVERRIDES)
        yield parts


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and all(path_of(key))


def _override(cells: Sequence[Raw], when: Raw, settings: Raw, where: str) -> list[Raw]:
    """Return the cells with settings changed in those that meet all conditions."""
    fits = [all(has(raw, key, wanted) for key, wanted in when.items()) for raw in cells]
    if not any(fits):
        raise SrkdError(f"{where} applies to no cell: when {shown(when)[:80]}", _stated(cells, when))
    return [_placed(raw, settings, where) if fit else raw for raw, fit in zip(cells, fits, strict=True)]


def _stated(cells: Sequence[Raw], when: Raw) -> str:
    """Return what the cells have instead of the first condition that none of them meets."""
    for key, wanted in when.items():
        if not any(has(raw, key, wanted) for raw in cells):
            values = dict.fromkeys(unquoted(value_at(raw, path_of(key))) for raw in cells)
            if [*values] == ["null"]:
                return f"neither the file nor the grid states {key[:80]}, and defaults are not compared"
            return f"cells have {key[:80]}: {', '.join(values)[:200]}"
    return "no cell meets all of these conditions together"


def has(raw: Raw, key: str, wanted: Any) -> bool:
    """Return whether a raw suite has a value, or one of a list of values, at a dotted key."""
    value = value_at(raw, path_of(key))
    return bool(value == wanted) or (isinstance(wanted, list) and value in wanted)


def selects(key: str, keys: Sequence[str]) -> bool:
    """Return whether a setting of this key selects cells: it is, or is part of, a key that the grid varies."""
    return key == CELL or any(key == one or key.startswith(f"{one}.") for one in keys)


def is_selected(raw: Raw, cell: Cell, key: str, value: Any) -> bool:
    """Return whether a cell has the value of a selecting setting; `cell` gives its labels, or some of them."""
    if key == CELL:
        return has_labels(cell.name, value)
    return has(raw, key, value) or bool(_value(key, raw, cell.suite) == value)


def has_labels(name: str, labels: str) -> bool:
    """Return whether the cell of this name has these labels: `train.steps=2500 student=8x4`, in any order."""
    return {*labels.split()} <= {*name.split()}


def cells_hint(key: str, cells: Sequence[tuple[Raw, Cell]]) -> str:
    """Return which cells there are instead of those that a setting selects."""
    if key == CELL:
        return f"for example --cell '{cells[0][1].name}'"
    values = dict.fromkeys(_text(key, raw, cell.suite) for raw, cell in cells)
    return f"cells have {', '.join(values)[:200]}"


def named(cells: Sequence[tuple[Raw, Suite]], keys: Sequence[str], where: str) -> list[Cell]:
    """Return cells with names from the labels of their values.

    Args:
        keys: of the grid's axes.
    Raises:
        SrkdError: two cells are the same suite.
    """
    columns = {key: _labels(key, cells) for key in keys}
    found: dict[str, Cell] = {}
    for number, (_, suite) in enumerate(cells):
        axes = {key: labels[number] for key, labels in columns.items()}
        name = " ".join(f"{key}={label}" for key, label in axes.items())
        if (other := found.get(suite.digest)) is not None:
            same = " and ".join(dict.fromkeys([other.name, name]))
            raise SrkdError(f"{where}: the grid has the same cell twice: {same}", "state each cell once")
        found[suite.digest] = Cell(name, axes, suite)
    return list(found.values())


def _labels(key: str, cells: Sequence[tuple[Raw, Suite]]) -> list[str]:
    """Return the label of each cell's value at a key; values with the same short label are written out."""
    short = [_label(_value(key, *cell)) for cell in cells]
    texts = [re.sub(r"\s+", "", _text(key, *cell)) for cell in cells]
    of_label: dict[str, set[str]] = {}
    for label, text in zip(short, texts, strict=True):
        of_label.setdefault(label, set()).add(text)
    return [label if len(of_label[label]) == 1 else text for label, text in zip(short, texts, strict=True)]


def _text(key: str, raw: Raw, suite: Suite) -> str:
    """Return a cell's value at a key as a file states it; a network as it is in the cell's own file."""
    value = _value(key, raw, suite)
    return unquoted(value_at(raw, path_of(key)) if isinstance(value, Spec) else value)


def _value(key: str, raw: Raw, suite: Suite) -> Any:
    """Return a cell's value at a key, with defaults; as in the file where a suite has no such field."""
    value = field_of(suite, key)
    return value_at(raw, path_of(key)) if value is None else value


def _label(value: Any) -> str:
    """Return a short text without spaces: `2500`, `8x4`, `RCAN-2x2x16`, `edsr_x2` for a file of weights."""
    if isinstance(value, TeacherSpec):
        return _label(value.model) if value.weights is None else _label(value.weights)
    if isinstance(value, str):
        return re.sub(r"\s+", "_", value.rpartition("/")[2].removesuffix(".pt"))
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int | list | tuple | dict | None):
        return re.sub(r"\s+", "", unquoted(value))
    return str(value).removeprefix("EDSR ").replace("×", "x").replace(" ", "-")
