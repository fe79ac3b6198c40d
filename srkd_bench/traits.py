"""What a plan must know of its methods. Kept beside the store, so that plans and reports need no torch."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from srkd_bench.config import Params, Spec
from srkd_bench.disk import put
from srkd_bench.errors import SrkdError
from srkd_bench.store import ArtifactStore


class Traits(Spec):
    """A method, or a composition `a+b`, with its parameters.

    Args:
        params: what decides its numbers: version and parameters of each part, defaults written out.
        looks: whether it looks at the teacher.
        min_batch: the least number of images in a batch that it can work with.
        summary: what it does, in one line.
        kind, source: as in `Method`.
    """

    params: dict[str, Params]
    looks: bool
    min_batch: int
    summary: str
    kind: str
    source: str


class _Known(Spec):
    code: str
    traits: dict[str, Traits]


def traits(
    names: Iterable[str], params: Mapping[str, Params], store: ArtifactStore, *, readonly: bool = False
) -> dict[str, Traits]:
    """Return the traits of methods by name. What is kept is of this very code; else the methods are imported.

    Args:
        params: hyper-parameters by the name of a part.
        readonly: keep nothing.
    Raises:
        SrkdError: no such method or parameter, or a value out of bounds.
    """
    path, code = store.home / "methods.json", _code()
    known = _read(path, code)
    found: dict[str, Traits] = {}
    fresh = False
    for name in names:
        question = json.dumps([name, {part: params.get(part, {}) for part in name.split("+")}])
        if question not in known:
            known[question] = _ask(name, params)
            fresh = True
        found[name] = known[question]
    if fresh and not readonly and path.parent.is_dir():
        text = _Known(code=code, traits=known).model_dump_json()
        with suppress(SrkdError):  # a store that can't be written is no obstacle: this only saves time
            put(path, f"{_sha256(text)}\n{text}")
    return found


def _ask(name: str, params: Mapping[str, Params]) -> Traits:
    from srkd_bench import methods

    method = methods.build(name, params)
    return Traits(
        params=methods.identity(method, name),
        looks=bool(method.looks),
        min_batch=int(method.min_batch),
        summary=methods.summary(name),
        kind=method.kind,
        source=method.source,
    )


def _read(path: Path, code: str) -> dict[str, Traits]:
    """Return what is kept, or nothing if it is damaged or of other code."""
    try:
        digest, text = path.read_text().split("\n", 1)
        known = _Known.model_validate_json(text)
    except (OSError, ValueError, ValidationError):
        return {}
    return dict(known.traits) if digest == _sha256(text) and known.code == code else {}


def _code() -> str:
    """Return the sha256 of the source of the methods and of their interface."""
    package = Path(__file__).parent
    files = [package / "method.py", *sorted((package / "methods").glob("*.py"))]
    return _sha256("".join(f"{path.name}\n{path.read_text()}\n" for path in files))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
