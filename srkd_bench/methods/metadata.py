"""What a plan must know of its methods. Kept beside the store, so that plans and reports need no torch."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from srkd_bench.config.base import Params, Spec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.files import put
from srkd_bench.methods import sources
from srkd_bench.store.artifact_store import ArtifactStore


class Traits(Spec):
    """A method, or a composition `a+b`, with its parameters.

    Args:
        params: what decides its numbers: version and parameters of each part, defaults written out, and the sha256
            of an own part's source.
        looks: whether it looks at the teacher.
        weights: names of the weights of its loss terms, by part.
        min_batch: the least number of images in a batch that it can work with.
        summary: what it does, in one line.
        kind, source: as in `Method`.
    """

    params: dict[str, Params]
    weights: dict[str, list[str]]
    looks: bool
    min_batch: int
    summary: str
    kind: str
    source: str


class _Known(Spec):
    code: str
    traits: dict[str, Traits]
    own: dict[str, str]  # the latest sha256 of own methods, by name


def traits(
    references: Iterable[str],
    params: Mapping[str, Params],
    store: ArtifactStore,
    *,
    readonly: bool = False,
    allowed: Collection[str] | None = None,
) -> dict[str, Traits]:
    """Return the traits of methods by name. What is kept is of this very code; else the methods are imported.

    Args:
        references: names, or where the code of own methods lies, as in `sources.find`.
        params: hyper-parameters by the name of a part.
        readonly: keep nothing.
        allowed: those of the references whose code may run; all if not given.
    Raises:
        SrkdError: no such method or parameter, a value out of bounds, or code that may not run.
    """
    path, code = store.home / "methods.json", _code()
    known = _read(path, code)
    before = known.model_copy(deep=True)
    found: dict[str, Traits] = {}
    own: list[sources.Source] = []
    for reference in references:
        trusts = allowed is None or reference in allowed
        parts = [sources.find(part, allowed=trusts, last=known.own) for part in reference.split("+")]
        origins = [part for part in parts if part is not None]
        own += origins
        sources.check_distinct(own)
        name = sources.name_of(reference)
        about: list[object] = [name, {part: params.get(part, {}) for part in name.split("+")}]
        question = json.dumps([*about, *(origin.sha256 for origin in origins)])
        if question not in known.traits:
            for origin in origins:
                sources.check_allowed(origin)
            known.traits[question] = _ask(reference, params)
        found[name] = known.traits[question]
    known.own.update({origin.name: origin.sha256 for origin in own})
    if known != before and not readonly and (own or path.parent.is_dir()):
        text = known.model_dump_json()
        with suppress(SrkdError):  # a store that can't be written is no obstacle: this only saves time
            store.begin()
            put(path, f"{_sha256(text)}\n{text}")
    return found


def own_methods(store: ArtifactStore) -> dict[str, Traits]:
    """Return the own methods that the store has been used with, by name, as they were last."""
    known = _read(store.home / "methods.json", _code())
    return {
        name: one
        for one in known.traits.values()
        for name, params in one.params.items()
        if len(one.params) == 1 and known.own.get(name) == params.get("sha256")
    }


def _ask(name: str, params: Mapping[str, Params]) -> Traits:
    from srkd_bench.methods import registry

    method = registry.build(name, params)
    return Traits(
        params=registry.identity(method, name),
        weights=registry.weights(method, name),
        looks=bool(method.looks),
        min_batch=int(method.min_batch),
        summary=registry.summary(name),
        kind=method.kind,
        source=method.source,
    )


def _read(path: Path, code: str) -> _Known:
    """Return what is kept, or nothing if it is damaged or of other code."""
    nothing = _Known(code=code, traits={}, own={})
    try:
        digest, text = path.read_text().split("\n", 1)
        known = _Known.model_validate_json(text)
    except (OSError, ValueError, ValidationError):
        return nothing
    return known if digest == _sha256(text) and known.code == code else nothing


def _code() -> str:
    """Return the sha256 of the source of the methods and of their interface."""
    package = Path(__file__).parent
    files = [package / "base.py", package / "user_code.py", *sorted((package / "builtin").glob("*.py"))]
    return _sha256("".join(f"{path.name}\n{path.read_text()}\n" for path in files))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
