"""Packs: files that hold a data set's decoded images and are identified by their pixels."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from srkd_bench.config.artifacts import Pack
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.files import put, writable
from srkd_bench.data.catalog import COPY_DIGITS, DATASETS, DatasetSpec, base, identify, is_name
from srkd_bench.data.images import SCALES, least_side, read_rgb
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import INDEX, PIXELS
from srkd_bench.store.manifest import REPAIR

Image = NDArray[np.uint8]


class Packed(NamedTuple):
    """A packed data set: its name in the store, and the digest of its pixels."""

    name: str
    pixels: str


class PackReader:
    """Images of one resolution in a memory map; each is verified on first access."""

    def __init__(self, store: ArtifactStore, key: Pack) -> None:
        index = store.file(key, INDEX)
        self.data = index.with_name(PIXELS)
        read = json.loads(index.read_text(encoding="utf-8"))
        self.pixels: str = read["pixels"]
        self.entries: list[dict[str, Any]] = read["images"]
        size = sum(one["height"] * one["width"] * 3 for one in self.entries)
        if not self.data.is_file() or self.data.stat().st_size != size:
            raise IntegrityError(f"{self.data} is corrupted", REPAIR)
        self._bytes: Image = np.asarray(
            np.memmap(self.data, dtype=np.uint8, mode="r")
        )  # views of it cost less
        self._checked: set[int] = set()

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, i: int) -> Image:
        entry = self.entries[i]
        height, width, offset = entry["height"], entry["width"], entry["offset"]
        image: Image = self._bytes[offset : offset + height * width * 3].reshape(height, width, 3)
        if i not in self._checked:
            if _digest(image) != entry["sha256"]:
                raise IntegrityError(f"{self.data}: image '{entry['name']}' is corrupted", REPAIR)
            self._checked.add(i)
        return image


def key_of(name: str, scale: int = 1) -> Pack:
    """Return the key of a data set's HR images, or of its LR images at a scale."""
    return Pack(dataset=name, scale=scale)  # type: ignore[arg-type]  # pydantic checks the scale


def index_of(store: ArtifactStore, name: str) -> dict[str, Any] | None:
    """Return the index of a local data set's HR images, or None."""
    if not is_name(name) or not store.has(key_of(name)):
        return None
    index: dict[str, Any] = json.loads(store.read(key_of(name).place, INDEX))
    return index


def builtin_images(spec: DatasetSpec) -> Iterator[tuple[str, Image]]:
    """Yield name and pixels of the photographs in scikit-image's wheel, without importing it."""
    package = find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise MissingError("the built-in photographs come with scikit-image", "pip install scikit-image")
    folder = Path(package.submodule_search_locations[0]) / "data"
    for file in spec.builtin:
        yield Path(file).stem, read_rgb(folder / file, file)


def pack(
    store: ArtifactStore,
    name: str,
    images: Iterable[tuple[str, Image]],
    *,
    stamp: str = "",
    unnamed: bool = False,
    replace: bool = True,
) -> Packed:
    """Write a data set's HR pack; the pixels of a known set determine the copy that it is named after.

    Args:
        stamp: of the images' folder, so that it is recognised later without reading it.
        unnamed: the name is only a proposal, used if the images are not a known set.
        replace: replace other images that are registered under this name.
    Raises:
        IntegrityError: a wrong number of images, another copy's pixels, or two images of the same name.
        SrkdError: an image is too small. Nothing is kept.
    """
    spec = DATASETS.get(name) if not unnamed else None
    with store.scratch() as draft:
        index = write_pack(draft, _large_enough(name, spec, images), stamp=stamp)
        _check_pack(name, spec, index)
        pixels: str = index["pixels"]
        final = _final_name(store, name, index, unnamed=unnamed)
        if not replace and final not in DATASETS and packed_as(store, final) not in (None, pixels):
            raise SrkdError(f"data set '{final}' exists with other images", "choose another name, or --force")
        with (
            store.locked([key_of(final).lock] if final != name else []),
            store.writing(key_of(final)) as folder,
        ):
            for file in (INDEX, PIXELS):
                (draft / file).replace(folder / file)
    return Packed(final, pixels)


