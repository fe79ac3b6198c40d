"""ArtifactStore: what was made is found by its spec; an artifact is complete or absent."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import platformdirs
from filelock import FileLock, Timeout

from srkd_bench.disk import put, sync, writable
from srkd_bench.errors import IntegrityError, MissingError, SrkdError

FORMAT = "2"
MANIFEST = "artifact.json"
REPAIR = "srkd store verify --repair"
PATIENCE = 2.0  # seconds, before a wait for another process is announced


class Key(Protocol):
    """What names an artifact: every `Spec` that is kept in the store has these."""

    @property
    def place(self) -> str:
        """Where the artifact is kept: `runs/0123456789abcdef0123`, `data/set5_x2`."""
        ...

    @property
    def digest(self) -> str:
        """The sha256, in hex, of all that decides the artifact's content."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the key as plain data."""
        ...


class ArtifactStore:
    """Folders of finished artifacts and of unfinished work.

    `runs/`, `weights/` and `scores/` hold one folder an artifact, named by the first 20 digits of its digest, and
    `data/` image packs by name; each has a manifest with its key and the sha256 of its files. `downloads/` holds
    verified files as they came; `work/` checkpoints of what is unfinished; `tmp/` what is just being written.

    Args:
        home: the folder; SRKD_HOME or the user's cache folder if None.
        say: told in a line when something makes the user wait.
    """

    def __init__(self, home: Path | None = None, say: Callable[[str], None] = lambda line: None) -> None:
        chosen = home or os.environ.get("SRKD_HOME") or platformdirs.user_cache_dir("srkd", appauthor=False)
        self.home = Path(chosen).expanduser().absolute()
        self.say = say
        self._begun = False
        stamp = self.home / "format"
        found = stamp.read_text(errors="replace").strip() if stamp.is_file() else FORMAT
        if found == "1":
            self._migrate()
        elif found != FORMAT:
            raise SrkdError(
                f"store {self.home} has format {found[:20]!r}, this srkd reads {FORMAT}",
                "install a newer srkd, or choose another --home",
            )

    def path(self, key: Key) -> Path:
        """Return where the finished artifact is, or would be."""
        return self.home / key.place

    def has(self, key: Key) -> bool:
        """Say whether the artifact is there, whole."""
        return (self.path(key) / MANIFEST).is_file()

    def work(self, key: Key) -> Path:
        """Return where unfinished work on the artifact is, or would be."""
        return self.home / "work" / key.digest[:20]

    @property
    def downloads(self) -> Path:
        """The folder for verified files as they came, made if need be."""
        self.begin()
        return self.home / "downloads"

    @contextmanager
    def writing(self, key: Key) -> Iterator[Path]:
        """Give an empty folder for the artifact's files; it appears under its name when the block ends well.

        The manifest lists key, sizes and sha256 of the files. Unfinished work on the artifact is removed.
        """
        with self.scratch() as folder:
            yield folder
            sign(folder, key)
            self.publish(folder, self.path(key))
        shutil.rmtree(self.work(key), ignore_errors=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder that is gone when the block ends; while it is in use, it is locked."""
        self.begin()
        folder, descriptor = self._own_folder()
        try:
            yield folder
        finally:
            os.close(descriptor)
            shutil.rmtree(folder, ignore_errors=True)

    def _own_folder(self) -> tuple[Path, int]:
        """Make a folder in `tmp/` and lock it; a `gc` of that very moment may take it, then another is made."""
        while True:
            with writable(self.home / "tmp"):
                folder = Path(tempfile.mkdtemp(dir=self.home / "tmp"))
                try:
                    descriptor = os.open(folder, os.O_RDONLY)
                except FileNotFoundError:
                    continue
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if folder.exists():
                    return folder, descriptor
                os.close(descriptor)

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
                lock = FileLock(self.home / "locks" / name)
                with writable(self.home / "locks"):
                    try:
                        lock.acquire(timeout=PATIENCE)
                    except Timeout:
                        self.say(f"waiting for another srkd that makes the same ({name})")
                        lock.acquire()
                stack.callback(lock.release)
            yield

    def file(self, key: Key, name: str) -> Path:
        """Return the path of a finished artifact's file, checked against the manifest.

        Raises:
            MissingError: the artifact isn't there.
            IntegrityError: the file is missing, or isn't what was written.
        """
        folder = self.path(key)
        if not self.has(key):
            raise MissingError(f"nothing is kept at {folder}")
        path = folder / name
        files = read_manifest(folder)["files"]
        if name not in files or not path.is_file() or stamp(path) != files[name]:
            raise IntegrityError(f"{path} is not what was written", REPAIR)
        return path

    def begin(self) -> None:
        """Make the store's folders unless they are there; once, so that a store that vanishes isn't begun anew."""
        if self._begun:
            return
        with writable(self.home):
            for name in ("tmp", "locks", "downloads", "work"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
            if not (self.home / "format").exists():
                with FileLock(self.home / "locks" / "format"):  # several may begin at once
                    if not (self.home / "format").exists():
                        put(self.home / "format", FORMAT + "\n")
        self._begun = True

    def _migrate(self) -> None:
        """Bring a store of format 1 up to date: its image packs had no manifest, its downloads no checksum."""
        self.begin()
        with self.locked(["migration"]):
            for folder in (self.home / "data").glob("*/"):
                name, _, scale = folder.name.partition("_x")
                if not (folder / MANIFEST).exists():
                    sign(folder, {"dataset": name, "scale": int(scale or 1)})
            for path in self.home.glob("downloads/*"):
                if path.suffix not in (".part", ".lock", ".sha256"):
                    put(path.with_name(path.name + ".sha256"), f"{stamp(path)['sha256']}  {path.name}\n")
            put(self.home / "format", FORMAT + "\n")


def sign(folder: Path, key: Key | dict[str, Any]) -> None:
    """Write the manifest of a folder that has all its files."""
    files = {path.name: stamp(path) for path in sorted(folder.iterdir())}
    plain = key if isinstance(key, dict) else key.model_dump(mode="json")
    put(folder / MANIFEST, json.dumps({"key": plain, "files": files}, indent=1))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return an artifact's manifest.

    Raises:
        IntegrityError: it is not what was written.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes().decode()
        manifest: dict[str, Any] = json.loads(text)
        if json.dumps(manifest, indent=1) == text and isinstance(manifest["files"], dict):
            return manifest
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise IntegrityError(f"{path} is not what was written", REPAIR)


def stamp(path: Path) -> dict[str, Any]:
    """Return a file's size and sha256, as manifests keep them."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
