"""A bucket on a real S3-compatible server with broken connections, and its leases."""

import hashlib
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from srkd_bench.core.errors import IntegrityError, SrkdError
from srkd_bench.store.remote import bucket as bucket_module
from srkd_bench.store.remote import leases
from srkd_bench.store.remote.bucket import Bucket, Unreachable
from srkd_bench.store.remote.leases import Leases
from tests.support.bucket_server import Server


@pytest.fixture
def bucket(server: Server) -> Bucket:
    return Bucket(os.environ["SRKD_STORE"])


def test_an_object_is_created_only_if_missing(bucket: Bucket) -> None:
    assert bucket.read("x") is None
    assert bucket.create("x", b"1")
    assert bucket.create("x", b"1")  # as good as made
    assert not bucket.create("x", b"2")
    found = bucket.read("x")
    assert found is not None
    assert found.content == b"1"
    assert bucket.exchange("x", b"3", found.tag)
    assert not bucket.exchange("x", b"4", found.tag)
    assert bucket.read("x").content == b"3"  # type: ignore[union-attr]
    assert list(bucket.list("")) == ["x"]
    bucket.delete("x")
    bucket.delete("x")
    assert bucket.modified("x") is None


def test_concurrent_creation_of_an_object_succeeds_once(bucket: Bucket) -> None:
    made: list[bytes] = []
    together = threading.Barrier(8)

    def make(content: bytes) -> None:
        together.wait()
        if bucket.create("x", content):
            made.append(content)

    threads = [threading.Thread(target=make, args=(str(i).encode(),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = bucket.read("x")
    assert found is not None
    assert made == [found.content]


def test_a_write_with_a_lost_response_is_recognised(server: Server, bucket: Bucket) -> None:
    server.wire.lost_answers = 1
    assert bucket.create("x", b"mine")
    found = bucket.read("x")
    assert found is not None
    server.wire.lost_answers = 1
    assert bucket.exchange("x", b"still mine", found.tag)
    assert server.wire.cuts == 2


def test_large_files_are_transferred_in_parts_over_broken_connections(
    server: Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "PART", 5 << 20)  # S3 takes no smaller ones
    content = bytes(range(256)) * 50_000
    (tmp_path / "big").write_bytes(content)
    server.wire.cut_after = 7_000_000
    bucket.upload("big", tmp_path / "big")
    server.wire.lost_answers = 1
    sha256 = bucket.download("big", tmp_path / "again", len(content))
    assert server.wire.cuts == 2
    assert (tmp_path / "again").read_bytes() == content
    assert sha256 == hashlib.sha256(content).hexdigest()
    for size in (len(content) - 1, len(content) + 1):
        with pytest.raises(IntegrityError, match="big is corrupted"):
            bucket.download("big", tmp_path / "again", size)


def test_requests_to_a_busy_or_slow_server_are_retried(server: Server, bucket: Bucket) -> None:
    server.answer = "503 Slow Down"
    threading.Timer(0.5, server.settle).start()
    assert bucket.create("x", b"1")
    server.wire.delay = 0.2
    assert bucket.list("")["x"].bytes == 1


@pytest.mark.parametrize("address", ["runs/lab", "s3://", "http://runs/lab", "s3://runs/lab?x=1"])
def test_an_invalid_address_is_rejected(address: str) -> None:
    with pytest.raises(SrkdError, match="is not an address of a shared store") as error:
        Bucket(address)
    assert error.value.hint == "SRKD_STORE=s3://BUCKET/PREFIX"


def test_an_unusable_bucket_gets_a_hint(
    server: Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unreachable, match="there is no bucket 'nowhere'"):
        Bucket("s3://nowhere/lab").list("runs")
    server.answer = "403 Forbidden"
    with pytest.raises(Unreachable, match=r"refuses: .*403 Forbidden") as error:
        bucket.list("runs")
    assert error.value.hint.startswith("AWS_ACCESS_KEY_ID")
    monkeypatch.setattr(bucket_module, "PATIENCE", 0.5)
    impatient = Bucket(bucket.address)
    server.wire.down = True
    with pytest.raises(Unreachable, match=r"cannot reach s3://runs/.*: \S") as error:
        impatient.create("x", b"1")
    assert error.value.hint.startswith("is AWS_ENDPOINT_URL right")
    tries = server.wire.tries
    with pytest.raises(Unreachable, match=r"cannot reach s3://runs/"):  # known by now
        impatient.list("")
    assert server.wire.tries == tries
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(SrkdError, match=r"cannot use s3://runs/.*: .*Missing AccessKeyId"):
        Bucket(bucket.address)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{server.wire.port}")
    with pytest.raises(Unreachable, match="no credentials for s3://runs/"):
        Bucket(bucket.address).list("runs")


def test_a_server_without_conditional_writes_is_rejected(server: Server, bucket: Bucket) -> None:
    server.heedless = True
    with (
        pytest.raises(SrkdError, match="does not support conditional writes"),
        Leases(bucket, print).held("run-1"),
    ):
        pass


def test_a_lease_excludes_others_until_released(bucket: Bucket) -> None:
    told: list[str] = []
    one, two = Leases(bucket, told.append), Leases(bucket, told.append)
    taken = threading.Event()

    def wait() -> None:
        with two.held("run-1"):
            taken.set()

    with one.held("run-1"), one.held("run-2"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not taken.wait(1.5)
    waiting.join(timeout=20)
    assert taken.is_set()
    assert told == ["waiting for another machine that works on the same artifact (run-1)"]
    assert not bucket.list("claims")


def test_a_dead_workers_lease_is_taken_over_and_a_living_ones_is_not(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.3)
    monkeypatch.setattr(leases, "LIFE", timedelta(seconds=2.2))
    monkeypatch.setattr(leases, "LOOK", (0.2, 0.2))
    first, second, third = (Leases(Bucket(bucket.address), print) for _ in range(3))
    held = first.held("run-1")
    held.__enter__()
    owners: list[str] = []

    def take() -> None:
        with second.held("run-1"):
            owners.append(second.worker)
            time.sleep(0.5)

    taking = threading.Thread(target=take)
    taking.start()
    time.sleep(3)
    assert not owners  # it has a heartbeat
    monkeypatch.setattr(first.bucket, "put", lambda name, content: None)  # none arrives any more
    taking.join(timeout=20)
    assert owners == [second.worker]
    with third.held("run-1"):
        held.__exit__(None, None, None)  # the first one wakes up, and keeps another's lease
        assert bucket.read("claims/run-1").content == third.worker.encode()  # type: ignore[union-attr]
    assert not bucket.list("claims")


def test_a_failed_release_of_a_lease_is_retried(
    server: Server, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.3)
    monkeypatch.setattr(bucket_module, "PATIENCE", 0.2)
    monkeypatch.setattr(bucket_module, "REST", 0.0)
    claims = Leases(Bucket(bucket.address), print)
    with claims.held("run-1"):
        server.wire.down = True
        server.wire.cut()
    server.settle()
    for _ in range(100):
        if not bucket.list("claims"):
            break
        time.sleep(0.1)
    assert not bucket.list("claims")
    assert len(bucket.list("workers")) == 1
    claims.end(10)
    assert not bucket.list("workers")
