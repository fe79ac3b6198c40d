"""The distillation methods: one file each, named like the method. `a+b` composes them."""

import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from srkd_bench.errors import SrkdError, unknown
from srkd_bench.method import Losses, Method, Step


def names() -> list[str]:
    """Return the names of the installed methods, `none` first."""
    found = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(found, key=lambda name: (name != "none", name))


@cache
def find(name: str) -> type[Method]:
    """Return the class of an installed method.

    Raises:
        SrkdError: no such method.
    """
    if name not in names():
        raise unknown("method", name, names())
    module = import_module(f"{__name__}.{name}")
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return next(c for c in classes if issubclass(c, Method) and c.__module__ == module.__name__)


def build(name: str, params: Mapping[str, Mapping[str, Any]]) -> Method:
    """Return a method, or a composition `a+b`, with hyper-parameters by the name of its part.

    Raises:
        SrkdError: no such method or parameter, a wrong type, or a number out of bounds.
    """
    parts = name.split("+")
    if len(parts) == 1:
        return _one(name, params.get(name, {}))
    if len(set(parts)) < len(parts) or "none" in parts:
        raise SrkdError(f"'{name}' is no composition", "join different methods, as in rkd+hkd")
    return Composition({part: _one(part, params.get(part, {})) for part in parts})


def _one(name: str, params: Mapping[str, Any]) -> Method:
    method = find(name)
    types = get_type_hints(method, include_extras=True)
    known = [field.name for field in fields(method)]  # type: ignore[arg-type]  # every method is a dataclass
    checked: dict[str, Any] = {}
    for key, value in params.items():
        if key not in known:
            raise unknown(f"parameter of {name}", key, known)
        try:
            # What it returns counts: 1 becomes 1.0, so that both are the same run.
            checked[key] = TypeAdapter(types[key]).validate_python(value, strict=True)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].lower()
            raise SrkdError(f"params.{name}.{key}: {reason}, not {value!r}") from None
    return method(**checked)


class Composition(Method):
    """Several methods at once: the ground-truth term once, all other terms with the weights they have alone."""

    kind = "composition"
    source = "the study's RKD+HKD, for any methods"

    def __init__(self, parts: Mapping[str, Method]) -> None:
        self.parts = dict(parts)
        self.taps = tuple(sorted({tap for part in parts.values() for tap in part.taps}))  # type: ignore[misc]
        self.looks = any(part.looks for part in parts.values())  # type: ignore[misc]
        self.beside = tuple(term for part in parts.values() for term in part.beside)  # type: ignore[misc]
        self.min_batch = max(part.min_batch for part in parts.values())  # type: ignore[misc]

    def adapter(self, teacher: nn.Module | None, student: nn.Module, lr: torch.Tensor) -> nn.Module:
        """Return the parts' adapters, by name."""
        return nn.ModuleDict({name: part.adapter(teacher, student, lr) for name, part in self.parts.items()})

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return the first part's ground-truth term and all other terms of all parts."""
        terms: Losses = {}
        for name, part in self.parts.items():
            for term, loss in part.losses(step, adapter.get_submodule(name)).items():
                if term != "rec":
                    terms[term if term not in terms else f"{name}.{term}"] = loss
                else:
                    terms.setdefault("rec", loss)
        return terms


def identity(method: Method, name: str) -> dict[str, dict[str, Any]]:
    """Return what decides a method's numbers: version and parameters of each part.

    Defaults are written out, but for those of fields marked `LATER`.
    """
    parts = method.parts if isinstance(method, Composition) else {name: method}
    return {part: {"version": one.version, **_parameters(one)} for part, one in parts.items()}


def _parameters(method: Method) -> dict[str, Any]:
    values = {field: getattr(method, field.name) for field in fields(method)}  # type: ignore[arg-type]  # a dataclass
    return {
        field.name: value
        for field, value in values.items()
        if not ("later" in field.metadata and value == field.default)
    }


def summary(name: str) -> str:
    """Return in one line what a method does: the first of its file, or which methods are composed."""
    parts = name.split("+")
    if len(parts) > 1:
        return f"{' and '.join(part.upper() for part in parts)} at once, the loss against HR counted once."
    return (import_module(f"{__name__}.{name}").__doc__ or "").strip().partition("\n")[0]


def rebuild(name: str, params: Mapping[str, Mapping[str, Any]]) -> Method:
    """Return the method that `identity` was taken of."""
    return build(
        name, {part: {k: v for k, v in one.items() if k != "version"} for part, one in params.items()}
    )
