"""Download data sets, or import them from a folder or archive."""

from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

from srkd_bench.config.artifacts import Pack
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.parallel import in_order
from srkd_bench.core.progress import Display
from srkd_bench.data.archives import images_in, read_images, select_hr
from srkd_bench.data.catalog import DATASETS, Source, choose, copy_name, find, is_name
from srkd_bench.data.images import read_rgb
from srkd_bench.data.packs import Image, Packed, builtin_images, pack
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.downloads import fetch


def adopt(
    store: ArtifactStore,
    name: str,
    source: Path,
    display: Display,
    *,
    unnamed: bool = False,
    replace: bool = True,
    stamp: str = "",
) -> Packed:
    """Import a data set from a folder or archive that contains its HR images.

    A name that is not in srkd's catalog is given to all HR images found there. A known set is packed under the name
    of its copy: `bsd100@edsr`.

    Args:
        unnamed, replace, stamp: as in `packs.pack`.
    Raises:
        SrkdError: no such file, a malicious or broken archive, a broken image, or a wrong number of images.
    """
    if not is_name(name):
        raise SrkdError(f"'{name}' is not a valid data set name", "lower-case letters, digits, . _ and -")
    found = [entry.path for entry in images_in(source)]
    candidates = found if unnamed else choose(name, found)
    paths = select_hr(candidates)
    if not paths:
        hint = "the names of all images there say that they are LR" if candidates else f"srkd download {name}"
        raise MissingError(f"no images of '{name}' in '{source}'", hint)
    if not unnamed and name in DATASETS:
        _check_count(name, source, paths)
    elif len(paths) < len(found):
        display.say(
            f"{name}: {len(found) - len(paths)} of {len(found)} images are LR by their names, left out"
        )
    stamp = stamp if len(candidates) == len(found) else ""  # otherwise the folder also holds other images

    def decoded(found: tuple[str, bytes]) -> tuple[str, Image]:
        path, content = found
        return PurePosixPath(path).stem, read_rgb(BytesIO(content), path)

    def images() -> Iterator[tuple[str, Image]]:
        with display.bar(f"packing {name}") as tick:
            for i, image in enumerate(in_order(decoded, read_images(source, paths))):
                yield image
                tick(i + 1, len(paths))

    with store.locked([Pack(dataset=name, scale=1).lock]):
        return pack(store, name, images(), stamp=stamp, unnamed=unnamed, replace=replace)


def _check_count(name: str, source: Path, paths: Sequence[str]) -> None:
    """Reject a folder or archive with several copies of a data set, or with too few or too many images."""
    count = find(name).count
    if len(paths) == count:
        return
    folders = Counter(str(PurePosixPath(path).parent) for path in paths)
    if len(whole := [folder for folder, images in folders.items() if images == count]) > 1:
        listed = " and ".join(f"'{folder}'" for folder in whole)
        raise IntegrityError(
            f"'{source}' holds {len(whole)} copies of data set '{name}': {listed}",
            f"name one of these folders: srkd download {name} --from {_inside(source, whole[0])}",
        )
    listed = ", ".join(f"{images} in '{folder}'" for folder, images in folders.most_common(4))
    more = f" and {len(folders) - 4} more folders" if len(folders) > 4 else ""
    raise IntegrityError(
        f"data set '{name}' has {count} images, not {len(paths)}: {listed}{more}",
        "give the folder or archive that holds its HR images, each once",
    )


def _inside(source: Path, folder: str) -> str:
    """Describe where a folder from `images_in` is; a folder in an archive must be unpacked first."""
    return str(source.absolute().parent / folder) if source.is_dir() else folder


def download(store: ArtifactStore, name: str, display: Display) -> Packed:
    """Download a data set from the first source that has the requested copy, and pack it.

    A built-in set is packed from its package. The downloaded file is kept, since other sets may be in it.

    Raises:
        MissingError: no source has it, or only another copy. IntegrityError: a checksum does not match.
    """
    spec = find(name)
    if spec.builtin:
        with store.locked([Pack(dataset=name, scale=1).lock]):
            return pack(store, name, builtin_images(spec))
    failures: list[SrkdError] = []
    for source in spec.sources:
        try:
            packed = adopt(store, name, _fetch(store, name, source, display), display)
        except (MissingError, IntegrityError) as error:
            failures.append(error)
            continue
        if packed.name == name:
            return packed
        other = f"{source.urls[0]} holds another copy, which is packed as '{packed.name}'"
        failures.append(MissingError(f"data set '{name}': {other}"))
    if not failures:
        raise MissingError(f"data set '{name}' cannot be downloaded, only imported", _own(name))
    worst = max(failures, key=lambda error: error.exit_code)
    raise type(worst)("; ".join(error.message for error in failures), _own(name))


def described(packed: Packed, asked: str) -> str:
    """Describe the packed copy of a data set; empty if it is the requested one."""
    shown = copy_name(packed.name, packed.pixels)
    if packed.name != asked:
        return f"this copy differs from '{asked}': suites and --datasets name it '{packed.name}'"
    if shown == packed.name:
        return ""
    if packed.name not in DATASETS:
        return f"these are the images of '{shown}', which is their name in tables"
    return f"their pixels match no known copy: tables show them as '{shown}'"


def kept_at(store: ArtifactStore, source: Source) -> Path:
    """Return where the file of a source is kept, or would be."""
    file = PurePosixPath(urlparse(source.urls[0]).path).name
    return store.downloads / (file if source.checksum is None else f"{source.checksum[-12:]}-{file}")


def _fetch(store: ArtifactStore, name: str, source: Source, display: Display) -> Path:
    host, path = urlparse(source.urls[0]).netloc, kept_at(store, source)
    with display.bar(f"downloading {name} from {host}", bytes=True) as tick:
        return fetch(
            source.urls, path, checksum=source.checksum, size=source.size, progress=tick, hint=_own(name)
        )


def _own(name: str) -> str:
    return f"srkd download {name} --from FOLDER_OR_ARCHIVE"
