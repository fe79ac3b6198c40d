"""An S3-compatible bucket with atomic objects."""

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from srkd_bench.core.errors import IntegrityError, SrkdError, install_hint
from srkd_bench.core.files import writable
from srkd_bench.store.manifest import REPAIR

PART = 16 << 20  # bytes of a part, and number of parts in memory
PARTS_AT_ONCE = 4
PATIENCE = 60.0  # seconds during which a request is retried
REST = 10.0  # seconds after a failure without retries, so that releasing many leases does not take an hour
SLOWEST = 300.0  # seconds that a part may take
REPAIR_SHARED = "srkd store verify --shared --repair"
_RIGHTS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with the right to list, read, write and delete there"
_HINT = "is AWS_ENDPOINT_URL right, and AWS_REGION? finished work is kept; run the same command to resume"


class Unreachable(SrkdError):
    """The bucket does not respond, or responds with a temporary error."""


@dataclass(frozen=True)
class Found:
    """The content of an object; `tag` is its ETag."""

    content: bytes
    tag: str | None


@dataclass(frozen=True)
class Listed:
    """An entry of a list: when the object was written, by the server's clock, and its size."""

    written: datetime
    bytes: int


class Bucket:
    """The objects below an address; a failed request is retried for a minute.

    Credentials, region and endpoint are AWS's environment variables, or those of the cloud machine.

    Args:
        address: `s3://BUCKET/PREFIX`.
    Attributes:
        requests: number of requests by kind, without retries and parts of large objects.
    Raises:
        SrkdError: no such address, or the S3 package is not installed.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise SrkdError(
                f"'{address}' is not an address of a shared store", "SRKD_STORE=s3://BUCKET/PREFIX"
            )
        try:
            import obstore
            from obstore import exceptions
            from obstore.store import S3Store
        except ImportError:
            raise SrkdError(f"a store at {address} needs the package obstore", install_hint("s3")) from None
        self.address, self.name = address.rstrip("/"), parts.netloc
        self.requests: Counter[str] = Counter()
        self._obstore, self._errors = obstore, exceptions
        self._lost: tuple[float, Unreachable] | None = None  # time and reason of the last failure
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
        try:
            self._store = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                client_options={
                    "timeout": timedelta(seconds=SLOWEST),
                    "connect_timeout": timedelta(seconds=5),
                    "allow_http": endpoint.startswith("http://"),
                },
                retry_config={"max_retries": 20, "retry_timeout": timedelta(seconds=PATIENCE)},
            )
        except exceptions.BaseError as error:
            raise SrkdError(f"cannot use {address}: {str(error).splitlines()[0]}", _RIGHTS) from None

    def list(self, prefix: str) -> dict[str, Listed]:
        """Return the objects in a folder, at any depth, by name."""
        pages = self._ask("list", lambda: list(self._obstore.list(self._store, prefix)))
        self.requests["list"] += max(0, len(pages or []) - 1)
        listed = (one for page in pages or [] for one in page)
        return {one["path"]: Listed(one["last_modified"], one["size"]) for one in listed}

    def modified(self, name: str) -> datetime | None:
        """Return when an object was written, by the server's clock, or None if there is none."""
        head = self._ask("head", lambda: self._obstore.head(self._store, name))
        return head["last_modified"] if head else None

    def read(self, name: str) -> Found | None:
        """Return a small object, or None if there is none."""

        def get() -> Found:
            result = self._obstore.get(self._store, name)
            return Found(bytes(result.bytes()), result.meta["e_tag"])

        found: Found | None = self._ask("get", get)
        return found

    def put(self, name: str, content: bytes) -> None:
        """Write or replace a small object."""
        self._ask("put", lambda: self._obstore.put(self._store, name, content))

    def create(self, name: str, content: bytes) -> bool:
        """Create a small object unless it exists; return whether it now has this content."""
        return self._put_if(name, content, "create")

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        """Replace a small object if it still has this tag; return whether it had."""
        return self._put_if(name, content, {"e_tag": tag})

    def _put_if(self, name: str, content: bytes, mode: object) -> bool:
        if self._ask("put", lambda: self._obstore.put(self._store, name, content, mode=mode) and True):
            return True
        found = self.read(name)  # perhaps by this request, whose response was lost
        return found is not None and found.content == content

    def upload(self, name: str, path: Path) -> None:
        """Upload a file of any size; the object appears when it is complete."""
        at_once = {"chunk_size": PART, "max_concurrency": PARTS_AT_ONCE}
        if self._ask("put", lambda: self._obstore.put(self._store, name, path, **at_once)) is None:
            raise IntegrityError(f"{path} is gone", REPAIR)

    def download(self, name: str, path: Path, size: int) -> str:
        """Download an object of any size to a file, and return its sha256.

        Raises:
            IntegrityError: there is no such object, or it has another size.
        """
        digest = hashlib.sha256()
        with writable(path, size), path.open("wb") as file:
            for part in self.parts(name, size):
                digest.update(part)
                file.write(part)
        return digest.hexdigest()

    def parts(self, name: str, size: int) -> Iterator[bytes]:
        """Yield an object of any size in parts, one request each; raises as `download`."""
        for start in range(0, size, PART):
            end = min(size, start + PART)
            part: bytes | None = self._ask("get", self._part, name, start, end, size)
            if part is None:
                raise IntegrityError(f"{self.address}/{name} is corrupted", REPAIR_SHARED)
            yield part

    def _part(self, name: str, start: int, end: int, size: int) -> bytes | None:
        result = self._obstore.get(self._store, name, options={"range": (start, end)})
        if result.meta["size"] != size:
            return None
        part = bytes(result.bytes())
        return part if len(part) == end - start else None

    def delete(self, name: str) -> None:
        """Remove an object, if it exists."""
        self._ask("delete", lambda: self._obstore.delete(self._store, name))

    def _ask(self, kind: str, request: Callable[..., Any], *args: Any) -> Any:
        """Make a request; return None if the object is missing, or exists against the request's condition."""
        self.requests[kind] += 1
        errors = self._errors
        if self._lost is not None and time.monotonic() - self._lost[0] < REST:
            raise self._lost[1]
        try:
            return _waited(request, *args)
        except (errors.AlreadyExistsError, errors.PreconditionError):
            return None
        except (errors.BaseError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
                return None
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> Unreachable:
        """Return an error that explains the library's error to the user."""
        text = str(error)
        if "NoSuchBucket" in text:
            return Unreachable(f"there is no bucket '{self.name}'", "create it, or correct SRKD_STORE")
        if "/latest/api/token" in text:  # address of the cloud's credential service
            return Unreachable(f"no credentials for {self.address}", _RIGHTS)
        cause = text.split("\n\n")[0].rpartition(" - ")[2].replace("\n", " ")[:200]
        if " 401 " in text or " 403 " in text:
            return Unreachable(f"{self.address} refuses: {cause}", _RIGHTS)
        lost = Unreachable(f"cannot reach {self.address}: {cause}", _HINT)
        self._lost = (time.monotonic(), lost)
        return lost


def _waited(request: Callable[..., Any], *args: Any) -> Any:
    """Make a request in a separate thread, so that Ctrl-C and SIGTERM do not wait for its response."""
    future: Future[Any] = Future()

    def make() -> None:
        try:
            future.set_result(request(*args))
        except BaseException as error:
            future.set_exception(error)

    if threading.current_thread() is not threading.main_thread():
        return request(*args)
    try:
        threading.Thread(target=make, daemon=True).start()
    except RuntimeError:  # the process is ending: no thread can start
        return request(*args)
    return future.result()
