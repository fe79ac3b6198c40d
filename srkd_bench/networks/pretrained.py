"""Find pretrained weights: a file, an address or EDSR's released network."""

import hashlib
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

from srkd_bench.config.artifacts import Weights
from srkd_bench.config.network import ForeignSpec
from srkd_bench.config.suite import TeacherSpec
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.networks.resolve import Hints, NotWeights, in_file, resolved
from srkd_bench.store import downloads
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import SHA256, beside

# Keys of `teacher.weights`, with the checksum in torch-hub's file names, and the addresses. Both are for scale 2,
# the only scale with a known address.
OFFICIAL = {
    "edsr-official": (
        "sha256:0edfb8a3",
        "https://cv.snu.ac.kr/research/EDSR/models/edsr_x2-0edfb8a3.pt",
        "https://github.com/Coloquinte/torchSR/releases/download/v1.0.3/edsr_x2.pt",
    ),
    "edsr-baseline-official": (
        "sha256:1bc95232",
        "https://cv.snu.ac.kr/research/EDSR/models/edsr_baseline_x2-1bc95232.pt",
    ),
}


def find_weights(
    teacher: TeacherSpec, scale: int, store: ArtifactStore, display: Display, *, readonly: bool = False
) -> tuple[Path, Weights]:
    """Return the local file of a network and its key; a file that was loaded before is not loaded again.

    Args:
        teacher: its `weights` are a file, an address or a key of `OFFICIAL`.
        readonly: download nothing, and leave the store unchanged.

    Raises:
        MissingError: no such file, or no mirror has it. SrkdError: it holds no known network.
    """
    where = teacher.weights or ""
    if where in OFFICIAL:
        if scale != 2:
            raise SrkdError(f"{where} is known for scale 2 only, not {scale}", "give a file or an address")
        expected, *urls = OFFICIAL[where]
        path = _fetched(where, tuple(urls), expected, store, display, not readonly)
    elif where.startswith(("https://", "http://")):
        path = _fetched(where, (where,), None, store, display, not readonly)
    else:
        path = Path(where).expanduser()
        if not path.is_file():
            raise MissingError(f"no weights file '{where}'", f"a file, an address, or {', '.join(OFFICIAL)}")
    sha256 = checksum(path)
    try:
        key = in_file(path, sha256, hints_of(teacher, store, readonly=readonly), store, readonly=readonly)
    except NotWeights:
        if (kept := kept_at(store, where)) and where not in OFFICIAL and not readonly:
            for file in (kept, beside(kept, SHA256)):  # the next call downloads again
                file.unlink(missing_ok=True)
        raise
    return path, key


def hints_of(teacher: TeacherSpec, store: ArtifactStore, *, readonly: bool = False) -> Hints:
    """Return the user's settings of a teacher's weights; its class is inspected."""
    model = teacher.model
    if isinstance(model, ForeignSpec) and not model.source:
        model = resolved(model, store, readonly=readonly)
    blocks = teacher.blocks if isinstance(teacher.blocks, str) else tuple(teacher.blocks)
    return Hints(blocks, teacher.overlap, teacher.range, teacher.res_scale, model)


def checksum(path: Path) -> str:
    """Return a file's sha256; it is computed once per process unless the file changes."""
    status = path.stat()
    return _checksum(path.resolve(), status.st_size, status.st_mtime_ns)


@cache
def _checksum(path: Path, size: int, changed: int) -> str:
    return downloads.checksum_of(path, "sha256")


def kept_at(store: ArtifactStore, where: str) -> Path | None:
    """Return the download path of an address or a key of `OFFICIAL`; None for a user's file."""
    if where in OFFICIAL:
        where = OFFICIAL[where][1]
    elif not where.startswith(("https://", "http://")):
        return None
    return store.downloads / f"{hashlib.sha256(where.encode()).hexdigest()[:12]}-{_name(where)}"


def _name(address: str) -> str:
    return PurePosixPath(urlparse(address).path).name or "weights"


def _fetched(
    where: str,
    urls: tuple[str, ...],
    checksum: str | None,
    store: ArtifactStore,
    display: Display,
    wanted: bool,
) -> Path:
    name, path = _name(urls[0]), kept_at(store, urls[0])
    assert path is not None
    if not wanted and not path.exists():
        hint = f"srkd train-teacher --weights {where} downloads it"
        raise MissingError(f"{urls[0]} is not downloaded yet", hint)
    with display.bar(f"downloading {name}", bytes=True) as tick:
        return downloads.fetch(
            urls, path, checksum=checksum, progress=tick, hint="set teacher.weights to a file that you have"
        )
