"""Locate the source code of a method: built in, installed or your own file.

Nothing is imported here: a user's own method is identified by its name and the sha256 of its source.
"""

import hashlib
import keyword
import pkgutil
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from srkd_bench.config.base import Params
from srkd_bench.core.errors import MissingError, SrkdError, in_python, unknown
from srkd_bench.networks.class_import import is_installed, module_file, trusted

ENTRY_POINTS = "srkd_bench.methods"
RESERVED = (
    "all",
    "bicubic",
    "student",
    "teacher",
)  # these have another meaning wherever a method can be given
MAX_BYTES = 1_000_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Source:
    """The source of a user's own method.

    Args:
        where: as given by the user: a file, `package.module:Class`, or an entry point's name.
        sha256: of its file.
        path: that file; None if it was deleted.
        text: the file's bytes, which are what is executed.
        dotted: `package.module:Class`, or empty for a file.
        allowed: whether its code may run: the user named it on the command line, or installed it.
    """

    name: str
    where: str
    sha256: str
    path: Path | None
    text: bytes
    dotted: str
    allowed: bool


# By name and sha256, which a run's settings record.
_SEEN: dict[tuple[str, str], Source] = {}


@cache
def builtin() -> frozenset[str]:
    """Return the names of the methods that come with srkd."""
    return frozenset(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "builtin")]))


@cache
def installed() -> Mapping[str, str]:
    """Return `package.module:Class` of the methods of installed packages, by name, without built-in names."""
    found = {entry.name: entry.value for entry in entry_points(group=ENTRY_POINTS)}
    return {name: value for name, value in sorted(found.items()) if name not in builtin()}


def takes(name: str, owner: str) -> bool:
    """Return whether parameters under the name `owner` are a method's: a part's or its own, parts in any order."""
    parts = set(name.split("+"))
    return owner in parts or set(owner.split("+")) == parts


def parameters_of(name: str, params: Mapping[str, Mapping[str, Any]]) -> dict[str, Params]:
    """Return a method's hyper-parameters by part.

    A composition takes those of its parts, replaced by those under its own name, such as
    `{"rkd+hkd": {"hkd.weight": 4.0}}`; the order of its parts does not matter.

    Raises:
        SrkdError: a key under the composition's name is not `part.parameter`.
    """
    parts = name.split("+")
    found = {part: dict(params.get(part, {})) for part in parts}
    for whole in (one for one in params if one not in parts and takes(name, one)):
        for key, value in params[whole].items():
            part, _, parameter = key.partition(".")
            if part not in found or not parameter:
                raise SrkdError(
                    f"params.{whole}.{key} names no parameter of {' or '.join(parts)}",
                    f"for example --set params.{whole}.{parts[0]}.weight=1",
                )
            found[part][parameter] = value
    return found


def is_code(part: str) -> bool:
    """Return whether a method is given by the path or module of its code."""
    return part.endswith(".py") or ":" in part


def name_of(reference: str) -> str:
    """Return the name of a method, or of a composition `a+b`, whose parts may be given by their code.

    A method file gives the file's name, a class its name in lower case.
    """
    return "+".join(_name(part) for part in reference.split("+"))


def _name(part: str) -> str:
    if part.endswith(".py"):
        return Path(part).stem
    return part.rpartition(":")[2].lower() if ":" in part else part


def check_name(name: str, where: str) -> None:
    """Reject a name that a user's own method cannot have.

    Args:
        where: the file or entry point with this name, for the message.
    Raises:
        SrkdError: it is a built-in method's name, reserved, or not a lower-case word.
    """
    if name in builtin():
        hint = "choose another name" + ("; a file's method has the file's name" if ".py" in where else "")
        raise SrkdError(f"{where}: '{name}' is the name of a built-in method", hint)
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name in RESERVED:
        raise SrkdError(
            f"{where}: '{name[:60]}' is not a valid method name",
            "up to 40 lower-case letters, digits and _, starting with a letter; not " + ", ".join(RESERVED),
        )


def find(part: str, *, allowed: bool = True, last: Mapping[str, str] | None = None) -> Source | None:
    """Return the source of a method without running it; None for a built-in one.

    Args:
        allowed: whether its code may run later.
        last: the latest known sha256 of sources by name, used if the file was deleted.
    Raises:
        MissingError: no such file or module. SrkdError: no such method, or an invalid name.
    """
    if part in builtin():
        return None
    if is_code(part):
        name, dotted = _name(part), "" if part.endswith(".py") else part
        check_name(name, part)
    elif part in installed():
        name, dotted = part, installed()[part]
        allowed = allowed or is_installed(dotted.partition(":")[0])  # its metadata may lie in this folder
        check_name(name, f"entry point {dotted}")
    else:
        raise unknown("method", part, [*builtin(), *installed()])
    path = _module_file(dotted, part) if dotted else Path(part)
    text = _read(path, part)
    if text is None:
        if name not in (last or {}):
            hint = "srkd method new writes one" if path is not None else "is its package installed?"
            raise MissingError(f"no file '{path}'" if path is not None else f"no module of '{part}'", hint)
        source = Source(name, part, (last or {})[name], None, b"", dotted, allowed)
    else:
        source = Source(name, part, hashlib.sha256(text).hexdigest(), path, text, dotted, allowed)
    know([source])
    return source


def know(found: Iterable[Source]) -> None:
    """Remember sources for `seen`: of two with the same content, prefer the one that may run and still exists."""
    for one in found:
        before = _SEEN.get((one.name, one.sha256))
        if before is None or _usable(one) > _usable(before):
            _SEEN[one.name, one.sha256] = one


def _usable(source: Source) -> tuple[bool, bool]:
    return source.allowed, source.path is not None and source.path.exists()


def seen(name: str, sha256: str) -> Source:
    """Return a source that this process has found before, by name and sha256.

    Raises:
        MissingError: this process has not found it.
    """
    if (name, sha256) not in _SEEN:
        raise MissingError(
            f"the source of method '{name}' is not known here", "name its file: --method FILE.py"
        )
    return _SEEN[name, sha256]


def check_allowed(source: Source) -> None:
    """Reject code that only a suite names, so that an untrusted suite cannot execute code.

    Raises:
        SrkdError: the user has not allowed it.
    """
    if not (source.allowed or trusted()):
        raise SrkdError(
            f"the suite would run the code in '{source.where}'",
            f"read it first; if you trust it: {trusting()}",
        )


def trusting() -> str:
    """Return how the user allows the code that suites name to run."""
    return "set SRKD_TRUST=1" if in_python() else shlex.join(["srkd", "--trust", *sys.argv[1:]])


def check_distinct(sources: Iterable[Source]) -> None:
    """Reject different methods of the same name.

    Raises:
        SrkdError: two sources differ and have the same name.
    """
    first: dict[str, Source] = {}
    for source in sources:
        other = first.setdefault(source.name, source)
        if other.sha256 != source.sha256:
            raise SrkdError(
                f"two methods are named '{source.name}': {other.where} and {source.where}", "rename one"
            )


def _read(path: Path | None, where: str) -> bytes | None:
    if path is None:
        return None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SrkdError(f"'{where}' is not a method: it is larger than {MAX_BYTES:,} bytes")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SrkdError(f"cannot read method '{where}': {error.strerror}") from None


def _module_file(dotted: str, where: str) -> Path | None:
    """Return the file of a module without importing its packages; None if there is none."""
    module, _, name = dotted.partition(":")
    if not all(map(str.isidentifier, [*module.split("."), name])):
        raise SrkdError(
            f"'{where}' is not the name of a class", "write package.module:Class, or a file: ./mymethod.py"
        )
    return module_file(module)
