"""Load the user's own methods and explain their errors by file and line."""

import ast
import dataclasses
import importlib
import sys
import traceback
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, Never, get_args, get_type_hints

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.methods.base import KINDS, Method, Resumed
from srkd_bench.methods.sources import Source, check_allowed

_BEGIN = "`srkd method new NAME` writes a method to begin with"
# Class attributes of a method; with an annotation, a dataclass takes them for hyper-parameters.
_ATTRIBUTES = frozenset(name for name in vars(Method) if not name.startswith("_")) | {"kind", "source"}


@cache
def load(source: Source) -> type[Method]:
    """Run the code of a user's own method and return its class.

    Raises:
        MissingError: its file was deleted. SrkdError: its code may not run, or defines no valid method.
    """
    if source.path is None:
        problem = f"method '{source.name}' must be trained, but '{source.where}' is missing"
        raise MissingError(problem, "restore it")
    check_allowed(source)
    module = _imported(source) if source.dotted else _executed(source)
    found = _named(source, module) if source.dotted else _only(source, module)
    _check(source, found)
    return found


def _executed(source: Source) -> ModuleType:
    """Execute exactly the bytes that were hashed, and return their module."""
    module = ModuleType(f"srkd_own.{source.name}_{source.sha256[:12]}")
    module.__file__ = str(source.path)
    sys.modules[module.__name__] = module  # dataclasses and type hints look it up
    try:
        exec(compile(source.text, str(source.path), "exec", dont_inherit=True), vars(module))
    except Exception as error:
        del sys.modules[module.__name__]
        _tell(source, error)
    return module


def _imported(source: Source) -> ModuleType:
    try:
        return importlib.import_module(source.dotted.partition(":")[0])
    except Exception as error:
        _tell(source, error)


def _tell(source: Source, error: Exception) -> Never:
    if isinstance(error, SyntaxError) and error.filename == str(source.path):
        _refuse(source, error.lineno, error.msg, "")
    frames = traceback.extract_tb(error.__traceback__)
    line = next((one.lineno for one in reversed(frames) if one.filename == str(source.path)), None)
    absent = isinstance(error, ImportError)
    hint = "a method is one file; its imports must be installed" if absent else ""
    _refuse(source, line, f"{type(error).__name__}: {str(error)[:200]}", hint)


def _refuse(source: Source, line: int | None, problem: str, hint: str) -> Never:
    place = source.where if line is None else f"{source.where}, line {line}"
    raise SrkdError(f"{place}: {problem}", hint)


def _named(source: Source, module: ModuleType) -> type[Method]:
    name = source.dotted.partition(":")[2]
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, Method)):
        _refuse(source, _line_of(source, name), f"'{name}' is not a Method", _BEGIN)
    if found.__module__ != module.__name__:
        hint = f"name it where it is defined: {found.__module__}:{found.__name__}"
        _refuse(source, None, f"'{name}' is defined elsewhere", hint)
    return found


def _only(source: Source, module: ModuleType) -> type[Method]:
    """Return the only method of a file. Base classes of others are ignored."""
    classes = (one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Method))
    found = list(dict.fromkeys(one for one in classes if one.__module__ == module.__name__))
    found = [one for one in found if not any(one in other.__mro__[1:] for other in found)]
    if not found:
        _refuse(source, None, "it defines no Method", _BEGIN)
    if len(found) > 1:
        first, second = found[:2]
        problem = f"two methods in one file, {first.__name__} and {second.__name__}"
        hint = "a file is one method; its name is the method's"
        _refuse(source, _line_of(source, second.__name__), problem, hint)
    return found[0]


