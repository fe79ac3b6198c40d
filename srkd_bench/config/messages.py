"""Explain validation errors in plain words."""

import re
from collections.abc import Mapping
from typing import Any

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text"}
_KINDS |= {"list": "a list, such as [a, b]", "tuple": "a list, such as [1, 2]", "dict": "a mapping of keys"}
_KINDS |= {"model": "a mapping of keys", "model_attributes": "a mapping of keys"}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_LENGTHS = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}

_NAME = re.compile(r"(?!(?:true|false|null|yes|no|on|off)$)[A-Za-z_][\w.+/@-]*", re.IGNORECASE)

SUITE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
CLASS_PATH = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"
_PATTERNS = {
    SUITE_NAME: "must have at most 64 letters, digits, '.', '_' and '-', and no spaces",
    CLASS_PATH: "must be rcan, or a class as package.module:Class",
}

MOST_SHOWN = 80  # characters of a refused value


def problem(error: Mapping[str, Any]) -> str:
    """Describe an error as a phrase that follows the key: `must be at least 1, not 0`.

    Args:
        error: one of pydantic's `ValidationError.errors()`.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "invalid_key":
        return "keys must be text"
    if kind == "missing":
        return "is missing"
    demand = _demand(kind, context, error["msg"])
    given = error["input"]
    if kind in _LENGTHS and given:
        return f"{demand}, not {len(given)}"
    return demand if isinstance(given, dict) else f"{demand}, not {shown(given)[:MOST_SHOWN]}"


def _demand(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {_number(context[bound])}"
    name = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float")
    if name in _KINDS:
        return f"must be {_KINDS[name]}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"must match the pattern {context['pattern']}")
    if kind == "finite_number":
        return "must be a finite number"
    if (name := kind.removeprefix("string_")) in _LENGTHS:
        words, bound = _LENGTHS[name]
        return f"must have {words} {context[bound]} {_counted(name != kind, context[bound])}"
    return message[0].lower() + message[1:]


def _counted(text: bool, bound: int) -> str:
    return ("character" if text else "entry") if bound == 1 else ("characters" if text else "entries")


def _number(value: float) -> str:
    return f"{int(value) if value == int(value) else value:,}"


def shown(value: Any) -> str:
    """Format a value as in a suite file: `true`, `[a, b]`, `'text'`."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(unquoted, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {unquoted(one)}" for key, one in value.items()) + "}"
    return repr(value)


def unquoted(value: Any) -> str:
    """Return a value as a suite file or --set has it, without quotes around a name, which needs none."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else shown(value)
