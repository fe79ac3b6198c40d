"""Read suite files and `--set` settings; name the key of every error."""

import re
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from srkd_bench.config.base import Spec, flat_params
from srkd_bench.config.grid import (
    CELL,
    Cell,
    axes_of,
    cells_hint,
    expanded,
    is_selected,
    named,
    path_of,
    put,
    selects,
    with_fixed_teacher,
)
from srkd_bench.config.messages import problem, unquoted
from srkd_bench.config.network import ModelSpec, kind_of
from srkd_bench.config.suite import Suite
from srkd_bench.config.suite_names import suite_files
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import MissingError, SrkdError, unknown

MAX_BYTES = 100_000  # two seconds of parsing


class _Loader(yaml.SafeLoader):
    """YAML without surprises: `1e-4` is a number; `no`, `010` and `2024-01-01` are text; no key is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise SrkdError(f"a key must be a word{_place(key.start_mark)}")
            if (name := self.construct_object(key, deep=True)) in seen:
                raise SrkdError(f"key '{name}' is given twice{_place(key.start_mark)}")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if not str(node.value).isprintable():  # it would reach terminals, tables and the names of files
            raise SrkdError(f"characters that cannot be printed are not allowed{_place(node.start_mark)}")
        return super().construct_scalar(node)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise SrkdError(f"aliases are not allowed{_place(event.start_mark)}", "repeat the value instead")
        if getattr(event, "tag", None):
            raise SrkdError(
                f"tags are not allowed{_place(event.start_mark)}", "write the value without its tag"
            )
        return super().compose_node(parent, index)


_REPLACED = [f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "timestamp")]
_Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] not in _REPLACED]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("int", r"^[-+]?(0|[1-9](_?\d){0,17})$", "-+0123456789"),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("float", r"^[-+]?(\d+\.\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\d+[eE][-+]?\d+)$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _place(mark: Any) -> str:
    return f", line {mark.line + 1}" if mark else ""


def parse_yaml(text: str, where: str) -> Any:
    """Parse a YAML text.

    Args:
        where: the file or option it comes from, for messages.
    Raises:
        SrkdError: invalid YAML, or content that suites may not have.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", None) or getattr(error, "reason", "no YAML"))
        raise SrkdError(f"{where}: {problem[:100]}{_place(mark)}") from None
    except SrkdError as error:
        raise SrkdError(f"{where}: {error.message}", error.hint) from None
    except RecursionError:
        raise SrkdError(f"{where}: nested too deeply") from None


def _setting(text: str) -> tuple[str, Any]:
    """Return key and value of a `key=value` setting of the command line."""
    name, equals, value = text.partition("=")
    key, path = name.strip(), path_of(name)
    if not equals or not all(path) or not name.isprintable():
        raise SrkdError(f"--set takes KEY=VALUE, not {text[:80]!r}", "for example --set train.steps=200")
    if len(path) > 4:
        raise SrkdError(
            f"--set {name[:80]}: no key is nested that deep", "for example --set params.ckd.weight=0.5"
        )
    if key == CELL and not value.strip():
        raise SrkdError("--cell names no cell", "for example --cell train.steps=2500")
    found = parse_yaml(value, f"--set {name[:80]}")
    # YAML reads some labels of cells, and ids of runs such as 12345e67, as numbers.
    is_text = key == CELL or (key == "student.init" and isinstance(found, float))
    return key, value.strip() if is_text else found


