"""Synchronise checkpoints between machines."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from srkd_bench.core.errors import IntegrityError
from srkd_bench.core.files import writable
from srkd_bench.store import checkpoints
from srkd_bench.store.remote.bucket import Bucket, Unreachable

PAUSE = (60.0, 600.0)  # minimum and maximum seconds between two uploads of checkpoints
SHARE = 0.01  # maximum share of the time spent uploading


class Handover:
    """Each run's latest checkpoint, at `work/RUN/` under its local file name."""

    def __init__(self, bucket: Bucket, say: Callable[[str], None]) -> None:
        self.bucket, self.say = bucket, say
        self._there: dict[str, set[str]] = {}  # names of checkpoints in the bucket, by run
        self._next = 0.0  # time of the next upload

    def take_up(self, folders: Mapping[str, Path]) -> None:
        """Fetch checkpoints that are later than the local ones."""
        listed = self.bucket.list("work")
        for run, folder in folders.items():
            names = self._there[run] = {path.name for path in map(Path, listed) if path.parent.name == run}
            name = max(names, key=checkpoints.step_of, default="")
            if checkpoints.step_of(name) > checkpoints.steps_done(folder):
                self._fetch(f"work/{run}/{name}", listed[f"work/{run}/{name}"].bytes, folder)

    def _fetch(self, path: str, size: int, folder: Path) -> None:
        part = folder / "fetched.part"
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self.bucket.download(path, part, size)
            content = part.read_bytes()
            if checkpoints.is_whole(Path(path), content):
                checkpoints.write(folder, checkpoints.step_of(Path(path).name), content)
            else:
                self.say(f"{self.bucket.address}/{path} is corrupted and skipped")
        except IntegrityError:  # another machine has just replaced it by a later one
            self.say(f"{self.bucket.address}/{path} no longer exists; it is skipped")
        finally:
            part.unlink(missing_ok=True)

    def hand_on(self, folders: Mapping[str, Path], *, last: bool) -> None:
        """Upload the latest checkpoints, unless the previous upload is recent and these are not the last.

        If the bucket cannot be reached, a message says so, and the training continues.
        """
        begun = time.monotonic()
        paths = {run: path for run, folder in folders.items() if (path := checkpoints.latest(folder))}
        if not paths or (begun < self._next and not last):
            return
        try:
            for run, path in paths.items():
                self._send(run, path)
        except Unreachable as error:
            self.say(f"{error.message}; the latest checkpoint exists only on this machine")
        now = time.monotonic()
        self._next = now + min(max(PAUSE[0], (now - begun) / SHARE), PAUSE[1])

    def _send(self, run: str, path: Path) -> None:
        there = self._there.setdefault(run, set())
        if path.name not in there:
            self.bucket.upload(f"work/{run}/{path.name}", path)
            there.add(path.name)
        for name in sorted(there - {path.name}):
            if checkpoints.step_of(name) <= checkpoints.step_of(path.name):
                self.bucket.delete(f"work/{run}/{name}")
                there.discard(name)

    def finish(self, run: str) -> None:
        """Remove the checkpoints of a run that is finished."""
        for name in self._there.pop(run, set()):
            try:
                self.bucket.delete(f"work/{run}/{name}")
            except Unreachable:  # a leftover is harmless
                return
