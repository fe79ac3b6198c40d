"""Downloads from a real local server with all typical failures."""

import gzip
import hashlib
import os
import random
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.store import downloads
from srkd_bench.store.downloads import checksum_of, fetch

DATA = random.Random(0).randbytes(200_000)
SHA256 = "sha256:" + hashlib.sha256(DATA).hexdigest()
MD5 = "md5:" + hashlib.md5(DATA).hexdigest()

Answer = Callable[[BaseHTTPRequestHandler], None]


def send(handler: BaseHTTPRequestHandler, code: int, body: bytes = b"", **headers: Any) -> None:
    handler.send_response(code)
    for name, value in ({"Content_Length": len(body)} | headers).items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def status(code: int, **headers: Any) -> Answer:
    return lambda handler: send(handler, code, **headers)


def whole(data: bytes = DATA, **headers: Any) -> Answer:
    """Serve without Range support."""
    return lambda handler: send(handler, 200, data, **headers)


def ranged(handler: BaseHTTPRequestHandler) -> None:
    first = int((re.match(r"bytes=(\d+)-$", handler.headers.get("Range", "")) or ["", "0"])[1])
    if first >= len(DATA):
        send(handler, 416, Content_Range=f"bytes */{len(DATA)}")
    elif first:
        send(handler, 206, DATA[first:], Content_Range=f"bytes {first}-{len(DATA) - 1}/{len(DATA)}")
    else:
        send(handler, 200, DATA)


def broken(after: int) -> Answer:
    """Announce the full length and close the connection."""
    return lambda handler: send(handler, 200, DATA[:after], Content_Length=len(DATA))


