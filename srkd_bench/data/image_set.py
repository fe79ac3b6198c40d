"""Local data sets: their HR and LR images, read from the packs in the store."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srkd_bench.config.artifacts import Pack
from srkd_bench.core.errors import MissingError, SrkdError, unknown
from srkd_bench.core.parallel import in_order
from srkd_bench.core.progress import Display
from srkd_bench.data.catalog import DATASETS, DatasetSpec, base, copy_name
from srkd_bench.data.images import cut, downscale, luma
from srkd_bench.data.packs import (
    Image,
    PackReader,
    builtin_images,
    check_size,
    index_of,
    key_of,
    pack,
    packed_as,
    write_pack,
)
from srkd_bench.store.artifact_store import ArtifactStore

Tick = Callable[[int, int | None], None]
LUMA_BYTES = 512_000_000  # of a data set, at most; Set5, Set14 and BSD100 take 151 MB together


class ImageSet:
    """A data set's HR and LR images, read from the packs in the store.

    Images are sorted by the digests of their pixels, so that renamed files give the same set and the same
    training.

    Attributes:
        name: with its copy, as tables show it: `bsd100@edsr`.
        names: the files' stems.
        pixels: digest of the decoded HR images.
    """

    def __init__(self, store: ArtifactStore, name: str, scale: int) -> None:
        self.scale = scale
        self._hr, self._lr = PackReader(store, key_of(name)), PackReader(store, key_of(name, scale))
        self.pixels = self._hr.pixels
        self.name = copy_name(name, self.pixels)
        self.names: list[str] = [image["name"] for image in self._hr.entries]
        self._luma: dict[int, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def hr(self, i: int) -> Image:
        """Return HR image `i`, cut to a multiple of the scale: (H, W, 3), not writable.

        Raises:
            IntegrityError: its pixels were altered since they were packed.
        """
        return cut(self._hr[i], self.scale)

    def full_size(self, i: int) -> tuple[int, int]:
        """Return height and width of HR image `i` before it is cut."""
        return self._hr.entries[i]["height"], self._hr.entries[i]["width"]

    def hr_luma(self, i: int) -> NDArray[np.float64]:
        """Return the luma of HR image `i`: (H, W) in 16..235; cached for the next network while memory allows.

        Raises:
            IntegrityError: as `hr`.
        """
        if i in self._luma:
            return self._luma[i]
        made = luma(self.hr(i))
        kept = list(self._luma.values())  # a copy: other threads add to it
        if sum(one.nbytes for one in kept) + made.nbytes <= LUMA_BYTES:
            self._luma[i] = made
        return made

    def lr(self, i: int) -> Image:
        """Return LR image `i`: (H/scale, W/scale, 3), not writable; raises as `hr`."""
        return self._lr[i]

    @property
    def smallest(self) -> tuple[int, str]:
        """The shortest side of all LR images, in pixels, and the name of the image."""
        return min((min(one["height"], one["width"]), one["name"]) for one in self._lr.entries)


def own_names(store: ArtifactStore) -> list[str]:
    """Return the names of the data sets that users registered in this store."""
    keys = [key for _, key in store.keys(Pack.folder) if key["scale"] == 1]
    return sorted(key["dataset"] for key in keys if key["dataset"] not in DATASETS)


def spec_of(store: ArtifactStore, name: str) -> DatasetSpec:
    """Return the spec of a data set: from srkd's catalog, or registered by the user.

    Raises:
        SrkdError: there is no such data set.
    """
    if name in DATASETS:
        return DATASETS[name]
    if (index := index_of(store, name)) is not None:
        return DatasetSpec("own", len(index["images"]))
    error = unknown("data set", name, [*DATASETS, *own_names(store)])
    raise SrkdError(error.message, f"for the folder: ./{name}") if Path(name).is_dir() else error


def image_limit(asked: int | None, store: ArtifactStore, name: str) -> int | None:
    """Return the number of a data set's images to which a suite limits it; None if it takes all of them.

    Args:
        asked: in the suite, as `data.images`.
    Raises:
        SrkdError: the data set has fewer.
    """
    if asked is None or (name not in DATASETS and index_of(store, name) is None):
        return asked
    count = spec_of(store, name).count
    if asked > count:
        raise SrkdError(f"data.images is {asked:,}, but {name} has {count:,} images", "leave it out for all")
    return None if asked == count else asked


def packed(store: ArtifactStore, name: str) -> str | None:
    """Return the digest of a local data set's pixels, or None."""
    spec_of(store, name)
    return packed_as(store, name)


def pixels_of(store: ArtifactStore, name: str) -> str | None:
    """Return the digest of a local or built-in data set's pixels, or None."""
    spec = spec_of(store, name)
    return packed(store, name) or (spec.pixels if spec.builtin else None)


def missing(store: ArtifactStore, names: Iterable[str]) -> MissingError | None:
    """Return the error for data sets that are not available locally, or None; it names available copies."""
    absent = [name for name in names if pixels_of(store, name) is None]
    others = [copy for name in absent for copy in copies(store, name)]
    here = f"; available copies: {' '.join(others)}" if others else ""
    listed = " ".join(absent)
    return (
        MissingError(f"data sets that are not available: {listed}{here}", f"srkd download {listed}")
        if absent
        else None
    )


