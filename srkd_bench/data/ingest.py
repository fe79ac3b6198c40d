"""Download data sets, or import them from a folder or archive."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

from srkd_bench.config.artifacts import Pack
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.parallel import in_order
from srkd_bench.core.progress import Display
from srkd_bench.data.archives import images_in, read_images, select_hr
from srkd_bench.data.catalog import Source, choose, find
from srkd_bench.data.image_set import Image, builtin_images, pack, pixels_of
from srkd_bench.data.images import read_rgb
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.downloads import fetch

OWN = "srkd download {} --from FOLDER_OR_ARCHIVE"


def adopt(store: ArtifactStore, name: str, source: Path, display: Display) -> str:
    """Pack a data set from a folder or archive that holds its HR images somewhere, and return their digest.

    Raises:
        SrkdError: no such file, a hostile or broken archive, a broken image, or not as many images as it has.
    """
    find(name)
    paths = select_hr(choose(name, [entry.path for entry in images_in(source)]))
    if not paths:
        raise MissingError(f"no images of '{name}' in '{source}'", f"srkd download {name}")

    def decoded(found: tuple[str, bytes]) -> tuple[str, Image]:
        return PurePosixPath(found[0]).stem, read_rgb(BytesIO(found[1]), found[0])

    def images() -> Iterator[tuple[str, Image]]:
        with display.bar(f"packing {name}") as tick:
            for i, image in enumerate(in_order(decoded, read_images(source, paths))):
                yield image
                tick(i + 1, len(paths))

    with store.locked([Pack(dataset=name, scale=1).lock]):
        return pack(store, name, images())


def download(store: ArtifactStore, name: str, display: Display) -> str:
    """Fetch a data set from the first of its sources that works, pack it, and return its pixels' digest.

    A built-in set is packed from its package. The downloaded file is kept: other sets may be in it.

    Raises:
        MissingError: nobody has it. IntegrityError: a checksum doesn't fit.
    """
    spec = find(name)
    if spec.builtin:
        with store.locked([Pack(dataset=name, scale=1).lock]):
            return pack(store, name, builtin_images(spec))
    failures: list[SrkdError] = []
    for source in spec.sources:
        try:
            return adopt(store, name, _fetch(store, name, source, display), display)
        except (MissingError, IntegrityError) as error:
            failures.append(error)
    worst = max(failures, key=lambda error: error.exit_code)
    raise type(worst)("; ".join(error.message for error in failures), OWN.format(name))


def is_known_copy(store: ArtifactStore, name: str) -> bool:
    """Say whether the images here have the pixels that srkd's own numbers were measured on, if that is known."""
    return find(name).pixels in (None, pixels_of(store, name))


def kept_at(store: ArtifactStore, source: Source) -> Path:
    """Return where the file of a source is kept, or would be."""
    file = PurePosixPath(urlparse(source.urls[0]).path).name
    return store.downloads / (file if source.checksum is None else f"{source.checksum[-12:]}-{file}")


def _fetch(store: ArtifactStore, name: str, source: Source, display: Display) -> Path:
    host, path = urlparse(source.urls[0]).netloc, kept_at(store, source)
    with display.bar(f"downloading {name} from {host}", bytes=True) as tick:
        return fetch(
            source.urls,
            path,
            checksum=source.checksum,
            size=source.size,
            progress=tick,
            hint=OWN.format(name),
        )