class Server(ThreadingHTTPServer):
    """Respond to each path with its next answer, repeating the last one, and record the requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str | None]] = []

    def serve(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_port}{path}"

    @property
    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.asked]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        if len(self.server.asked) > 50:
            return  # who never gives up shall fail, not hang
        answers = self.server.answers[self.path]
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace sleep; return the list of requested sleep times in seconds."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SRKD_OFFLINE", raising=False)
    monkeypatch.setattr(downloads, "CHUNK", 1000)
    return waits


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "Set5.tar"


def part_of(path: Path) -> Path:
    return path.with_name("Set5.tar.part")


def leave_part(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    part_of(path).write_bytes(data)


def dead() -> str:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}/"


@pytest.mark.parametrize("checksum", [SHA256, SHA256[:15], MD5, None])
def test_a_download_is_complete_and_leaves_no_part_file(
    server: Server, path: Path, checksum: str | None
) -> None:
    steps: list[tuple[int, int | None]] = []
    url = server.serve("/a", ranged)
    assert fetch([url], path, checksum=checksum, progress=lambda *step: steps.append(step)) == path
    assert path.read_bytes() == DATA
    assert steps[-1] == (len(DATA), len(DATA))
    assert not part_of(path).exists()


def test_a_file_is_synced_before_it_is_renamed(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: named.append(path.exists()))
    fetch([server.serve("/a", ranged)], path, checksum=SHA256)
    assert named == [False, False]  # the file and its checksum


def test_an_existing_file_is_not_downloaded_again(server: Server, path: Path) -> None:
    url = server.serve("/a", ranged)
    for _ in range(2):
        fetch([url], path, checksum=SHA256)
    assert server.ranges == [None]


def test_an_existing_file_is_verified_before_use(server: Server, path: Path) -> None:
    url = server.serve("/a", ranged)
    fetch([url], path, checksum=SHA256)
    path.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(IntegrityError, match="differs from the download"):
        fetch([url], path, checksum=SHA256)
    path.with_name(path.name + ".sha256").unlink()
    with pytest.raises(IntegrityError, match="instead of sha256"):
        fetch([url], path, checksum=SHA256)
    path.write_bytes(DATA)
    assert fetch([url], path, checksum=SHA256) == path
    assert server.ranges == [None]


def test_two_at_once_download_once(server: Server, path: Path) -> None:
    url = server.serve("/a", ranged)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: fetch([url], path, checksum=SHA256), range(2)))
    assert server.ranges == [None]
    assert path.read_bytes() == DATA


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, path: Path) -> None:
    url = server.serve("/a", broken(after=150_000), ranged)
    fetch([url], path, checksum=SHA256)
    assert server.ranges == [None, "bytes=150000-"]
    assert path.read_bytes() == DATA


def test_a_stalled_connection_is_resumed(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_again, server_hung_up_first = threading.Event(), threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        broken(after=50_000)(handler)
        if not asked_again.wait(3):
            server_hung_up_first.set()

    def rest(handler: BaseHTTPRequestHandler) -> None:
        asked_again.set()
        ranged(handler)

    monkeypatch.setattr(downloads, "READ_TIMEOUT", 0.2)
    fetch([server.serve("/a", stall, rest)], path, checksum=SHA256)
    assert server.ranges == [None, "bytes=50000-"]
    assert path.read_bytes() == DATA
    assert not server_hung_up_first.is_set()


def test_a_truncated_response_is_detected_by_the_callers_size(server: Server, path: Path) -> None:
    url = server.serve("/a", whole(DATA[:5000], Content_Length=""), ranged)
    fetch([url], path, checksum=SHA256, size=len(DATA))
    assert server.ranges == [None, "bytes=5000-"]
    assert path.read_bytes() == DATA


def test_the_next_mirror_resumes_where_the_first_broke(server: Server, path: Path) -> None:
    first = server.serve("/a", broken(after=150_000), status(404))
    fetch([first, server.serve("/b", ranged)], path, checksum=SHA256)
    assert server.asked == [("/a", None), ("/a", "bytes=150000-"), ("/b", "bytes=150000-")]
    assert path.read_bytes() == DATA


def test_a_part_of_an_earlier_run_is_resumed(server: Server, path: Path) -> None:
    leave_part(path, DATA[:1234])
    fetch([server.serve("/a", ranged)], path, checksum=SHA256)
    assert server.ranges == ["bytes=1234-"]
    assert path.read_bytes() == DATA


def test_a_complete_part_of_an_earlier_run_is_only_verified(server: Server, path: Path) -> None:
    leave_part(path, DATA)
    fetch([server.serve("/a", ranged)], path, checksum=SHA256, size=len(DATA))
    assert server.ranges == []
    assert path.read_bytes() == DATA


def test_a_server_without_range_support_restarts(server: Server, path: Path) -> None:
    fetch([server.serve("/a", broken(after=5000), whole())], path, checksum=SHA256)
    assert server.ranges == [None, "bytes=5000-"]
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("refusal", [status(416), status(206, Content_Range="bytes 0-9/10")])
def test_a_rejected_range_restarts(server: Server, path: Path, refusal: Answer) -> None:
    fetch([server.serve("/a", broken(after=5000), refusal, ranged)], path, checksum=SHA256)
    assert server.ranges == [None, "bytes=5000-", None]
    assert path.read_bytes() == DATA


def test_a_part_of_another_file_does_not_discredit_a_good_mirror(server: Server, path: Path) -> None:
    leave_part(path, b"\0" * 1234)
    fetch([server.serve("/a", ranged)], path, checksum=SHA256)
    assert server.ranges == ["bytes=1234-", None]
    assert path.read_bytes() == DATA


def test_a_mirror_that_fails_after_a_bad_part_reports_its_own_error(server: Server, path: Path) -> None:
    leave_part(path, DATA[:1234][::-1])
    hang_up = broken(after=0)
    with pytest.raises(MissingError, match="IncompleteRead"):
        fetch([server.serve("/a", ranged, hang_up)], path, checksum=SHA256)
    assert not path.exists()


def test_without_a_checksum_nothing_is_resumed(server: Server, path: Path) -> None:
    leave_part(path, b"\0" * 1234)
    fetch([server.serve("/a", broken(after=5000), ranged)], path, checksum=None)
    assert server.ranges == [None, None]
    assert path.read_bytes() == DATA


def test_a_connection_that_always_breaks_is_abandoned(server: Server, path: Path, waits: list[float]) -> None:
    with pytest.raises(MissingError, match=r"5,?000"):
        fetch([server.serve("/a", broken(after=5000))], path, checksum=None)
    assert len(server.asked) == downloads.ATTEMPTS + 1  # the first one brought something
    assert waits == [0.5, 1, 2, 4, 8]
    assert not path.exists()


def test_bytes_of_an_earlier_run_are_not_progress(server: Server, path: Path) -> None:
    leave_part(path, DATA[:1234])
    with pytest.raises(MissingError):
        fetch([server.serve("/a", status(503))], path, checksum=SHA256)
    assert len(server.asked) == downloads.ATTEMPTS


def test_a_mirror_with_another_file_is_skipped(server: Server, path: Path) -> None:
    fetch([server.serve("/a", whole(b"other")), server.serve("/b", ranged)], path, checksum=SHA256)
    assert server.asked == [("/a", None), ("/b", None)]
    assert path.read_bytes() == DATA


def test_a_wrong_checksum_everywhere_is_an_integrity_error(server: Server, path: Path) -> None:
    urls = [server.serve("/a", whole(b"other")), server.serve("/b", status(404))]
    with pytest.raises(IntegrityError, match="instead of sha256:") as caught:
        fetch(urls, path, checksum=SHA256, hint="srkd download set5 --from FILE")
    assert caught.value.hint == "srkd download set5 --from FILE"
    assert not path.exists()
    assert not part_of(path).exists()


@pytest.mark.parametrize("headers", [{}, {"Content_Length": ""}])
def test_a_wrong_length_is_an_integrity_error(server: Server, path: Path, headers: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="9,999"):
        fetch([server.serve("/a", whole(**headers))], path, checksum=None, size=9999)
    assert not path.exists()
    assert not part_of(path).exists()


def test_a_dead_mirror_is_skipped(server: Server, path: Path, waits: list[float]) -> None:
    fetch([dead(), server.serve("/a", ranged)], path, checksum=SHA256)
    assert path.read_bytes() == DATA
    assert len(waits) == downloads.ATTEMPTS - 1


def test_when_all_mirrors_fail_each_is_listed_with_its_reason(server: Server, path: Path) -> None:
    urls = [dead(), server.serve("/gone", status(404)), server.serve("/busy", status(503)), "nonsense"]
    with pytest.raises(MissingError) as caught:
        fetch(urls, path, checksum=SHA256, hint="srkd download set5 --from FILE")
    for url, reason in zip(urls, ["refused", "HTTP 404", "HTTP 503", "Invalid URL"], strict=True):
        assert re.search(f"{re.escape(url)}: [^;]*{reason}", caught.value.message)
    assert "Pool" not in caught.value.message
    assert caught.value.hint == "srkd download set5 --from FILE"
    assert [asked for asked, _ in server.asked] == ["/gone"] + ["/busy"] * downloads.ATTEMPTS
    assert not path.exists()


def test_redirects_are_followed(server: Server, path: Path) -> None:
    leave_part(path, DATA[:1234])
    fetch([server.serve("/a", status(302, Location=server.serve("/b", ranged)))], path, checksum=SHA256)
    assert server.asked == [("/a", "bytes=1234-"), ("/b", "bytes=1234-")]


def test_a_server_error_is_retried(server: Server, path: Path, waits: list[float]) -> None:
    fetch([server.serve("/a", status(500), status(502), ranged)], path, checksum=SHA256)
    assert path.read_bytes() == DATA
    assert waits == [1, 2]


@pytest.mark.parametrize(("asked", "waited"), [("0", 0), ("1", 1), ("86400", 60), ("soon", 1)])
def test_retry_after_is_respected_up_to_a_limit(
    server: Server, path: Path, waits: list[float], asked: str, waited: float
) -> None:
    fetch([server.serve("/a", status(429, Retry_After=asked), ranged)], path, checksum=SHA256)
    assert waits == [waited]


def test_a_compressed_file_is_not_decompressed(server: Server, path: Path) -> None:
    packed = gzip.compress(DATA)
    fetch([server.serve("/a", whole(packed, Content_Encoding="gzip"))], path, checksum=None, size=len(packed))
    assert path.read_bytes() == packed


def test_offline_opens_no_socket(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, lambda *args: pytest.fail("a socket was opened"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: pytest.fail("a name was looked up"))
    monkeypatch.setenv("SRKD_OFFLINE", "1")
    with pytest.raises(MissingError, match="srkd is offline") as caught:
        fetch(["http://127.0.0.1:9/"], path, checksum=SHA256, hint="srkd download set5 --from FILE")
    assert caught.value.hint == "leave out --offline (SRKD_OFFLINE), or srkd download set5 --from FILE"
    path.parent.mkdir()
    path.write_bytes(DATA)
    assert fetch(["http://127.0.0.1:9/"], path, checksum=SHA256) == path


def test_insufficient_disk_space_is_reported_before_writing(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(SrkdError, match=f"{re.escape(str(path))}.*200 kB needed, 1 kB free"):
        fetch([server.serve("/a", ranged)], path, checksum=SHA256)
    assert not part_of(path).exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_is_reported_with_the_space_needed(server: Server, path: Path) -> None:
    path.parent.mkdir()
    part_of(path).symlink_to("/dev/full")
    with pytest.raises(SrkdError, match=f"{re.escape(str(path))}.*No space left .*200 kB needed"):
        fetch([server.serve("/a", whole())], path, checksum=SHA256, size=len(DATA))
    assert not path.exists()


@pytest.mark.parametrize("checksum", ["", "sha256:", SHA256[:14], MD5[:-1], "sha1:" + "0" * 40])
def test_a_malformed_checksum_is_refused(path: Path, checksum: str) -> None:
    with pytest.raises(ValueError, match="checksum"):
        fetch([], path, checksum=checksum)


def test_checksums_are_those_of_hashlib(path: Path) -> None:
    leave_part(path, DATA)
    assert "md5:" + checksum_of(part_of(path), "md5") == MD5