def packed_as(store: ArtifactStore, name: str) -> str | None:
    """Return the digest of the pixels stored under a name, known or not; None if there are none."""
    index = index_of(store, name)
    return None if index is None else str(index["pixels"])


def _large_enough(
    name: str, spec: DatasetSpec | None, images: Iterable[tuple[str, Image]]
) -> Iterator[tuple[str, Image]]:
    for image, pixels in images:
        if spec is None or spec.role != "train":
            check_size(name, image, pixels.shape[0], pixels.shape[1], min(SCALES))
        elif min(pixels.shape[:2]) < max(SCALES):
            raise SrkdError(f"image '{image}' of '{name}' is too small to be shrunk", "exclude it")
        yield image, pixels


def _check_pack(name: str, spec: DatasetSpec | None, index: dict[str, Any]) -> None:
    names = [image["name"] for image in index["images"]]
    if spec is not None and len(names) != spec.count:
        hint = "give the folder or archive that holds its HR images, each once"
        raise IntegrityError(f"data set '{name}' has {spec.count} images, not {len(names)}", hint)
    if twice := {one for one in names if names.count(one) > 1}:
        raise IntegrityError(f"data set '{name}' has two images named '{min(twice)}'", "rename one of them")
    if spec is not None and spec.builtin and index["pixels"] != spec.pixels:
        raise IntegrityError(
            f"scikit-image's photographs are not those of '{name}'", "install scikit-image 0.22 or newer"
        )


def _final_name(store: ArtifactStore, name: str, index: dict[str, Any], *, unnamed: bool) -> str:
    """Return the final name of a pack, which depends on its pixels."""
    pixels = index["pixels"]
    found = identify(pixels, {image["sha256"] for image in index["images"]})
    if unnamed:
        is_free = name not in DATASETS and packed_as(store, name) in (None, pixels)
        return found or (name if is_free else f"{base(name)}@{pixels[:COPY_DIGITS]}")
    if found is not None and base(found) == base(name):
        return found
    if name in DATASETS and name != base(name):
        hint = f"srkd download {base(name)} --from … packs them as a copy that srkd does not know"
        raise IntegrityError(f"these images are not those of '{name}'", hint)
    return name


def write_pack(
    folder: Path,
    images: Iterable[tuple[str, Image]],
    *,
    keep_order: bool = False,
    pixels: str = "",
    stamp: str = "",
) -> dict[str, Any]:
    """Write images one at a time, followed by an index of their positions."""
    entries: list[dict[str, Any]] = []
    path = folder / PIXELS
    with writable(path), path.open("wb") as file:
        for name, image in images:
            height, width, _ = image.shape
            offset = file.tell()
            with writable(path, offset + image.nbytes):
                file.write(image.tobytes())
            entry = {"name": name, "height": height, "width": width, "offset": offset}
            entries.append(entry | {"sha256": _digest(image)})
    if not keep_order:
        entries.sort(key=lambda entry: (entry["sha256"], entry["name"]))
    pixels = pixels or hashlib.sha256("".join(entry["sha256"] for entry in entries).encode()).hexdigest()
    index = {"pixels": pixels, "images": entries} | ({"stamp": stamp} if stamp else {})
    put(folder / INDEX, json.dumps(index))
    return index


def _digest(image: Image) -> str:
    height, width, _ = image.shape
    return hashlib.sha256(f"{height}x{width}:".encode() + image.tobytes()).hexdigest()


def check_size(name: str, image: str, height: int, width: int, scale: int) -> None:
    """Raise an SrkdError if an HR image of a data set is too small to be measured at a scale."""
    if min(height, width) < least_side(scale):
        needed = ", ".join(f"{least_side(one)}×{least_side(one)} at ×{one}" for one in SCALES)
        raise SrkdError(
            f"image '{image}' of '{name}' is {width}×{height} pixels, too small to be measured at ×{scale}",
            f"SSIM's window and the border need {needed}; leave the image out",
        )
