"""Find, build and describe distillation methods."""

import ast
import inspect
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from srkd_bench.config.base import Loss
from srkd_bench.config.messages import problem, shown
from srkd_bench.core.errors import SrkdError, unknown
from srkd_bench.methods import sources, user_code
from srkd_bench.methods.base import Method, PixelLoss, Weight
from srkd_bench.methods.composition import Composition
from srkd_bench.methods.encoders import EncoderFile


def names() -> list[str]:
    """Return the names of the installed methods, `none` first."""
    return sorted([*sources.builtin(), *sources.installed()], key=lambda name: (name != "none", name))


def find(name: str) -> type[Method]:
    """Return the class of a method: of an installed one by its name, or `./file.py`, or `package.module:Class`.

    Raises:
        SrkdError: no such method, or its source defines no method.
    """
    source = sources.find(name)
    return _builtin(name) if source is None else user_code.load(source)


@cache
def _builtin(name: str) -> type[Method]:
    module = import_module(f"srkd_bench.methods.builtin.{name}")
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return next(c for c in classes if issubclass(c, Method) and c.__module__ == module.__name__)


def build(name: str, params: Mapping[str, Mapping[str, Any]], loss: Loss = "mse") -> Method:
    """Return a method, or a composition `a+b`, with hyper-parameters as `sources.parameters_of` takes them.

    Args:
        name: parts may be paths of code, as in `find`.
        loss: the suite's, which parameters of type `PixelLoss` have by default.
    Raises:
        SrkdError: no such method or parameter, a wrong type, or a number out of bounds.
    """
    parts = name.split("+")
    if len(parts) > 1 and (len(set(map(sources.name_of, parts))) < len(parts) or "none" in parts):
        raise SrkdError(f"'{name}' is not a composition", "join different methods, as in rkd+hkd")
    found = {sources.name_of(part): find(part) for part in parts}
    following = {part: dict.fromkeys(typed(method, PixelLoss), loss) for part, method in found.items()}
    given = sources.parameters_of("+".join(found), params)
    return _joined(found, {part: following[part] | given[part] for part in found})


def _joined(found: Mapping[str, type[Method]], params: Mapping[str, Mapping[str, Any]]) -> Method:
    built = {
        name: method(
            **{key: check_parameter(method, name, key, one) for key, one in params.get(name, {}).items()}
        )
        for name, method in found.items()
    }
    return Composition(built) if len(built) > 1 else next(iter(built.values()))


def check_parameter(method: type[Method], name: str, key: str, value: object) -> Any:
    """Convert a hyper-parameter's value to its declared type: 1 becomes 1.0, so that both give the same run.

    Raises:
        SrkdError: the method has no such parameter, or the value is of a wrong type or out of bounds.
    """
    known = [field.name for field in fields(method)]  # type: ignore[arg-type]  # every method is a dataclass
    if key not in known:
        raise unknown(f"parameter of {name}", key, known)
    try:
        hint = get_type_hints(method, include_extras=True)[key]
        return TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        reason = problem(error.errors(include_url=False)[0])
        default = next(field.default for field in fields(method) if field.name == key)  # type: ignore[arg-type]
        raise SrkdError(f"params.{name}.{key}: {reason}", f"its default: {shown(default)}") from None


def identity(method: Method, name: str) -> dict[str, dict[str, Any]]:
    """Return the identity of a method: version and parameters of each part.

    Defaults are written out, except the original ones of fields marked `LATER`. The identity of a user's own method
    includes the sha256 of its source, but not its path.
    """
    parts = name.split("+")
    built = method.parts.values() if isinstance(method, Composition) else [method]
    found: dict[str, dict[str, Any]] = {}
    for part, one in zip(parts, built, strict=True):
        source = sources.find(part)
        origin = {} if source is None else {"sha256": source.sha256}
        found[sources.name_of(part)] = origin | {"version": one.version, **_parameters(one)}
    return found


def _parameters(method: Method) -> dict[str, Any]:
    values = {field.name: getattr(method, field.name) for field in fields(method)}  # type: ignore[arg-type]  # a dataclass
    omitted = _originals(type(method))
    return {name: value for name, value in values.items() if name not in omitted or value != omitted[name]}


def _originals(method: type[Method]) -> dict[str, Any]:
    """Return the first defaults of a method's later fields, which its identity omits."""
    later = [field for field in fields(method) if "later" in field.metadata]  # type: ignore[arg-type]  # a dataclass
    return {field.name: field.metadata.get("original", field.default) for field in later}


def typed(method: type[Method], kind: object) -> list[str]:
    """Return the names of a method's parameters of a type."""
    hints = get_type_hints(method, include_extras=True)
    return [field.name for field in fields(method) if hints[field.name] == kind]  # type: ignore[arg-type]  # a dataclass


def weights(method: Method, name: str) -> dict[str, list[str]]:
    """Return the names of the parameters that are weights of loss terms, by part."""
    parts = method.parts if isinstance(method, Composition) else {sources.name_of(name): method}
    return {part: typed(type(one), Weight) for part, one in parts.items()}


def encoders(method: Method) -> list[tuple[str, Method]]:
    """Return the encoder files that a method uses, as `encoders.load` takes them, each with its part."""
    parts = method.parts.values() if isinstance(method, Composition) else [method]
    found = [(getattr(part, name), part) for part in parts for name in typed(type(part), EncoderFile)]
    return [(file, part) for file, part in found if file]


def required(method: type[Method]) -> list[str]:
    """Return the names of the parameters that a suite must set."""
    return [field.name for field in fields(method) if "required" in field.metadata]  # type: ignore[arg-type]  # a dataclass


def lacking(method: Method, name: str) -> list[str]:
    """Return the keys of required parameters that are not set, such as `params.dckd.encoder`."""
    parts = method.parts if isinstance(method, Composition) else {sources.name_of(name): method}
    return [
        f"params.{part}.{key}"
        for part, one in parts.items()
        for key in required(type(one))
        if not getattr(one, key)
    ]


def summary(name: str) -> str:
    """Describe a method in one line: the first line of its file, or the methods of a composition."""
    parts = sources.name_of(name).split("+")
    if len(parts) > 1:
        return f"{' and '.join(part.upper() for part in parts)} at once, the loss against HR counted once."
    source = inspect.getsource(sys.modules[find(name).__module__])  # `python -OO` removes docstrings
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def rebuild(name: str, params: Mapping[str, Mapping[str, Any]]) -> Method:
    """Build a method from its `identity`.

    Raises:
        SrkdError: the source of a user's own method is missing or not trusted.
    """
    found = {
        part: user_code.load(sources.seen(part, params[part]["sha256"]))
        if "sha256" in params.get(part, {})
        else find(part)
        for part in name.split("+")
    }
    rest = {
        part: _originals(found[part]) | {k: v for k, v in one.items() if k not in ("version", "sha256")}
        for part, one in params.items()
    }
    return _joined(found, rest)
