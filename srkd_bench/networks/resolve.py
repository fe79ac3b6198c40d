"""Complete the spec of a custom network, cached so that reports need no torch."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from srkd_bench.config.artifacts import Weights
from srkd_bench.config.base import Spec
from srkd_bench.config.network import Counts, ForeignSpec, NetworkSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.sealed_cache import SealedCache, code_digest
from srkd_bench.store.artifact_store import ArtifactStore

# Weight files of networks that spandrel recognised, by digest of their spec: they cannot be built without.
RECOGNISED: dict[str, Path] = {}


@dataclass(frozen=True)
class Hints:
    """The user's settings for a weights file: the keys of `TeacherSpec`, empty if not given."""

    blocks: str | tuple[str, ...] = ()
    overlap: int | None = None
    range: Literal[1, 255] | None = None
    res_scale: float | None = None
    model: NetworkSpec | None = None


NO_HINTS = Hints()


class NotWeights(SrkdError):
    """A file that does not hold weights, such as a web page."""


class _Seen(Spec):
    file: str
    spec: ForeignSpec
    counts: Counts


class _InFile(Spec):
    spec: NetworkSpec
    range: Literal[1, 255]
    counts: Counts | None  # not part of a spec


class _Known(Spec):
    """Cached classes by spec, and networks in weight files by the file's sha256 and the settings."""

    seen: dict[str, _Seen] = Field(default_factory=dict)
    files: dict[str, _InFile] = Field(default_factory=dict)


def resolved(spec: NetworkSpec, store: ArtifactStore, *, readonly: bool = False) -> NetworkSpec:
    """Return a network's spec completed by everything its output depends on (source, blocks), and its counts.

    A class is imported and run on a small image unless the result is cached for the same file.

    Args:
        readonly: do not write the cache.
    Raises:
        SrkdError: no such class, it does not accept the arguments, or its output has a wrong shape.
    """
    if not isinstance(spec, ForeignSpec):
        return spec
    cache = _cache(store, readonly=readonly)
    known = cache.read()
    question = json.dumps(spec.model_dump(mode="json"), sort_keys=True)
    seen = known.seen.get(question)
    if seen is None or _sha256(seen.file) != seen.spec.source:
        seen = _look(spec)
        cache.write(known.model_copy(update={"seen": {**known.seen, question: seen}}))
    return seen.spec.model_copy(update={"counts": seen.counts})


def in_file(
    path: Path, sha256: str, hints: Hints, store: ArtifactStore, *, readonly: bool = False
) -> Weights:
    """Return the key of the network in a file of weights, its spec completed as `resolved` does.

    The file is loaded unless the result is cached for its sha256.

    Raises:
        SrkdError: it cannot be read, or holds no known network.
    """
    cache = _cache(store, readonly=readonly)
    known = cache.read()
    about = vars(hints) | {"model": hints.model.model_dump(mode="json") if hints.model else None}
    question = json.dumps([sha256, about], sort_keys=True)
    found = known.files.get(question)
    if found is None:
        from srkd_bench.networks.loading import network_of

        model = network_of(path, sha256, hints)
        spec = model.spec
        counts = spec.counts if isinstance(spec, ForeignSpec) else None
        found = _InFile(spec=spec, range=model.file_range, counts=counts)
        cache.write(known.model_copy(update={"files": {**known.files, question: found}}))
    spec = found.spec
    if isinstance(spec, ForeignSpec):
        if spec.recognised:
            RECOGNISED[spec.digest] = path
        spec = spec.model_copy(update={"counts": found.counts})
    return Weights(sha256=sha256, model=spec, range=found.range)


def _look(spec: ForeignSpec) -> _Seen:
    from srkd_bench.networks import class_import
    from srkd_bench.networks.architectures import custom
    from srkd_bench.networks.inspection import inspected
    from srkd_bench.networks.loading import build

    fresh = spec.model_copy(update={"source": "", "counts": None})
    model = build(fresh, 0)
    assert isinstance(model, custom.Foreign)
    _, file = class_import.find(spec.arch)
    found = inspected(model).spec.model_copy(update={"source": class_import.source_of(file)})
    assert found.counts is not None
    return _Seen(file=str(file), spec=found, counts=found.counts)


def _cache(store: ArtifactStore, *, readonly: bool) -> SealedCache[_Known]:
    code = code_digest(sorted(Path(__file__).parent.rglob("*.py")))
    return SealedCache(store.home / "networks.json", _Known, code, readonly=readonly)


def _sha256(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""
