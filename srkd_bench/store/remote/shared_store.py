"""Share artifacts, checkpoints and leases in a bucket."""

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import Any

from srkd_bench.config.base import short
from srkd_bench.core.errors import IntegrityError
from srkd_bench.core.files import put, room_for, writable
from srkd_bench.core.units import size
from srkd_bench.store.layout import MANIFEST, lock_for, place_of_lock
from srkd_bench.store.locks import alone
from srkd_bench.store.manifest import REPAIR, parsed, place_of, read_manifest, stamp
from srkd_bench.store.remote.bucket import REPAIR_SHARED, Bucket, Unreachable
from srkd_bench.store.remote.checkpoint_sync import Handover
from srkd_bench.store.remote.leases import Leases

RECENT = 30.0  # seconds after which a missing artifact is searched again
PAUSE = 60.0  # seconds before a failed upload is retried
READERS = 16  # small objects that are read in parallel
LARGE = 50_000_000  # bytes from which transfers are announced
_FILE, _SHA256 = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"), re.compile("[0-9a-f]{64}")


class Shared:
    """The artifacts that machines share.

    An artifact's files are at `KIND/NAME/SHA256-FILE`, with the first 20 digits of their sha256, so that files of
    two workers are never mixed. `manifests/KIND/NAME.json` is written last, and only if it does not exist: once it
    exists, so do all files, and if two workers create an artifact, the first one is kept.

    Args:
        address: of the bucket, `s3://BUCKET/PREFIX`.
        home: of the machine's own store. Its folder `peeked/` caches single files of artifacts that are not local;
            `unsent/` has a mark for each local artifact that is not yet uploaded.
    """

    def __init__(self, address: str, home: Path, say: Callable[[str], None]) -> None:
        self.bucket = Bucket(address)
        self.home, self.say = home, say
        self.leases, self.handover = Leases(self.bucket, say), Handover(self.bucket, say)
        self._there: dict[str, dict[str, datetime]] = {}  # when artifacts were finished, by kind and name
        self._looked: dict[str, float] = {}
        self._told = set[str]()  # paths of damaged artifacts
        self._failed = -PAUSE  # when the bucket was unreachable

    def has(self, place: str) -> bool:
        """Return whether a complete artifact is in the bucket; a missing one is searched again after 30 s."""
        kind, _, name = place.partition("/")
        return name in self._there.get(kind, ()) or name in self.names(kind)

    def names(self, kind: str) -> dict[str, datetime]:
        """Return the names of all artifacts of a kind in the bucket, and when they were finished."""
        if time.monotonic() - self._looked.get(kind, -RECENT) >= RECENT:
            listed = self.bucket.list(f"manifests/{kind}")
            self._there[kind] = {Path(path).stem: one.written for path, one in listed.items()}
            self._looked[kind] = time.monotonic()
        return self._there[kind]

    def look_again(self) -> None:
        """Search for missing artifacts again at next use."""
        self._looked.clear()

    @contextmanager
    def leased(self, lock: str) -> Iterator[None]:
        """Hold the lease of a lock; artifacts that others finished before are visible inside."""
        place = place_of_lock(lock)
        if place is None:  # it protects something local
            yield
            return
        kind, _, name = place.partition("/")
        with self.leases.held(lock):
            for one in [name, *(f"{name}_x{scale}" for scale in (2, 3, 4) if kind == "data")]:
                if one not in self.names(kind) and (when := self.bucket.modified(_manifest(f"{kind}/{one}"))):
                    self._there[kind][one] = when
            yield

    def manifest(self, place: str, *, refresh: bool = False) -> dict[str, Any]:
        """Return the manifest of an artifact in the bucket; it is fetched once.

        Raises:
            IntegrityError: it is corrupted.
        """
        kind, _, name = place.partition("/")
        kept, when = self._peeked(place, MANIFEST), self.names(kind).get(name)
        finished = when.timestamp() if when else 0.0
        is_new = refresh or not kept.is_file() or kept.stat().st_mtime != finished
        found = self.bucket.read(_manifest(place)) if is_new else None
        content = kept.read_bytes() if not is_new else found.content if found else b""
        manifest = parsed(content)
        if manifest is None or not _is_sane(manifest, place):
            kept.unlink(missing_ok=True)
            raise IntegrityError(f"{self._address(place)} is corrupted", REPAIR_SHARED)
        if is_new:
            put(kept, content)
            os.utime(kept, (finished, finished))
        return manifest

    def keys(self, kind: str, besides: Collection[str]) -> list[tuple[float, str, dict[str, Any]]]:
        """Return completion time, name and key of each artifact of a kind, except some names.

        Damaged ones are skipped with one warning.
        """
        names = {name: when for name, when in self.names(kind).items() if name not in besides}
        with ThreadPoolExecutor(READERS) as readers:
            found = readers.map(self._key, [f"{kind}/{name}" for name in names])
            pairs = zip(names.items(), found, strict=True)
            return [(when.timestamp(), name, key) for (name, when), key in pairs if key is not None]

    def _key(self, place: str) -> dict[str, Any] | None:
        try:
            key: dict[str, Any] = self.manifest(place)["key"]
        except IntegrityError as error:
            if place not in self._told:
                self._told.add(place)
                self.say(f"{error.message}; it is skipped (for the cause: srkd store verify --shared)")
            return None
        return key

    def read(self, place: str, name: str) -> bytes:
        """Return a small file of an artifact in the bucket; it is fetched once.

        Raises:
            IntegrityError: it is corrupted.
        """
        expected = self.manifest(place)["files"].get(name)
        if expected is None:
            raise IntegrityError(f"{self._address(place)} has no {name}", REPAIR_SHARED)
        path = self._peeked(place, name)
        if not path.is_file() or stamp(path) != expected:
            self._download(place, name, expected, path)
        return path.read_bytes()

    def read_ahead(self, places: Iterable[str], name: str) -> None:
        """Fetch a small file of each of these artifacts, several at a time."""
        with ThreadPoolExecutor(READERS) as readers:
            list(readers.map(self.read, places, repeat(name)))

    def fetch(self, place: str, folder: Path) -> None:
        """Fetch all files of an artifact into a folder; files in `peeked/` are not fetched again.

        Raises:
            IntegrityError: a file is corrupted.
        """
        files = self.manifest(place)["files"]
        total = sum(one["bytes"] for one in files.values())
        room_for(self.home, total)
        if total > LARGE:
            self.say(f"fetching {place} ({size(total)}) from {self.bucket.address}")
        for name, expected in files.items():
            peeked = self._peeked(place, name)
            if peeked.is_file() and stamp(peeked) == expected:
                peeked.replace(folder / name)
            else:
                self._download(place, name, expected, folder / name)
        self._peeked(place, MANIFEST).replace(folder / MANIFEST)

    def _download(self, place: str, name: str, expected: dict[str, Any], path: Path) -> None:
        part = path.with_name(f"{name}.{self.leases.worker}.part")
        try:
            found = self.bucket.download(_object(place, name, expected), part, expected["bytes"])
            if found != expected["sha256"]:
                wrong = f"{self.bucket.address}/{_object(place, name, expected)}"
                raise IntegrityError(f"{wrong} is corrupted", REPAIR_SHARED)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _peeked(self, place: str, name: str) -> Path:
        folder = self.home / "peeked" / place
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def parts(self, place: str, name: str, expected: dict[str, Any]) -> Iterator[bytes]:
        """Yield a file of an artifact in parts, unverified; raise an IntegrityError if its size is wrong."""
        return self.bucket.parts(_object(place, name, expected), expected["bytes"])

    def remove(self, place: str) -> None:
        """Remove an artifact's manifest; its files stay in the bucket, unreachable."""
        self.bucket.delete(_manifest(place))
        kind, _, name = place.partition("/")
        self._there[kind].pop(name, None)
        shutil.rmtree(self.home / "peeked" / place, ignore_errors=True)

    def _address(self, place: str) -> str:
        return f"{self.bucket.address}/{_manifest(place)}"

    def mark(self, place: str) -> None:
        """Mark a local artifact for upload."""
        with writable(self.home / "unsent"):
            (self.home / "unsent").mkdir(exist_ok=True)
            (self.home / "unsent" / place.replace("/", "-")).touch()

    def unsent(self) -> list[str]:
        """Return the paths of the local artifacts that are not yet uploaded."""
        folder = self.home / "unsent"
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        return [name.replace("-", "/", 1) for name in names]

    def send(self) -> list[str]:
        """Upload marked artifacts; return the paths where the bucket already has another worker's, which is kept.

        While the bucket is unreachable, uploads are postponed.
        """
        others = []
        for place in self.unsent() if time.monotonic() - self._failed >= PAUSE else []:
            name = place.replace("/", "-", 1)
            mark = self.home / "unsent" / name
            try:
                with alone(self.home / "locks" / lock_for("send", place)) as mine:
                    # Otherwise another process sends it.
                    if mine and mark.exists() and (self.home / place / MANIFEST).is_file():
                        if not self._is_sent(place):
                            others.append(place)
                        mark.unlink()
            except Unreachable as error:
                self._failed = time.monotonic()
                self.say(f"{error.message}; {place} is kept here and uploaded later")
                break
        for place in others:
            if place.startswith("data/"):
                self.say(f"{self.bucket.address} has other images of {place}; this machine uses its own")
        return [place for place in others if not place.startswith("data/")]

    def _is_sent(self, place: str) -> bool:
        """Upload an artifact, the manifest last; return whether the bucket has this one."""
        folder, (kind, _, name) = self.home / place, place.partition("/")
        content = (folder / MANIFEST).read_bytes()
        for file, expected in read_manifest(folder)["files"].items():
            if not (folder / file).is_file() or stamp(folder / file) != expected:
                raise IntegrityError(f"{folder / file} is corrupted", REPAIR)
            self.bucket.upload(_object(place, file, expected), folder / file)
        is_ours = self.bucket.create(_manifest(place), content)
        if not is_ours and (when := self.bucket.modified(_manifest(place))):
            self.names(kind)[name] = when
        return is_ours


def find_shared(home: Path, say: Callable[[str], None]) -> Shared | None:
    """Return the shared store of SRKD_STORE; None if it is not set, or srkd is offline."""
    address, offline = os.environ.get("SRKD_STORE"), os.environ.get("SRKD_OFFLINE", "0")
    return Shared(address, home, say) if address and offline in ("", "0") else None


def _manifest(place: str) -> str:
    return f"manifests/{place}.json"


def _object(place: str, name: str, expected: dict[str, Any]) -> str:
    return f"{place}/{short(expected['sha256'])}-{name}"


def _is_sane(manifest: dict[str, Any], place: str) -> bool:
    """Return whether a manifest belongs to an artifact, and its file names are valid inside one folder."""
    try:
        if place_of(place.partition("/")[0], manifest["key"]) != place:
            return False
        return all(
            _FILE.fullmatch(name) and _SHA256.fullmatch(one["sha256"]) and isinstance(one["bytes"], int)
            for name, one in manifest["files"].items()
        )
    except (KeyError, TypeError):
        return False
