"""What a plan must know of networks of other architectures; kept beside the store: reports need no torch."""

import hashlib
import json
from pathlib import Path

from pydantic import Field

from srkd_bench.config.base import Spec
from srkd_bench.config.network import Counts, ForeignSpec, ModelSpec
from srkd_bench.core.sealed_cache import SealedCache, code_digest
from srkd_bench.store.artifact_store import ArtifactStore


class _Seen(Spec):
    file: str
    spec: ForeignSpec
    counts: Counts


class _Known(Spec):
    seen: dict[str, _Seen] = Field(default_factory=dict)


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
    cache = SealedCache(store.home / "networks.json", _Known, _code(), readonly=readonly)
    seen = cache.read().seen
    question = json.dumps(spec.model_dump(mode="json"), sort_keys=True)
    known = seen.get(question)
    if known is None or _sha256(known.file) != known.spec.source:
        known = _look(spec)
        cache.write(_Known(seen={**seen, question: known}))
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


def _code() -> str:
    """Return the digest of the source of what looks a network over."""
    package = Path(__file__).parent
    return code_digest(package / name for name in ("custom.py", "probing.py", "inspection.py"))


def _sha256(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""