def copies(store: ArtifactStore, name: str) -> list[str]:
    """Return the other known copies of a data set that are available locally."""
    return [one for one in DATASETS if base(one) == base(name) and one != name and packed(store, one)]


def open_set(store: ArtifactStore, name: str, scale: int, display: Display | None = None) -> ImageSet:
    """Open a local data set; LR images and built-in sets are packed at first use.

    Raises:
        MissingError: it has to be downloaded first.
    """
    spec = spec_of(store, name)
    if spec.role != "train":
        _check_sizes(store, name, scale)
    if _is_packed(store, name, scale):
        return ImageSet(store, name, scale)
    with store.locked([key_of(name).lock]):
        if not store.has(key_of(name)):
            if not spec.builtin:
                here = "".join(f"; another copy is: {one}" for one in copies(store, name))
                raise MissingError(f"data set '{name}' is not available{here}", f"srkd download {name}")
            pack(store, name, builtin_images(spec))
        if not _is_packed(store, name, scale):
            _pack_lr(store, name, scale, display)
        return ImageSet(store, name, scale)


def _check_sizes(store: ArtifactStore, name: str, scale: int) -> None:
    """Raise an SrkdError if an image of a local data set is too small to be measured at a scale."""
    for image in (index_of(store, name) or {"images": []})["images"]:
        check_size(name, image["name"], image["height"], image["width"], scale)


def _pack_lr(store: ArtifactStore, name: str, scale: int, display: Display | None) -> None:
    hr = PackReader(store, key_of(name))

    def shrunk(i: int) -> tuple[str, Image]:
        return hr.entries[i]["name"], downscale(cut(hr[i], scale), scale)

    bar = display.bar(f"making the LR images of {name}") if display else nullcontext(lambda done, total: None)
    with bar as tick, store.writing(key_of(name, scale)) as folder:

        def images() -> Iterator[tuple[str, Image]]:
            for i, image in enumerate(in_order(shrunk, range(len(hr)))):
                yield image
                tick(i + 1, len(hr))

        write_pack(folder, images(), keep_order=True, pixels=hr.pixels)


def _is_packed(store: ArtifactStore, name: str, scale: int) -> bool:
    """Return whether a data set's HR images and the LR images made from them are in the store."""
    hr, lr = key_of(name), key_of(name, scale)
    return store.has(hr) and store.has(lr) and PackReader(store, lr).pixels == PackReader(store, hr).pixels


def overlap(store: ArtifactStore, train: str, other: str) -> list[str]:
    """Return the images of a data set that are also training images; none if a set is not available locally."""
    digests = [
        {image["sha256"]: image["name"] for image in (index_of(store, name) or {"images": []})["images"]}
        for name in (other, train)
    ]
    return sorted(name for digest, name in digests[0].items() if digest in digests[1])


def image_notes(store: ArtifactStore, names: Iterable[str], train: Iterable[str] = ()) -> list[str]:
    """Return notes for reports about the images: unknown copies, own images, overlap with training.

    Args:
        names: of the data sets that were measured.
        train: of the data sets that networks were trained on.
    """
    notes = []
    for name in names:
        pixels, spec = pixels_of(store, name), spec_of(store, name)
        if pixels is None:
            continue
        shown = copy_name(name, pixels)
        if shown not in DATASETS and spec.role != "own":
            notes.append(
                f"{shown}: a copy of {base(name)} that srkd does not know; there are no published scores for it"
            )
        elif spec.role == "own" and shown not in DATASETS:
            count = f"{spec.count} own image{'s' * (spec.count != 1)}"
            notes.append(f"{shown}: {count}; the digest of the pixels begins with {pixels[:12]}")
        for other in train:
            if pixels == pixels_of(store, other):
                notes.append(f"{shown}: its images are also the training images")
            elif shared := overlap(store, other, name):
                listed = ", ".join(shared[:4]) + ", …" * (len(shared) > 4)
                notes.append(
                    f"{shown}: {len(shared)} of its images are also in {other}, trained on: {listed}"
                )
    return notes


def hr_sizes(store: ArtifactStore, name: str) -> dict[str, tuple[int, int]] | None:
    """Return (height, width) of a local or built-in data set's HR images, without packing it."""
    spec = spec_of(store, name)
    if (index := index_of(store, name)) is not None:
        return {one["name"]: (int(one["height"]), int(one["width"])) for one in index["images"]}
    return {image: pixels.shape[:2] for image, pixels in builtin_images(spec)} if spec.builtin else None


def check_patch(images: ImageSet, patch: int) -> None:
    """Raise an SrkdError if a training patch (LR pixels) does not fit into every image."""
    _check_patch(images.name, patch, *images.smallest)


def check_patch_unpacked(store: ArtifactStore, name: str, scale: int, patch: int) -> None:
    """Check as `check_patch` without packing; images that are not available locally are not checked."""
    if sizes := hr_sizes(store, name):
        _check_patch(name, patch, *min((min(size) // scale, image) for image, size in sizes.items()))


def _check_patch(dataset: str, patch: int, side: int, image: str) -> None:
    if patch > side:
        raise SrkdError(
            f"a patch of {patch} LR pixels is larger than image '{image}' of '{dataset}' ({side} pixels)",
            f"--set train.patch={side}",
        )
