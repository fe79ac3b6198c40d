"""Find, write and read artifacts; an artifact is complete or absent."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs

from srkd_bench.config.base import Artifact, short
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.files import put, writable
from srkd_bench.core.portable import sync
from srkd_bench.store.layout import FAILED, MANIFEST, lock_for, lock_of
from srkd_bench.store.locks import held
from srkd_bench.store.manifest import REPAIR, read_manifest, sign, stamp
from srkd_bench.store.remote.shared_store import find_shared

FORMAT = "2"


class ArtifactStore:
    """Folders of finished artifacts and of unfinished work.

    `runs/`, `weights/`, `scores/` and `labels/` hold one folder per artifact, named by the first 20 digits of its
    digest, and `data/` image packs by name; each has a manifest with its key and the sha256 of its files.
    `downloads/` holds verified files unchanged, `work/` checkpoints of unfinished runs and unfinished labels,
    `tmp/` files that are being written.

    With SRKD_STORE, an address in a bucket, machines share finished artifacts: each uploads its own and fetches
    those of others when they are read.

    Args:
        home: the folder; SRKD_HOME or the user's cache folder if None.
        say: called with a line of text if the user has to wait.
    Attributes:
        shared: the shared store, or None.
    """

    def __init__(self, home: Path | None = None, say: Callable[[str], None] = lambda line: None) -> None:
        chosen = home or os.environ.get("SRKD_HOME") or platformdirs.user_cache_dir("srkd", appauthor=False)
        self.home = Path(chosen).expanduser().absolute()
        self.say = say
        self._begun = False
        self._told = set[str]()  # paths of damaged artifacts
        self.shared = find_shared(self.home, say)
        stamp = self.home / "format"
        found = stamp.read_text(encoding="utf-8", errors="replace").strip() if stamp.is_file() else FORMAT
        if found != FORMAT:
            raise SrkdError(
                f"store {self.home} has format {found[:20]!r}, this srkd reads {FORMAT}",
                "install the srkd that made it, or choose another --home",
            )

    def __str__(self) -> str:
        return f"{self.home}, shared at {self.shared.bucket.address}" if self.shared else str(self.home)

    def path(self, key: Artifact) -> Path:
        """Return the folder of an artifact, which exists once it is finished."""
        return self.home / key.place

    def has(self, key: Artifact) -> bool:
        """Return whether a complete artifact exists, in this store or the shared one."""
        return self._is_here(key.place) or (self.shared is not None and self.shared.has(key.place))

    def _is_here(self, place: str) -> bool:
        return (self.home / place / MANIFEST).is_file()

    def look_again(self) -> None:
        """Refresh, at next use, the list of artifacts that other machines have finished."""
        if self.shared:
            self.shared.look_again()

    def work(self, key: Artifact) -> Path:
        """Return the folder for unfinished work on an artifact."""
        return self.home / "work" / key.unfinished

    def failure(self, key: Artifact) -> str | None:
        """Return why the latest work on an artifact failed; None if it did not.

        Raises:
            IntegrityError: the file with the reason is corrupted.
        """
        path = self.work(key) / FAILED
        if not path.is_file():
            return None
        try:
            return str(json.loads(path.read_bytes())["error"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            raise IntegrityError(f"{path} is corrupted", REPAIR) from None

    def take_up(self, keys: Iterable[Artifact]) -> None:
        """Fetch another machine's checkpoint of unfinished work if it is later than the local one."""
        if self.shared:
            self.shared.handover.take_up({key.name: self.work(key) for key in keys})

    def hand_on(self, keys: Iterable[Artifact], *, last: bool) -> None:
        """Share the latest checkpoints with other machines at intervals, and always when they are the last."""
        if self.shared:
            self.shared.handover.hand_on({key.name: self.work(key) for key in keys}, last=last)

    @property
    def downloads(self) -> Path:
        """The folder for verified downloads, created if needed."""
        self.begin()
        return self.home / "downloads"

    @contextmanager
    def writing(self, key: Artifact) -> Iterator[Path]:
        """Create an empty folder for the artifact's files, which is published when the block ends without an error.

        The manifest lists key, sizes and sha256 of the files. Unfinished work on the artifact is removed.
        """
        with self.scratch() as folder:
            yield folder
            sign(folder, key)
            if self.shared:
                self.shared.mark(key.place)
            self.publish(folder, self.path(key))
        shutil.rmtree(self.work(key), ignore_errors=True)
        self.send()
        if self.shared:
            self.shared.handover.finish(key.name)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Create a locked, empty folder that is deleted when the block ends."""
        self.begin()
        folder = self.home / "tmp" / secrets.token_hex(6)
        with held(lock_of(self.home, folder), remove=True):  # a separate file, since NFS cannot lock folders
            with writable(folder):
                folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, target: Path) -> None:
        """Sync a finished folder and move it to its path, replacing what was there."""
        with writable(target):
            folder.chmod(0o755)
            for path in [*folder.iterdir(), folder]:
                sync(path)
            target.parent.mkdir(exist_ok=True)
            self.discard(target)
            folder.replace(target)
            sync(target.parent)

    def discard(self, target: Path) -> None:
        """Remove a folder of the store atomically."""
        if target.exists():
            with self.scratch() as trash:
                target.replace(trash / target.name)

    @contextmanager
    def locked(self, names: Iterable[str]) -> Iterator[None]:
        """Hold a lock on each name, so that no other process creates the same artifacts.

        Locks are taken in sorted order, which prevents deadlocks; a lock is released when its process ends.
        """
        self.begin()
        with ExitStack() as stack:
            for name in sorted(set(names)):
                wait = f"waiting for another process that works on the same artifact ({name})"
                stack.enter_context(held(self.home / "locks" / name, partial(self.say, wait)))
                if self.shared:
                    stack.enter_context(self.shared.leased(name))
            yield

    def file(self, key: Artifact, name: str) -> Path:
        """Return the path of a finished artifact's file, fetched if needed and verified against the manifest.

        Raises:
            MissingError: the artifact does not exist.
            IntegrityError: the file is missing or corrupted.
        """
        self.bring(key.place)
        return self._checked(key.place, name)

    def read(self, place: str, name: str) -> bytes:
        """Return a small file of the finished artifact at a path, without fetching its other files.

        Raises: as `file`.
        """
        if self.shared and not self._is_here(place) and self.shared.has(place):
            return self.shared.read(place, name)
        return self._checked(place, name).read_bytes()

    def read_ahead(self, places: Iterable[str], name: str) -> None:
        """Fetch a small file of each finished artifact that is not local, several at a time."""
        if self.shared:
            away = [place for place in places if not self._is_here(place) and self.shared.has(place)]
            self.shared.read_ahead(away, name)

    def _checked(self, place: str, name: str) -> Path:
        folder = self.home / place
        if not self._is_here(place):
            raise MissingError(f"nothing is stored at {folder}")
        path = folder / name
        files = read_manifest(folder)["files"]
        with suppress(OSError):  # it cannot be read
            if name in files and path.is_file() and stamp(path) == files[name]:
                return path
        raise IntegrityError(f"{path} is corrupted", REPAIR)

    def keys(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Return name and key of every finished artifact of a kind, local or shared, the oldest first.

        Damaged ones are skipped with one warning.
        """
        here = {path.parent.name: path for path in (self.home / kind).glob(f"*/{MANIFEST}")}
        found = self.shared.keys(kind, besides=here) if self.shared else []
        for name, path in here.items():
            try:
                found.append((path.stat().st_mtime, name, read_manifest(path.parent)["key"]))
            except (IntegrityError, OSError):
                if path.is_file():  # it was not removed in the meantime
                    self.leave_out(f"{kind}/{name}")
        return [(name, key) for _, name, key in sorted(found, key=lambda one: one[:2])]

    def leave_out(self, place: str) -> None:
        """Warn once that an artifact is damaged and skipped."""
        if place not in self._told:
            self._told.add(place)
            self.say(f"{place} is damaged and skipped; for the cause: srkd store verify")

    def bring(self, place: str) -> None:
        """Fetch a shared artifact unless it is local."""
        if self.shared is None or self._is_here(place) or not self.shared.has(place):
            return
        self.begin()
        with held(self.home / "locks" / lock_for("fetch", place)), self.scratch() as folder:
            if not self._is_here(place):
                self.shared.fetch(place, folder)
                self.publish(folder, self.home / place)

    def send(self) -> None:
        """Upload artifacts created here to the shared store; if another machine was faster, use its artifact."""
        for place in self.shared.send() if self.shared else []:
            self.discard(self.home / place)

    def begin(self) -> None:
        """Create the store's missing folders; only once, so that a store that disappears is not recreated empty."""
        if self._begun:
            return
        with writable(self.home):
            for name in ("tmp", "locks", "downloads", "work"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
            if not (self.home / "format").exists():
                with held(lock_of(self.home, self.home / "format")):  # several processes may do this at once
                    if not (self.home / "format").exists():
                        put(self.home / "format", FORMAT + "\n")
        self._begun = True
        self.send()


def find_run(store: ArtifactStore, digits: str) -> tuple[str, dict[str, Any]]:
    """Return the folder and settings of the only finished run whose id has a prefix.

    Raises:
        MissingError: no run has this prefix. SrkdError: several have. IntegrityError: the manifest is damaged.
    """
    found = [(folder, key) for folder, key in store.keys("runs") if folder.startswith(short(digits))]
    for manifest in (store.home / "runs").glob(f"*/{MANIFEST}") if not found else []:
        if manifest.parent.name.startswith(short(digits)):
            read_manifest(manifest.parent)
    if not found:
        raise MissingError(f"no finished run '{digits}'", "srkd ls runs")
    if len(found) > 1:
        raise SrkdError(f"{len(found)} runs begin with '{digits}'", "give more digits")
    return found[0]
