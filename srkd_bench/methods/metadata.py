"""What a plan needs to know about methods, cached so that planning needs no torch."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from srkd_bench.config.base import Params, Spec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.sealed_cache import SealedCache, code_digest
from srkd_bench.methods import sources
from srkd_bench.store.artifact_store import ArtifactStore


class Traits(Spec):
    """A method, or a composition `a+b`, with its parameters.

    Args:
        params: what decides its numbers: version and parameters of each part, defaults written out, and the sha256
            of an own part's source.
        looks: whether it looks at the teacher.
        labels: whether it uses the teacher's SR, which may come from stored labels.
        live: whether the teacher makes a forward pass on each batch even with such labels: it uses features.
        weights: names of the weights of its loss terms, by part.
        min_batch: the least number of images in a batch that it can work with.
        summary: what it does, in one line.
        kind, source: as in `Method`.
    """

    params: dict[str, Params]
    weights: dict[str, list[str]]
    looks: bool
    labels: bool
    live: bool
    min_batch: int
    summary: str
    kind: str
    source: str


class _Known(Spec):
    """Traits by what was asked, and the latest sha256 of own methods by name."""

    traits: dict[str, Traits] = Field(default_factory=dict)
    own: dict[str, str] = Field(default_factory=dict)


def traits(
    references: Iterable[str],
    params: Mapping[str, Params],
    store: ArtifactStore,
    *,
    readonly: bool = False,
    allowed: Collection[str] | None = None,
) -> dict[str, Traits]:
    """Return the traits of methods by name. A method is imported only if no traits of the same code are kept.

    Args:
        references: names, or where the code of own methods lies, as in `sources.find`.
        params: hyper-parameters by the name of a part.
        allowed: those of the references whose code may run; all if not given.
    Raises:
        SrkdError: no such method or parameter, a value out of bounds, or code that may not run.
    """
    cache = _cache(store, readonly=readonly)
    known = cache.read()
    kept, latest = dict(known.traits), dict(known.own)
    found: dict[str, Traits] = {}
    own: list[sources.Source] = []
    for reference in references:
        trusts = allowed is None or reference in allowed
        parts = [sources.find(part, allowed=trusts, last=known.own) for part in reference.split("+")]
        origins = [part for part in parts if part is not None]
        own += origins
        sources.check_distinct(own)
        found[sources.name_of(reference)] = _look_up(reference, params, origins, kept)
    latest.update({origin.name: origin.sha256 for origin in own})
    new = _Known(traits=kept, own=latest)
    if new != known and not readonly:
        with suppress(SrkdError):  # a store that cannot be written is no error here
            store.begin()
        cache.write(new)
    return found


def _look_up(
    reference: str, params: Mapping[str, Params], origins: Sequence[sources.Source], kept: dict[str, Traits]
) -> Traits:
    """Return the traits of one method from those that are kept; if they lack it, ask the method and add it."""
    name = sources.name_of(reference)
    about = [name, {part: params.get(part, {}) for part in name.split("+")}]
    question = json.dumps([*about, *(origin.sha256 for origin in origins)])
    if question not in kept:
        for origin in origins:
            sources.check_allowed(origin)
        kept[question] = _ask(reference, params)
    return kept[question]


def own_methods(store: ArtifactStore) -> dict[str, Traits]:
    """Return the own methods that the store has been used with, by name, as they were last."""
    known = _cache(store).read()
    parts = ((name, one) for one in known.traits.values() for name in one.params if len(one.params) == 1)
    return {name: one for name, one in parts if known.own.get(name) == one.params[name].get("sha256")}


def _ask(name: str, params: Mapping[str, Params]) -> Traits:
    from srkd_bench.methods import registry

    method = registry.build(name, params)
    return Traits(
        params=registry.identity(method, name),
        weights=registry.weights(method, name),
        looks=bool(method.looks),
        labels=method.uses("sr"),
        live=method.uses("features") and bool(method.taps),
        min_batch=int(method.min_batch),
        summary=registry.summary(name),
        kind=method.kind,
        source=method.source,
    )


def _cache(store: ArtifactStore, *, readonly: bool = False) -> SealedCache[_Known]:
    return SealedCache(store.home / "methods.json", _Known, _code(), readonly=readonly)


def _code() -> str:
    """Return the digest of the source of the methods and of their interface."""
    package = Path(__file__).parent
    return code_digest(
        [package / "base.py", package / "user_code.py", *sorted((package / "builtin").glob("*.py"))]
    )