def _check(source: Source, found: type[Method]) -> None:
    """Reject a method that cannot be built, named or identified."""
    name = found.__name__
    line = _line_of(source, name)
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        hint = "return the loss terms by name, including `rec`"
        _refuse(source, line, f"{name} has no {missing[0]}()", hint)
    if "__dataclass_params__" not in vars(found) or not vars(found)["__dataclass_params__"].frozen:
        hint = f"write @dataclass(frozen=True) above class {name}"
        _refuse(source, line, f"{name} is not a frozen dataclass", hint)
    for field in dataclasses.fields(found):  # type: ignore[arg-type]  # checked above: it is a dataclass
        _check_field(source, field)
    try:
        get_type_hints(found, include_extras=True)
    except Exception as error:
        _refuse(source, line, f"{type(error).__name__}: {error}", "import the types of the parameters")
    for attribute, (fits, hint) in _RULES.items():
        if not fits(getattr(found, attribute, None)):
            given = repr(getattr(found, attribute, "missing"))[:60]
            _refuse(source, _line_of(source, attribute) or line, f"{attribute} is {given}", hint)
    if found.fuses and not found.looks:
        hint = "leave out looks = False, or fuses = True"
        _refuse(source, _line_of(source, "fuses"), "it fuses several teachers, but uses none", hint)
    if "teacher" in found.resumes and not (found.looks and "network" in found.needs):
        hint = "add 'network' to needs, or leave out needs: then everything may be used"
        problem = "it resumes the teacher, which needs does not name"
        _refuse(source, _line_of(source, "resumes"), problem, hint)
    if found.stacks and (found.taps or found.adapter is not Method.adapter):
        part = "features at taps" if found.taps else "an adapter"
        _refuse(source, _line_of(source, "stacks"), f"it uses {part}", "leave out stacks = True")


def _counts(value: object) -> bool:
    return type(value) is int and value >= 1


def _names_networks(value: object) -> bool:
    return isinstance(value, tuple) and all(one in get_args(Resumed) for one in value)


_NEVER_ZERO = (
    'never_zero is the reason in words; "" if the loss is zero for a student that equals its teacher'
)
_SOURCE = 'source = "authors, place and year, arXiv number", or where you describe it'
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "kind": (lambda value: value in KINDS, f'kind = "..." with one of {", ".join(KINDS)}'),
    "source": (lambda value: isinstance(value, str) and value.isprintable(), _SOURCE),
    "version": (_counts, "version is a whole number of at least 1"),
    "min_batch": (_counts, "min_batch is a whole number of at least 1"),
    "min_patch": (_counts, "min_patch is a whole number of at least 1"),
    "looks": (lambda value: type(value) is bool, "looks is True or False"),
    "fuses": (lambda value: type(value) is bool, "fuses is True or False"),
    "stacks": (lambda value: type(value) is bool, "stacks is True or False"),
    "taps": (lambda value: isinstance(value, tuple), "taps is a tuple of depths: taps = (0.5, 1.0)"),
    "resumes": (_names_networks, 'resumes is a tuple: resumes = ("teacher",), ("student",) or both'),
    "beside": (lambda value: isinstance(value, tuple), 'beside is a tuple of terms: beside = ("peer",)'),
    "never_zero": (lambda value: isinstance(value, str), _NEVER_ZERO),
}


def _check_field(source: Source, field: "dataclasses.Field[Any]") -> None:
    line = _line_of(source, field.name)
    if field.name in _ATTRIBUTES or field.name == "sha256":
        bare = f"write it without a type: {field.name} = ..."
        hint = bare if field.name != "sha256" else "use another name"
        _refuse(source, line, f"'{field.name}' cannot be a hyper-parameter", hint)
    if field.default is dataclasses.MISSING:
        _refuse(source, line, f"hyper-parameter '{field.name}' has no default", f"{field.name}: Weight = 1.0")
    if type(field.default) not in (int, float, bool, str):
        problem = f"hyper-parameter '{field.name}' is {type(field.default).__name__}"
        _refuse(source, line, problem, "it can be a number, True or False, or a word")


def _line_of(source: Source, name: str) -> int | None:
    """Return the first line that defines a class, or an attribute of one, by that name."""
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node.lineno
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                targets = inner.targets if isinstance(inner, ast.Assign) else [getattr(inner, "target", None)]
                if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                    return inner.lineno
    return None
