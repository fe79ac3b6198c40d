"""ArtifactStore: what was made is found by its spec; an artifact is complete or absent."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import platformdirs
from filelock import FileLock

from srkd_bench.errors import IntegrityError, MissingError, SrkdError

FORMAT = "1"
MANIFEST = "artifact.json"


class Key(Protocol):
    """What names an artifact: every `Spec` that is kept in the store has these."""

    @property
    def folder(self) -> str:
        """The kind of artifact: `runs`, `weights`, `scores`."""
        ...

    @property
    def digest(self) -> str:
        """The sha256, in hex, of all that decides the artifact's content."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the key as plain data."""
        ...


class ArtifactStore:
    """Folders of finished artifacts, of unfinished work, and of data.

    `runs/`, `weights/` and `scores/` hold one folder an artifact, named by the first 20 digits of its digest;
    `data/` image packs by name; `downloads/` verified files as they came; `work/` checkpoints of what is
    unfinished; `tmp/` what is just being written.

    Args:
        home: the folder; SRKD_HOME or the user's cache folder if None.
    """

    def __init__(self, home: Path | None = None) -> None:
        chosen = home or os.environ.get("SRKD_HOME") or platformdirs.user_cache_dir("srkd", appauthor=False)
        self.home = Path(chosen).expanduser().absolute()
        stamp = self.home / "format"
        if not stamp.exists():
            return
        if (found := stamp.read_text().strip()) != FORMAT:
            raise SrkdError(
                f"store {self.home} has format {found[:20]!r}, this srkd reads {FORMAT}",
                "install a newer srkd, or choose another --home",
            )

    def path(self, key: Key) -> Path:
        """Return where the finished artifact is, or would be."""
        return self.home / key.folder / key.digest[:20]

    def has(self, key: Key) -> bool:
        """Say whether the artifact is there, whole."""
        return (self.path(key) / MANIFEST).is_file()

    def work(self, key: Key) -> Path:
        """Return the folder for unfinished work on the artifact, made if need be."""
        self._begin()
        path = self.home / "work" / key.digest[:20]
        path.mkdir(parents=True, exist_ok=True)
        return path

    def has_work(self, key: Key) -> bool:
        """Say whether unfinished work on the artifact is kept."""
        return (self.home / "work" / key.digest[:20]).is_dir()

    @property
    def downloads(self) -> Path:
        """The folder for verified files as they came, made if need be."""
        self._begin()
        return self.home / "downloads"

    @contextmanager
    def writing(self, key: Key) -> Iterator[Path]:
        """Give an empty folder to write the artifact's files to; it appears under its name when all went well.

        The manifest lists key, sizes and sha256 of the files. Unfinished work on the artifact is removed.
        """
        with self.replacing(self.path(key)) as folder:
            yield folder
            files = {path.name: _stamp(path) for path in sorted(folder.iterdir())}
            manifest = {"key": key.model_dump(mode="json"), "files": files}
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
        shutil.rmtree(self.home / "work" / key.digest[:20], ignore_errors=True)

    @contextmanager
    def replacing(self, target: Path) -> Iterator[Path]:
        """Give an empty folder that becomes `target` when the block ends well, and is removed when it doesn't."""
        self._begin()
        folder = Path(tempfile.mkdtemp(dir=self.home / "tmp"))
        try:
            yield folder
            folder.chmod(0o755)
            for path in [*folder.iterdir(), folder]:
                _sync(path)
            target.parent.mkdir(exist_ok=True)
            old = self.home / "tmp" / f"{folder.name}.old"
            if target.exists():
                target.replace(old)
            folder.replace(target)
            _sync(target.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def locked(self, names: Iterable[str]) -> Iterator[None]:
        """Hold a lock on each name, so that no other process makes the same things meanwhile.

        Taken in sorted order, so that two processes can't wait for each other; a lock dies with its holder.
        """
        self._begin()
        with ExitStack() as stack:
            for name in sorted(set(names)):
                stack.enter_context(FileLock(self.home / "locks" / name))
            yield

    def file(self, key: Key, name: str) -> Path:
        """Return the path of a finished artifact's file, checked against the manifest.

        Raises:
            MissingError: the artifact isn't there.
            IntegrityError: the file is missing, or isn't what was written.
        """
        folder = self.path(key)
        if not self.has(key):
            raise MissingError(f"no artifact {key.digest[:12]} in {self.home}")
        path = folder / name
        stamp = json.loads((folder / MANIFEST).read_text())["files"].get(name)
        if not path.is_file() or _stamp(path) != stamp:
            raise IntegrityError(f"{path} is not what was written", f"remove {folder} to make it again")
        return path

    def _begin(self) -> None:
        try:
            for name in ("tmp", "locks", "downloads"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
            if not (stamp := self.home / "format").exists():
                stamp.write_text(FORMAT + "\n")
        except OSError as error:
            raise SrkdError(
                f"cannot write to {self.home}: {error.strerror}",
                "choose another folder with --home or SRKD_HOME",
            ) from None


def _stamp(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
