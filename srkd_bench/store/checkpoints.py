"""Checkpoints of unfinished training."""

import hashlib
import re
from pathlib import Path

from srkd_bench.config.base import DIGITS, short
from srkd_bench.core.errors import IntegrityError
from srkd_bench.core.files import put, writable

_NAME = re.compile(rf"step-(\d+)-([0-9a-f]{{{DIGITS}}})\.pt")


def write(folder: Path, step: int, content: bytes | memoryview) -> None:
    """Replace the checkpoint by the state after `step` steps; its file name contains its sha256."""
    path = folder / f"step-{step}-{short(hashlib.sha256(content).hexdigest())}.pt"
    with writable(folder):
        folder.mkdir(exist_ok=True)
    put(path, content)
    with writable(folder):
        for older in folder.glob("step-*.pt"):
            if older != path:
                older.unlink()


def step_of(name: str) -> int:
    """Return the step in a checkpoint's file name; 0 for other file names."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else 0


def latest(folder: Path) -> Path | None:
    """Return the path of the latest checkpoint, or None."""
    return max(_all(folder))[1] if _all(folder) else None


def steps_done(folder: Path) -> int:
    """Return the step of the latest checkpoint; 0 if there is none."""
    return max((step for step, _ in _all(folder)), default=0)


def read(folder: Path) -> bytes | None:
    """Return the latest checkpoint's content, or None.

    Raises:
        IntegrityError: it is corrupted.
    """
    path = latest(folder)
    if path is None:
        return None
    content = path.read_bytes()
    if not is_whole(path, content):
        raise IntegrityError(
            f"checkpoint {path} is corrupted",
            "`srkd store verify --repair` removes it; that run then begins again",
        )
    return content


def is_whole(path: Path, content: bytes) -> bool:
    """Return whether a checkpoint's content matches the sha256 in its name."""
    return promises(path.name, hashlib.sha256(content).hexdigest())


def promises(name: str, sha256: str) -> bool:
    """Return whether a file name is that of a checkpoint with this sha256."""
    found = _NAME.fullmatch(name)
    return found is not None and found[2] == short(sha256)


def _all(folder: Path) -> list[tuple[int, Path]]:
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("step-*.pt"))
    return [(int(name[1]), path) for name, path in found if name]
