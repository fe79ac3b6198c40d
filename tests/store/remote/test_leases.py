"""Leases, with the clocks of a bucket and of a suspended machine."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from srkd_bench.store.remote import leases
from srkd_bench.store.remote.bucket import Bucket, Found
from srkd_bench.store.remote.leases import BEAT, LIFE, Leases


class Clocks:
    """The bucket's time, and that of this process, which stops while the machine is suspended."""

    def __init__(self) -> None:
        self.bucket, self.own = datetime(2026, 1, 1, tzinfo=UTC), 1000.0

    def run(self, seconds: float) -> None:
        self.bucket += timedelta(seconds=seconds)
        self.own += seconds

    def suspend(self, seconds: float) -> None:
        self.bucket += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.own


class Memory:
    """A bucket in memory."""

    address = "s3://memory"

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.asked = 0

    def put(self, name: str, content: bytes) -> None:
        self.asked += 1
        self.objects[name] = content, self.clocks.bucket

    def create(self, name: str, content: bytes) -> bool:
        if name in self.objects:
            return self.objects[name][0] == content
        self.put(name, content)
        return True

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        self.put(name, content)
        return True

    def read(self, name: str) -> Found | None:
        return Found(self.objects[name][0], None) if name in self.objects else None

    def modified(self, name: str) -> datetime | None:
        self.asked += 1
        return self.objects[name][1] if name in self.objects else None

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(time, "monotonic", clocks.monotonic)
    monkeypatch.setattr(Leases, "_beat", lambda claims: None)  # the test writes the heartbeats
    monkeypatch.setattr(leases, "_living", [])
    return clocks


@pytest.fixture
def workers(clocks: Clocks) -> Callable[[], Leases]:
    bucket = Memory(clocks)

    def begun() -> Leases:
        claims = Leases(cast(Bucket, bucket), print)
        claims._begin()
        return claims

    return begun


def beat(claims: Leases) -> None:
    claims.bucket.put(f"workers/{claims.worker}", b"")


def test_after_a_suspend_a_dead_workers_lease_is_taken_over(
    clocks: Clocks, workers: Callable[[], Leases]
) -> None:
    dead, living, waiting = workers(), workers(), workers()
    assert dead._taken("run-1")
    assert living._taken("run-2")
    clocks.run(5)
    assert not waiting._taken("run-1")  # its last heartbeat is five seconds old
    clocks.suspend(3600)  # longer than LIFE, and by the waiting worker's own clock no time at all
    beat(living)
    clocks.run(BEAT)
    assert not waiting._taken("run-2")
    assert waiting._taken("run-1")


def test_the_buckets_time_is_requested_at_most_once_per_heartbeat(
    clocks: Clocks, workers: Callable[[], Leases]
) -> None:
    holder, waiting = workers(), workers()
    assert holder._taken("run-1")
    bucket = cast(Memory, waiting.bucket)
    before = bucket.asked
    for _ in range(30):
        clocks.run(1)
        beat(holder)
        assert not waiting._taken("run-1")
    looks, beats, asked = 30, 30, bucket.asked - before
    assert asked == looks + beats + 2 * 30 // BEAT
    clocks.run(LIFE.total_seconds())
    assert waiting._taken("run-1")
