"""What a plan must know of networks of other architectures; kept beside the store: reports need no torch."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from srkd_bench.config.base import Spec
from srkd_bench.config.network import Counts, ForeignSpec, ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.files import put
from srkd_bench.store.artifact_store import ArtifactStore


class _Seen(Spec):
    file: str
    spec: ForeignSpec
    counts: Counts


class _Known(Spec):
    code: str
    seen: dict[str, _Seen]


def resolved(
    spec: ModelSpec | ForeignSpec, store: ArtifactStore, *, readonly: bool = False
) -> ModelSpec | ForeignSpec:
    """Return the spec of a network with all that decides its numbers written out: source, blocks; and its counts.

    A class is imported and tried on a small image unless that was done before and its file is the same.

    Args:
        readonly: keep nothing.
    Raises:
        SrkdError: no such class, it can't be built so, or doesn't map as it should.
    """
    if isinstance(spec, ModelSpec):
        return spec
    path, code = store.home / "networks.json", _code()
    seen = _read(path, code)
    question = json.dumps(spec.model_dump(mode="json"), sort_keys=True)
    known = seen.get(question)
    if known is None or _sha256(known.file) != known.spec.source:
        known = _look(spec)
        if not readonly and store.home.is_dir():
            text = _Known(code=code, seen={**seen, question: known}).model_dump_json()
            with suppress(SrkdError):  # a store that can't be written is no obstacle: this only saves time
                put(path, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    return known.spec.model_copy(update={"counts": known.counts})


def _look(spec: ForeignSpec) -> _Seen:
    from srkd_bench.networks import class_import, custom
    from srkd_bench.networks.inspection import looked_over
    from srkd_bench.networks.loading import build

    fresh = spec.model_copy(update={"source": "", "counts": None})
    model = build(fresh, 0)
    assert isinstance(model, custom.Foreign)
    _, file = class_import.find(spec.arch)
    found = looked_over(model).spec.model_copy(update={"source": class_import.source_of(file)})
    assert found.counts is not None
    return _Seen(file=str(file), spec=found, counts=found.counts)


def _read(path: Path, code: str) -> dict[str, _Seen]:
    """Return what is kept, or nothing if it is damaged or of other code."""
    try:
        digest, text = path.read_text().split("\n", 1)
        known = _Known.model_validate_json(text)
    except (OSError, ValueError, ValidationError):
        return {}
    whole = digest == hashlib.sha256(text.encode()).hexdigest()
    return dict(known.seen) if whole and known.code == code else {}


def _code() -> str:
    """Return the sha256 of the source of what looks a network over."""
    package = Path(__file__).parent
    names = ("custom.py", "probing.py", "inspection.py")
    return hashlib.sha256("".join((package / name).read_text() for name in names).encode()).hexdigest()


def _sha256(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""
