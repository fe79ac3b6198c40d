"""Locks: one holder at a time, also while others remove unused lock files."""

import os
import threading
import time
from pathlib import Path

import pytest

from srkd_bench.core.errors import SrkdError
from srkd_bench.core.portable import try_lock
from srkd_bench.store import locks
from srkd_bench.store.locks import alone, held, is_held


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_held_lock_is_detected_without_creating_files(lock: Path) -> None:
    assert not is_held(lock)
    assert not lock.exists()
    with held(lock):
        assert is_held(lock)
        with alone(lock) as mine:
            assert not mine
        assert lock.exists()
    assert not is_held(lock)
    with alone(lock) as mine:
        assert mine
        assert is_held(lock)
    assert not lock.exists()


def test_waiting_for_a_lock_is_announced_once(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    told: list[str] = []
    entered = threading.Event()

    def wait() -> None:
        with held(lock, lambda: told.append("waiting")):
            entered.set()

    with held(lock):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not entered.wait(0.5)
    waiting.join(timeout=10)
    assert entered.is_set()
    assert told == ["waiting"]


@pytest.mark.posix
def test_a_lock_file_removed_before_locking_is_recreated(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = list[int]()

    def after_removal(descriptor: int) -> bool:
        if not removed:  # gc is faster
            removed.append(os.fstat(descriptor).st_ino)
            lock.unlink()
        return try_lock(descriptor)

    monkeypatch.setattr("srkd_bench.store.locks.try_lock", after_removal)
    with held(lock):
        assert lock.exists()
        assert is_held(lock)  # another process that opens it now finds it held
    assert removed


def test_locks_exclude_while_unused_lock_files_are_removed(lock: Path) -> None:
    inside, most, done = 0, 0, threading.Event()

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with held(lock):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    def tidy() -> None:
        while not done.is_set():
            with alone(lock):
                pass

    locks_pause, locks.PAUSE = locks.PAUSE, 0.0
    try:
        workers = [threading.Thread(target=work) for _ in range(4)]
        tidying = threading.Thread(target=tidy)
        for thread in (*workers, tidying):
            thread.start()
        for thread in workers:
            thread.join(timeout=60)
        done.set()
        tidying.join(timeout=10)
    finally:
        locks.PAUSE = locks_pause
    assert (inside, most) == (0, 1)


@pytest.mark.posix
def test_a_lock_that_cannot_be_created_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SrkdError, match=r"^cannot write .*file"), held(tmp_path / "file" / "lock"):
        pass
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(SrkdError, match=r"^cannot write"), held(tmp_path / "link"):
        pass
