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

    `runs/`, `weights/`, `scores/` and `labels/` hold one folder an artifact, named by the first 20 digits of its
    digest, and `data/` image packs by name; each has a manifest with its key and the sha256 of its files.
    `downloads/` holds verified files as they came; `work/` checkpoints of what is unfinished; `tmp/` what is just
    being written.

    With SRKD_STORE, an address in a bucket, what is finished in any machine's store with that address is found, and
    fetched when it is read; what is made here goes there.

    Args:
        home: the folder; SRKD_HOME or the user's cache folder if None.
        say: told in a line when something makes the user wait.
    Attributes:
        shared: what machines share, or None.
    """

    def __init__(self, home: Path | None = None, say: Callable[[str], None] = lambda line: None) -> None:
        chosen = home or os.environ.get("SRKD_HOME") or platformdirs.user_cache_dir("srkd", appauthor=False)
        self.home = Path(chosen).expanduser().absolute()
        self.say = say
        self._begun = False
        self._told = set[str]()  # places of damaged artifacts
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
        """Return where the finished artifact is, or would be."""
        return self.home / key.place

    def has(self, key: Artifact) -> bool:
        """Say whether the artifact is there, whole: here, or where machines share it."""
        return self._is_here(key.place) or (self.shared is not None and self.shared.has(key.place))

    def _is_here(self, place: str) -> bool:
        return (self.home / place / MANIFEST).is_file()

    def look_again(self) -> None:
        """Ask anew, when it is needed, what other machines have finished."""
        if self.shared:
            self.shared.look_again()

    def work(self, key: Artifact) -> Path:
        """Return where unfinished work on the artifact is, or would be."""
        return self.home / "work" / key.unfinished

    def failure(self, key: Artifact) -> str | None:
        """Return why the latest work on an artifact failed; None if it did not.

        Raises:
            IntegrityError: the file that says so is not what was written.
        """
        path = self.work(key) / FAILED
        if not path.is_file():
            return None
        try:
            return str(json.loads(path.read_bytes())["error"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            raise IntegrityError(f"{path} is not what was written", REPAIR) from None

    def take_up(self, keys: Iterable[Artifact]) -> None:
        """Fetch unfinished work that another machine has brought further than it is here."""
        if self.shared:
            self.shared.handover.take_up({key.name: self.work(key) for key in keys})

    def hand_on(self, keys: Iterable[Artifact], *, last: bool) -> None:
        """Let other machines have the latest checkpoints, now and then, and when they are the last."""
        if self.shared:
            self.shared.handover.hand_on({key.name: self.work(key) for key in keys}, last=last)

    @property
    def downloads(self) -> Path:
        """The folder for verified files as they came, made if need be."""
        self.begin()
        return self.home / "downloads"

    @contextmanager
    def writing(self, key: Artifact) -> Iterator[Path]:
        """Give an empty folder for the artifact's files; it appears under its name when the block ends well.

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
        """Give an empty folder that is gone when the block ends; while it is in use, it is locked."""
        self.begin()
        folder = self.home / "tmp" / secrets.token_hex(6)
        with held(lock_of(self.home, folder), remove=True):  # a file of its own: NFS locks no folders
            with writable(folder):
                folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, target: Path) -> None:
        """Move a finished folder to its place, safe on disk; what was there before is removed."""
        with writable(target):
            folder.chmod(0o755)
            for path in [*folder.iterdir(), folder]:
                sync(path)
            target.parent.mkdir(exist_ok=True)
            self.discard(target)
            folder.replace(target)
            sync(target.parent)

    def discard(self, target: Path) -> None:
        """Remove a folder of the store at once: nobody sees a part of it."""
        if target.exists():
            with self.scratch() as trash:
                target.replace(trash / target.name)

    @contextmanager
    def locked(self, names: Iterable[str]) -> Iterator[None]:
        """Hold a lock on each name, so that no other process makes the same things meanwhile.

        Taken in sorted order, so that two processes can't wait for each other; a lock dies with its holder.
        """
        self.begin()
        with ExitStack() as stack:
            for name in sorted(set(names)):
                wait = f"waiting for another srkd that makes the same ({name})"
                stack.enter_context(held(self.home / "locks" / name, partial(self.say, wait)))
                if self.shared:
                    stack.enter_context(self.shared.claimed(name))
            yield

    def file(self, key: Artifact, name: str) -> Path:
        """Return the path of a finished artifact's file, checked against the manifest; fetched if need be.

        Raises:
            MissingError: the artifact isn't there.
            IntegrityError: the file is missing, or isn't what was written.
        """
        self.bring(key.place)
        return self._checked(key.place, name)

    def read(self, place: str, name: str) -> bytes:
        """Return a small file of the finished artifact at a place; of one that isn't here nothing else is fetched.

        Raises: as `file`.
        """
        if self.shared and not self._is_here(place) and self.shared.has(place):
            return self.shared.read(place, name)
        return self._checked(place, name).read_bytes()

    def read_ahead(self, places: Iterable[str], name: str) -> None:
        """Fetch a small file of each finished artifact that isn't here, several at a time."""
        if self.shared:
            away = [place for place in places if not self._is_here(place) and self.shared.has(place)]
            self.shared.read_ahead(away, name)

    def _checked(self, place: str, name: str) -> Path:
        folder = self.home / place
        if not self._is_here(place):
            raise MissingError(f"nothing is kept at {folder}")
        path = folder / name
        files = read_manifest(folder)["files"]
        with suppress(OSError):  # it can't be read
            if name in files and path.is_file() and stamp(path) == files[name]:
                return path
        raise IntegrityError(f"{path} is not what was written", REPAIR)

    def keys(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Return name and key of every finished artifact of a kind, here or shared, the oldest first.

        Damaged ones are left out, which is said once.
        """
        here = {path.parent.name: path for path in (self.home / kind).glob(f"*/{MANIFEST}")}
        found = self.shared.keys(kind, besides=here) if self.shared else []
        for name, path in here.items():
            try:
                found.append((path.stat().st_mtime, name, read_manifest(path.parent)["key"]))
            except (IntegrityError, OSError):
                if path.is_file():  # it was not removed meanwhile
                    self.leave_out(f"{kind}/{name}")
        return [(name, key) for _, name, key in sorted(found, key=lambda one: one[:2])]

    def leave_out(self, place: str) -> None:
        """Say, once, that an artifact is damaged and left out."""
        if place not in self._told:
            self._told.add(place)
            self.say(f"{place} is damaged and left out; for the cause: srkd store verify")

    def bring(self, place: str) -> None:
        """Fetch an artifact that machines share, unless it is here."""
        if self.shared is None or self._is_here(place) or not self.shared.has(place):
            return
        self.begin()
        with held(self.home / "locks" / lock_for("fetch", place)), self.scratch() as folder:
            if not self._is_here(place):
                self.shared.fetch(place, folder)
                self.publish(folder, self.home / place)

    def send(self) -> None:
        """Send what was made here to where machines share it; where another was faster, that one is taken."""
        for place in self.shared.send() if self.shared else []:
            self.discard(self.home / place)

    def begin(self) -> None:
        """Make the store's folders unless they are there; once, so that a store that vanishes isn't begun anew."""
        if self._begun:
            return
        with writable(self.home):
            for name in ("tmp", "locks", "downloads", "work"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
            if not (self.home / "format").exists():
                with held(lock_of(self.home, self.home / "format")):  # several may begin at once
                    if not (self.home / "format").exists():
                        put(self.home / "format", FORMAT + "\n")
        self._begun = True
        self.send()


def find_run(store: ArtifactStore, digits: str) -> tuple[str, dict[str, Any]]:
    """Return the folder and settings of the one finished run whose id begins so.

    Raises:
        MissingError: no run's id begins so. SrkdError: several do. IntegrityError: the run's manifest is damaged.
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
