"""Reading suites: YAML files, `--set` settings, and errors that name the key."""

import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from srkd_bench.config import Spec, Suite, TrainSpec, overridden
from srkd_bench.errors import MissingError, SrkdError, unknown


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: `1e-4` is a number, `no` and `on` are words, a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if (name := self.construct_object(key, deep=True)) in seen:
                raise SrkdError(f"key '{name}' stands twice{_place(key.start_mark)}")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise SrkdError(f"aliases are not allowed{_place(self.peek_event().start_mark)}", "write it out")  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\d+[eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def _place(mark: yaml.Mark) -> str:
    return f", line {mark.line + 1}"


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "no YAML"
        raise SrkdError(f"{where}: {problem}{_place(mark) if mark else ''}") from None
    except SrkdError as error:
        raise SrkdError(f"{where}: {error.message}", error.hint) from None
    except (RecursionError, ValueError) as error:
        raise SrkdError(f"{where}: no usable YAML ({error})") from None


def _set(raw: dict[str, Any], setting: str) -> dict[str, Any]:
    """Return the suite with one `key=value` of the command line put in."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise SrkdError(f"--set takes key=value, not '{setting}'", "for example --set train.steps=200")
    value = _parse(text, f"--set {key}")
    first, *rest = key.strip().split(".")
    if not rest:
        return raw | {first: value}
    inner = raw.get(first) or {}
    if not isinstance(inner, dict):
        raise SrkdError(f"--set {key}: '{first}' has no keys")
    changed = _set(inner, ".".join(rest) + "=" + text)
    return raw | {first: overridden(inner, {rest[0]: changed[rest[0]]})}


def suite_files() -> dict[str, Path]:
    """Return the suites that come with srkd, by name."""
    package = Path(__file__).parent
    folder = package / "suites" if (package / "suites").is_dir() else package.parent / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_suite(name: str, settings: Iterable[str] = ()) -> Suite:
    """Read a suite by its name or file, with `key=value` settings put in.

    Raises:
        SrkdError: no such suite, no YAML, an unknown key, a wrong type or a number out of bounds.
    """
    known = suite_files()
    path = known.get(name, Path(name))
    if name not in known and path.suffix not in (".yaml", ".yml"):
        raise unknown("suite", name, known)
    if not path.is_file():
        raise MissingError(f"no suite file '{name}'", f"built-in suites: {', '.join(known)}")
    if path.stat().st_size > 1_000_000:
        raise SrkdError(f"suite file '{name}' is larger than 1 MB")
    try:
        raw = _parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise SrkdError(f"{path}: no UTF-8 text") from None
    if not isinstance(raw, dict):
        raise SrkdError(f"{path}: a suite is a mapping of keys", "`srkd show demo` prints one")
    for setting in settings:
        raw = _set(raw, setting)
    return validated(Suite, raw, str(path) if name not in known else f"suite {name}")


S = TypeVar("S", bound=Spec)


def validated(kind: type[S], raw: Any, where: str) -> S:
    """Return `raw` as a spec of that kind, or raise one SrkdError that names the key."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        # A mistake in `train` shows in the teacher's copy as well: name the original.
        first = min(error.errors(include_url=False), key=lambda one: one["loc"][:1] == ("teacher",))
        *parents, last = [str(part) for part in first["loc"]] or [""]
        if first["type"] == "extra_forbidden":
            place = f"{where}, {'.'.join(parents)}," if parents else where
            raise unknown(f"key in {place}", last, _keys(kind, parents)) from None
        message = first["msg"].removeprefix("Value error, ")
        key = f" {'.'.join([*parents, last])}:" if last else ""
        given = f", not {first['input']!r}" if last and not isinstance(first["input"], dict) else ""
        raise SrkdError(f"{where}:{key} {message[0].lower() + message[1:]}{given[:80]}") from None


def _keys(kind: type[BaseModel], parents: list[str]) -> list[str]:
    """Return the keys that are known at a place in a spec."""
    for part in parents:
        annotation = str(kind.model_fields[part].annotation)
        kind = next(spec for spec in Spec.__subclasses__() if spec.__name__ in annotation)
    return [*kind.model_fields, *(["epochs", "steps_per_epoch"] if kind is TrainSpec else [])]
