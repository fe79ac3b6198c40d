"""Download files from mirrors: resumed, verified, atomic."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from srkd_bench.core.errors import IntegrityError, MissingError
from srkd_bench.core.files import put, room_for, writable
from srkd_bench.core.portable import sync
from srkd_bench.store.layout import LOCK, PART, SHA256, beside
from srkd_bench.store.locks import held
from srkd_bench.store.manifest import REPAIR

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 5  # successive attempts without a new byte before a mirror is abandoned
BACKOFF = 0.5  # seconds, doubled with every failed attempt
LONGEST_WAIT = 60.0  # seconds; upper limit for Retry-After
BUSY = {429, 500, 502, 503, 504}
CHUNK = 1 << 16  # bytes; a broken connection loses at most this
Progress = Callable[[int, int | None], None]
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{8,64}|md5:[0-9a-f]{32}")


class _Unusable(Exception):
    """A mirror that cannot provide the file, with the reason."""


class _Wrong(_Unusable):
    """A mirror that provides another file than the requested one."""


class _Interrupted(Exception):
    """An attempt that should be repeated, with the reason; `wait` is the server's Retry-After in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch(
    urls: Sequence[str],
    path: Path,
    *,
    checksum: str | None,
    size: int | None = None,
    progress: Progress = lambda done, total: None,
    hint: str = "",
) -> Path:
    """Download `path` unless it exists, and return it.

    Data is written to `path.part`, which a later call resumes; only a verified file gets the final name. Its sha256
    is stored in `path.sha256`, and an existing file is verified against it.

    Args:
        urls: mirrors of the same file, best first.
        checksum: `sha256:<hex>` or its first 8 or more digits, `md5:<hex>`, or None if unknown.
        size: bytes, if known.
        progress: called with the received and the total bytes, None if unknown.
        hint: another way to get the file.
    Raises:
        MissingError: no mirror provided a complete file, or SRKD_OFFLINE=1.
        IntegrityError: no mirror provided the right file, and at least one a wrong one; or the existing file
            has changed.
        SrkdError: the disk is full or cannot be written.
        ValueError: `checksum` is malformed.
    """
    if checksum is not None and not _CHECKSUM.fullmatch(checksum):
        raise ValueError(f"malformed checksum {checksum!r}")
    if path.exists():
        return _kept(path, checksum)
    if os.environ.get("SRKD_OFFLINE", "0") not in ("", "0"):
        ways = ["leave out --offline (SRKD_OFFLINE)", *([hint] if hint else [])]
        raise MissingError(f"{path.name} is missing and srkd is offline", ", or ".join(ways))
    part = beside(path, PART)
    with writable(part, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        with held(beside(path, LOCK)):
            if path.exists():  # another process was faster
                return _kept(path, checksum)
            _stamp(path, _from_a_mirror(urls, part, checksum, size, progress, hint))
            return part.replace(path)


def _from_a_mirror(
    urls: Sequence[str], part: Path, checksum: str | None, size: int | None, progress: Progress, hint: str
) -> str:
    """Complete `part` from the first working mirror, and return its sha256; raises as `fetch`."""
    failures: dict[str, _Unusable] = {}
    for url in urls:
        try:
            return _fetch_from(url, part, checksum, size, progress)
        except _Unusable as error:
            failures[url] = error
    wrong = any(isinstance(error, _Wrong) for error in failures.values())
    reasons = "; ".join(f"{url}: {error}" for url, error in failures.items())
    raise (IntegrityError if wrong else MissingError)(f"cannot download {part.stem} ({reasons})", hint)


def is_unchanged(path: Path) -> bool:
    """Return whether a downloaded file exists and has its recorded sha256."""
    return path.is_file() and stamped(path) == checksum_of(path, "sha256")


def stamped(path: Path) -> str | None:
    """Return the sha256 recorded for a file, in the format of `sha256sum`.

    None if there is none, an empty string if it is damaged.
    """
    if not beside(path, SHA256).exists():
        return None
    sha256, _, rest = beside(path, SHA256).read_bytes().decode(errors="replace").partition("  ")
    return sha256 if rest == f"{path.name}\n" else ""


def _stamp(path: Path, sha256: str) -> None:
    put(beside(path, SHA256), f"{sha256}  {path.name}\n")


def _kept(path: Path, checksum: str | None) -> Path:
    """Return the path of an existing file after verification; a file put there by the user is accepted."""
    if stamped(path) is None:
        try:
            _stamp(path, _verify(path, checksum))
        except _Wrong as error:
            raise IntegrityError(f"{path} {error}", f"remove {path}") from None
    elif not is_unchanged(path):
        raise IntegrityError(f"{path} differs from the download", REPAIR)
    return path


def checksum_of(path: Path, algorithm: str) -> str:
    """Return the file's digest in hex; `algorithm` is a hashlib name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _fetch_from(url: str, part: Path, checksum: str | None, size: int | None, progress: Progress) -> str:
    """Complete, verify and sync `part`, and return its sha256; on failure, keep data that can be resumed."""
    resumed = part.exists()
    try:
        _complete(url, part, size, progress, resume=checksum is not None)
        return _verify(part, checksum)
    except _Wrong:
        part.unlink(missing_ok=True)
        if not resumed:
            raise
    # the earlier bytes may be wrong
    return _fetch_from(url, part, checksum, size, progress)


def _verify(part: Path, checksum: str | None) -> str:
    sha256 = checksum_of(part, "sha256")
    if checksum is not None:
        algorithm, expected = checksum.split(":")
        actual = sha256 if algorithm == "sha256" else checksum_of(part, algorithm)
        if not actual.startswith(expected):
            raise _Wrong(f"has {algorithm}:{actual} instead of {checksum}")
    sync(part)
    return sha256


def _complete(url: str, part: Path, size: int | None, progress: Progress, *, resume: bool) -> None:
    """Receive the rest of the file, reconnecting as often as needed.

    Without a checksum, two responses could be parts of different files: `resume` is then False.
    """
    import requests  # imported here, since plans and reports import this module without downloading
    from urllib3.exceptions import HTTPError

    failed, longest = 0, _length(part)
    while True:
        if not resume:
            part.unlink(missing_ok=True)
        try:
            return _receive(url, part, size, progress)
        except _Interrupted as error:
            reason, wait = str(error), error.wait
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            reason, wait = _cause(error), None
        except requests.RequestException as error:
            raise _Unusable(str(error)) from error
        failed = 0 if _length(part) > longest else failed + 1
        longest = max(longest, _length(part))
        if failed == ATTEMPTS:
            raise _Unusable(reason)
        time.sleep(min(LONGEST_WAIT, BACKOFF * 2**failed if wait is None else wait))


def _receive(url: str, part: Path, size: int | None, progress: Progress) -> None:
    """Request the bytes that `part` lacks once; a server that cannot resume sends all of them."""
    import requests
    from urllib3.util import Retry

    have = _length(part)
    if have and have == size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)) as response:
        code, status = response.status_code, f"HTTP {response.status_code} {response.reason}"
        resumed = code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if code in BUSY:
            raise _Interrupted(status, Retry().get_retry_after(response.raw))
        if code == 416 or (code == 206 and not resumed):
            part.unlink(missing_ok=True)
            raise _Interrupted(status)
        if code not in (200, 206):
            raise _Unusable(status)

        have = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else size
        if size and total and total != size:
            raise _Wrong(f"has {total:,} bytes instead of {size:,}")
        room_for(part, (total or 0) - have)
        with part.open("ab" if have else "wb") as file:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                have += file.write(chunk)
                progress(have, total)
                if total and have > total:
                    raise _Wrong(f"has more than {total:,} bytes")
    if total and have < total:
        raise _Interrupted(f"broke off after {have:,} of {total:,} bytes")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _cause(error: BaseException) -> str:
    """Return the innermost cause, which requests and urllib3 wrap in several exceptions."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