def _without_training(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the suite without its teacher training if the command line gives teacher weights instead."""
    teacher = raw.get("teacher")
    if not isinstance(teacher, dict) or teacher.get("weights") is not None:
        return raw
    kept = {key: one for key, one in teacher.items() if key not in ("model", "train", "seeds")}
    return raw | {"teacher": kept}


@dataclass(frozen=True)
class Grid:
    """A suite file's cells; a suite without `grid:` has one, whose name is empty.

    Args:
        name: of the suite.
        cells: those that settings select.
    """

    name: str
    cells: tuple[Cell, ...]

    @property
    def only(self) -> Cell:
        """The only cell.

        Raises:
            SrkdError: there are several.
        """
        if len(self.cells) > 1:
            raise SrkdError(
                f"suite {self.name} is a grid, and {len(self.cells):,} of its cells are selected",
                f"select one: --cell '{self.cells[0].name}'",
            )
        return self.cells[0]


def load_suite(name: str, settings: Iterable[str] = ()) -> Suite:
    """Read a suite by its name or file, and apply `key=value` settings; of a grid, these must select one cell.

    Raises:
        SrkdError: no such suite, invalid YAML, an unknown key, a wrong type or a number out of bounds.
    """
    return load_grid(name, settings).only.suite


def load_grid(name: str, settings: Iterable[str] = ()) -> Grid:
    """Read a suite and its cells by its name or file, and apply `key=value` settings.

    A setting of a key that the grid varies selects the cells with this value, and `cell` those with these labels.

    Raises:
        SrkdError: as `load_suite`, an invalid grid, or settings that select no cell.
    """
    raw, where = raw_suite(name)
    asked = [_setting(one) for one in settings]
    whole = [one for one in asked if one[0] in ("grid", "overrides")]
    raw |= dict(whole)
    keys = axes_of(raw, where)
    chosen = [one for one in asked if selects(one[0], keys)]
    changes = [one for one in asked if one not in whole and one not in chosen]
    # Settings apply before the grid, for its teacher, and after it, since they replace its overrides.
    base = _changed(raw, changes)
    raws = expanded(base, where)
    if not keys:
        if chosen:
            raise SrkdError(f"{where} has no grid, so it has no cells", "leave out --cell")
        suite = validated(Suite, raws[0], where)
        return Grid(suite.name, (Cell("", {}, suite),))
    raws = [_changed(one, changes) for one in raws]
    suites = [validated(Suite, with_fixed_teacher(one, base), where) for one in raws]
    cells = list(zip(raws, named(list(zip(raws, suites, strict=True)), keys, where), strict=True))
    for key, value in chosen:
        fitting = [(one, cell) for one, cell in cells if is_selected(one, cell, key, value)]
        if not fitting:
            raise SrkdError(f"{where}: no cell has {key}={unquoted(value)[:80]}", cells_hint(key, cells))
        cells = fitting
    return Grid(suites[0].name, tuple(cell for _, cell in cells))


def raw_suite(name: str) -> tuple[dict[str, Any], str]:
    """Return the keys of a suite by its name or file, unchecked, and what messages call it.

    Raises:
        SrkdError: as `suite_text`, invalid YAML, or no mapping of keys.
    """
    text, where = suite_text(name), f"suite {name}" if name in suite_files() else name
    raw = parse_yaml(text, where)
    if not isinstance(raw, dict):
        raise SrkdError(f"{where}: a suite must be a mapping of keys", "`srkd show demo` prints an example")
    return raw, where


def suite_text(name: str) -> str:
    """Return what a suite file contains, by the suite's name or the file's path.

    Raises:
        SrkdError: no such suite, or a file that is too large or no text.
    """
    known = suite_files()
    path = known.get(name, Path(name))
    if name not in known and path.suffix not in (".yaml", ".yml"):
        raise _no_suite(name, known)
    try:
        if not path.is_file():
            near = f"did you mean the built-in suite '{path.stem}'?" if path.stem in known else ""
            raise MissingError(f"no suite file '{name}'", near or f"built-in suites: {', '.join(known)}")
        if path.stat().st_size > MAX_BYTES:
            raise SrkdError(f"suite file '{name}' is larger than {MAX_BYTES:,} bytes")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SrkdError(f"{name}: not UTF-8 text") from None
    except OSError as error:
        raise SrkdError(f"cannot read suite file '{name}': {error.strerror}") from None


def _no_suite(name: str, known: Iterable[str]) -> SrkdError:
    """Return the error for a name that is neither a suite nor a suite file; a file may be there by another name."""
    with suppress(OSError, ValueError):  # no file can have such a name
        if Path(name).is_file():
            problem = f"'{name}' is not a suite: the name of a suite file ends in .yaml"
            return SrkdError(problem, f"rename it to {Path(name).stem}.yaml")
        if Path(f"{name}.yaml").is_file():
            return SrkdError(f"no suite named '{name}'", f"did you mean '{name}.yaml'?")
    return unknown("suite", name, known)


def _changed(raw: dict[str, Any], settings: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a raw suite with settings of the command line applied."""
    settings = list(settings)
    if any(key == "teacher.weights" and value is not None for key, value in settings):
        raw = _without_training(raw)
    for key, value in settings:
        raw = put(raw, path_of(key), value, f"--set {key[:80]}")
    return raw


def method_parameters(settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the hyper-parameters that `params.METHOD.NAME=value` settings give, by method.

    Raises:
        SrkdError: a setting is of something else.
    """
    raw = _changed({}, map(_setting, settings))
    params = flat_params(raw.pop("params", {}))
    if raw or not isinstance(params, dict) or not all(isinstance(one, dict) for one in params.values()):
        raise SrkdError("only hyper-parameters can be set here", "for example --set params.ckd.weight=0.5")
    return params


_UNION = ("int", "float", "bool", "str")
"""What pydantic appends to the place of a value that may be of several types."""
_SCALAR = "must be a number, true, false or text"

S = TypeVar("S", bound=Spec)


def validated(kind: type[S], raw: Any, where: str) -> S:
    """Return `raw` as a spec of that kind, or raise one SrkdError that names the key."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=_rank)
        *parents, last = [str(part) for part in first["loc"] if part not in _UNION] or [""]
        if first["type"] == "extra_forbidden":
            place = f"{where}, {'.'.join(parents)}," if parents else where
            raise unknown(f"key in {place}", last[:80], _keys(kind, parents, raw)) from None
        key = f" {'.'.join([*parents, last])[:80]}:" if last else ""
        hint = "" if first["type"] == "value_error" else _example(kind, [*parents, last], raw)
        several = set(_UNION) & set(first["loc"]) and isinstance(first["input"], dict | list)
        reason = _SCALAR if several else problem(first)
        # The field of `student.init`, which is beside `student` since it is not a part of the network.
        key, hint = (text.replace("student_init", "student.init") for text in (key, hint))
        raise SrkdError(f"{where}:{key} {reason}", hint) from None


def _rank(error: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return what orders errors: the first one is reported.

    An error in `train` also appears in the copies of teachers and their fusion, and a key that is missing is often
    one that is misspelt.
    """
    is_copy = bool(error["loc"]) and error["loc"][0] in ("teacher", "teachers", "fusion")
    return is_copy, error["type"] == "missing"


def _keys(kind: type[BaseModel], parents: list[str], raw: Any) -> list[str]:
    """Return the keys that a file can have at a place in a spec."""
    kind = _spec_at(kind, parents, raw)
    more = {TrainSpec: ["epochs", "steps_per_epoch"], Suite: ["grid", "overrides"]}
    return [key for key in kind.model_fields if key != "student_init"] + more.get(kind, [])


def _example(kind: type[BaseModel], path: list[str], raw: Any) -> str:
    """Return an example of a key's value, or of the key that it is a part of, as a hint; empty if there is none."""
    path = path[
        : next((i for i, part in enumerate(path) if part.isdecimal()), len(path))
    ]  # --set has no lists' entries
    for end in range(len(path), 0, -1):
        try:
            examples = _spec_at(kind, path[: end - 1], raw).model_fields[path[end - 1]].examples
        except (LookupError, StopIteration):  # a part of a value
            continue
        return f"for example {'.'.join(path[:end])}={unquoted(examples[0])}" if examples else ""
    return ""


def _spec_at(kind: type[BaseModel], parents: list[str], raw: Any) -> type[BaseModel]:
    """Return the spec at a place in another."""
    for part in parents:
        raw = raw[part] if isinstance(raw, dict) else None
        if part.isdecimal():  # a place in a list
            continue
        annotation = str(kind.model_fields[part].annotation)
        kind = next(spec for spec in Spec.__subclasses__() if f".{spec.__name__}" in annotation)
        if kind is ModelSpec:
            kind = kind_of(raw)
    return kind
