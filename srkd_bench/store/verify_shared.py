"""Verify and repair a shared store."""

import hashlib

from srkd_bench.config.artifacts import ARTIFACTS
from srkd_bench.core.errors import IntegrityError, MissingError
from srkd_bench.core.progress import Display
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import MANIFEST, lock_of
from srkd_bench.store.remote.shared_store import Shared
from srkd_bench.store.verify import Fault, Findings


def shared_of(store: ArtifactStore) -> Shared:
    """Return the shared store that a store uses.

    Raises:
        MissingError: it uses none.
    """
    if store.shared is None:
        raise MissingError("no shared store is named", "SRKD_STORE=s3://BUCKET/PREFIX")
    return store.shared


def unshared(store: ArtifactStore) -> list[str]:
    """Return the paths of finished local artifacts that are not in the bucket."""
    shared = shared_of(store)
    here = [path.parent for kind in ARTIFACTS for path in (store.home / kind).glob(f"*/{MANIFEST}")]
    places, unsent = sorted(str(folder.relative_to(store.home)) for folder in here), set(shared.unsent())
    return [place for place in places if not shared.has(place) or place in unsent]


def verify_shared(store: ArtifactStore, display: Display) -> Findings:
    """Read every byte of the artifacts in the bucket, and report corrupted ones.

    A fault's path is where the artifact would be on this machine.
    """
    shared, found = shared_of(store), Findings()
    places = [f"{kind}/{name}" for kind in ARTIFACTS for name in sorted(shared.names(kind))]
    with display.bar(f"checking {shared.bucket.address}") as tick:
        for i, place in enumerate(places):
            if problem := _problem(shared, place, found):
                found.faults.append(Fault(store.home / place, problem))
            tick(i + 1, len(places))
    return found


def _problem(shared: Shared, place: str, found: Findings) -> str:
    try:
        files = shared.manifest(place, refresh=True)["files"]
    except IntegrityError:
        return "its manifest is missing or corrupted"
    problems = []
    for name, expected in files.items():
        digest = hashlib.sha256()
        try:
            for part in shared.parts(place, name, expected):
                digest.update(part)
                found.bytes += len(part)
        except IntegrityError:
            problems.append(f"{name} is missing, or has another size")
            continue
        if digest.hexdigest() != expected["sha256"]:
            problems.append(f"{name} is corrupted")
        found.files += 1
    return ", ".join(problems)


def repair_shared(store: ArtifactStore, fault: Fault) -> bool:
    """Remove a corrupted artifact from the bucket and upload an intact local copy if there is one; return True.

    The artifact's lease is held, so that no other process creates it at the same time.
    """
    shared, place = shared_of(store), str(fault.path.relative_to(store.home))
    with shared.leased(lock_of(store.home, fault.path).name):
        if _problem(shared, place, Findings()):
            shared.remove(place)
    if (fault.path / MANIFEST).is_file():
        shared.mark(place)
        store.send()
    return True
