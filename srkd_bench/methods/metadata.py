"""What a plan needs to know about methods, cached so that planning needs no torch."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import Field

from srkd_bench.config.base import Loss, Params, Spec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.sealed_cache import SealedCache, code_digest
from srkd_bench.methods import sources
from srkd_bench.store.artifact_store import ArtifactStore


class Traits(Spec):
    """A method, or a composition `a+b`, with its parameters.

    Args:
        params: what its results depend on: version and parameters of each part, defaults written out, and the
            sha256 of the source of a user's own part.
        looks: whether it uses the teacher.
        fuses: whether its teacher is the fusion of several teachers.
        labels: whether it uses the teacher's SR, which may come from stored labels.
        live: whether it needs a teacher's forward pass on each batch even with such labels: it uses features.
        weights: names of the weights of its loss terms, by part.
        lacking: keys of parameters that must be set and are not.
        min_batch, min_patch: the minimum batch size, and the minimum size of a patch in LR pixels.
        stacks: whether its students can be stacked, as in `Method`.
        summary: a description in one line.
        kind, source: as in `Method`.
    """

    params: dict[str, Params]
    weights: dict[str, list[str]]
    looks: bool
    fuses: bool
    labels: bool
    live: bool
    lacking: list[str] = Field(default_factory=list)
    min_batch: int
    min_patch: int
    stacks: bool
    summary: str
    kind: str
    source: str


class _Known(Spec):
    """Cached traits by request, and the latest sha256 of own methods by name."""

    traits: dict[str, Traits] = Field(default_factory=dict)
    own: dict[str, str] = Field(default_factory=dict)


def traits(
    references: Iterable[str],
    params: Mapping[str, Params],
    store: ArtifactStore,
    *,
    loss: Loss = "mse",
    readonly: bool = False,
    allowed: Collection[str] | None = None,
) -> dict[str, Traits]:
    """Return the traits of methods by name. A method is imported only if no traits of the same code are cached.

    Args:
        references: names, or paths of own methods, as in `sources.find`.
        params: hyper-parameters, as `sources.parameters_of` takes them.
        loss: the suite's, as in `registry.build`.
        allowed: references whose code may run; all by default.
    Raises:
        SrkdError: no such method or parameter, a value out of bounds, or code that may not run.
    """
    cache, shipped = _cache(store, readonly=readonly), _shipped().read().traits
    known = cache.read()
    kept, latest = shipped | known.traits, dict(known.own)
    found: dict[str, Traits] = {}
    own: list[sources.Source] = []
    for reference in references:
        trusts = allowed is None or reference in allowed
        parts = [sources.find(part, allowed=trusts, last=known.own) for part in reference.split("+")]
        origins = [part for part in parts if part is not None]
        own += origins
        sources.check_distinct(own)
        found[sources.name_of(reference)] = _look_up(reference, params, loss, origins, kept)
    latest.update({origin.name: origin.sha256 for origin in own})
    new = _Known(traits={key: one for key, one in kept.items() if key not in shipped}, own=latest)
    if new != known and not readonly:
        with suppress(SrkdError):  # a store that cannot be written is no error here
            store.begin()
        cache.write(new)
    return found


def _look_up(
    reference: str,
    params: Mapping[str, Params],
    loss: Loss,
    origins: Sequence[sources.Source],
    kept: dict[str, Traits],
) -> Traits:
    """Return the traits of one method from the cache; on a miss, import the method and add them."""
    name = sources.name_of(reference)
    about = [
        name,
        sources.parameters_of(name, params),
        *([] if loss == "mse" else [loss]),
    ]
    question = json.dumps([*about, *(origin.sha256 for origin in origins)])
    if question not in kept:
        for origin in origins:
            sources.check_allowed(origin)
        kept[question] = _ask(reference, params, loss)
    return kept[question]


def own_methods(store: ArtifactStore) -> dict[str, Traits]:
    """Return the latest versions of the own methods that were used with the store, by name."""
    known = _cache(store).read()
    parts = ((name, one) for one in known.traits.values() for name in one.params if len(one.params) == 1)
    return {name: one for name, one in parts if known.own.get(name) == one.params[name].get("sha256")}


def _ask(name: str, params: Mapping[str, Params], loss: Loss) -> Traits:
    from srkd_bench.methods import registry

    method = registry.build(name, params, loss)
    return Traits(
        params=registry.identity(method, name),
        weights=registry.weights(method, name),
        looks=bool(method.looks),
        fuses=bool(method.fuses),
        labels=method.uses("sr"),
        live=method.uses("features") and bool(method.taps),
        lacking=registry.lacking(method, name),
        min_batch=int(method.min_batch),
        min_patch=int(method.min_patch),
        stacks=bool(method.stacks),
        summary=registry.summary(name),
        kind=method.kind,
        source=method.source,
    )


def _cache(store: ArtifactStore, *, readonly: bool = False) -> SealedCache[_Known]:
    return SealedCache(store.home / "methods.json", _Known, code(), readonly=readonly)


def _shipped() -> SealedCache[_Known]:
    """Return the cache that comes with srkd, of the built-in methods as the built-in suites use them."""
    return SealedCache(Path(__file__).with_name("traits.json"), _Known, code())


def ship(requests: Iterable[tuple[str, Mapping[str, Params], Loss]]) -> None:
    """Write the cache that comes with srkd.

    Args:
        requests: methods with the parameters of their parts and the suite's loss.
    """
    kept: dict[str, Traits] = {}
    for name, params, loss in requests:
        _look_up(name, params, loss, [], kept)
    _shipped().write(_Known(traits=kept))


@cache
def code() -> str:
    """Return the digest of the source of the methods and of their interface."""
    package = Path(__file__).parent
    return code_digest(
        [package / "base.py", package / "user_code.py", *sorted((package / "builtin").rglob("*.py"))]
    )
