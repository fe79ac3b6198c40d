"""Image packs: the decoded images of a data set as a memory-mapped array."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srkd_bench.config.artifacts import Pack
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.core.files import put, writable
from srkd_bench.core.parallel import in_order
from srkd_bench.core.progress import Display
from srkd_bench.data.catalog import DatasetSpec, find
from srkd_bench.data.images import cut, downscale, luma, read_rgb
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import INDEX, PIXELS
from srkd_bench.store.manifest import REPAIR

Image = NDArray[np.uint8]
Tick = Callable[[int, int | None], None]
LUMA_BYTES = 512_000_000  # of a data set, at most; Set5, Set14 and BSD100 take 151 MB together


class _Pack:
    """Images of one resolution in a memory map; each is checked when it is first looked at."""

    def __init__(self, store: ArtifactStore, key: Pack) -> None:
        index = store.file(key, INDEX)
        self.data = index.with_name(PIXELS)
        read = json.loads(index.read_text())
        self.pixels: str = read["pixels"]
        self.entries: list[dict[str, Any]] = read["images"]
        size = sum(one["height"] * one["width"] * 3 for one in self.entries)
        if not self.data.is_file() or self.data.stat().st_size != size:
            raise IntegrityError(f"{self.data} is not what was written", REPAIR)
        # Views of an array cost less than those of a memory map.
        self._bytes: Image = np.asarray(np.memmap(self.data, dtype=np.uint8, mode="r"))
        self._checked: set[int] = set()

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, i: int) -> Image:
        entry = self.entries[i]
        height, width, offset = entry["height"], entry["width"], entry["offset"]
        image: Image = self._bytes[offset : offset + height * width * 3].reshape(height, width, 3)
        if i not in self._checked:
            if _digest(image) != entry["sha256"]:
                raise IntegrityError(f"{self.data}: image '{entry['name']}' is not what was written", REPAIR)
            self._checked.add(i)
        return image


class ImageSet:
    """A data set's HR and LR images, read from the packs in the store.

    Images stand in the order of their pixels' digests, so that the same images under other names are the same
    set and give the same training.

    Attributes:
        names: the files' stems.
        pixels: digest of the decoded HR images.
    """

    def __init__(self, store: ArtifactStore, name: str, scale: int) -> None:
        self.name, self.scale = name, scale
        self._hr, self._lr = _Pack(store, _key(name)), _Pack(store, _key(name, scale))
        self.pixels = self._hr.pixels
        self.names: list[str] = [image["name"] for image in self._hr.entries]
        self._luma: dict[int, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def hr(self, i: int) -> Image:
        """Return HR image `i`, cut to a multiple of the scale: (H, W, 3), not writable.

        Raises:
            IntegrityError: its pixels are not what was written.
        """
        return cut(self._hr[i], self.scale)

    def hr_luma(self, i: int) -> NDArray[np.float64]:
        """Return the luma of HR image `i`: (H, W) in 16..235, as far as there is room kept for the next network.

        Raises:
            IntegrityError: as `hr`.
        """
        if i in self._luma:
            return self._luma[i]
        made = luma(self.hr(i))
        if sum(one.nbytes for one in self._luma.values()) + made.nbytes <= LUMA_BYTES:
            self._luma[i] = made
        return made

    def lr(self, i: int) -> Image:
        """Return LR image `i`: (H/scale, W/scale, 3), not writable; raises as `hr`."""
        return self._lr[i]

    @property
    def smallest(self) -> tuple[int, str]:
        """The shortest side of all LR images, in pixels, and the name of the image."""
        return min((min(one["height"], one["width"]), one["name"]) for one in self._lr.entries)


def _key(name: str, scale: int = 1) -> Pack:
    return Pack(dataset=name, scale=scale)  # type: ignore[arg-type]  # pydantic checks the scale


def packed(store: ArtifactStore, name: str) -> str | None:
    """Return the digest of the pixels of a data set that is here, or None."""
    find(name)
    key = _key(name)
    if not store.has(key):
        return None
    digest: str = json.loads(store.read(key.place, INDEX))["pixels"]
    return digest


def pixels_of(store: ArtifactStore, name: str) -> str | None:
    """Return the digest of the pixels of a data set that is here or built in, or None."""
    spec = find(name)
    return packed(store, name) or (spec.pixels if spec.builtin else None)


def open_set(store: ArtifactStore, name: str, scale: int, display: Display | None = None) -> ImageSet:
    """Return a data set that is here; LR images and built-in sets are packed when first asked for.

    Raises:
        MissingError: it has to be downloaded first.
    """
    spec = find(name)
    if _is_packed(store, name, scale):
        return ImageSet(store, name, scale)
    with store.locked([_key(name).lock]):
        if not store.has(_key(name)):
            if not spec.builtin:
                raise MissingError(f"data set '{name}' is not here", f"srkd download {name}")
            pack(store, name, builtin_images(spec))
        if not _is_packed(store, name, scale):
            _pack_lr(store, name, scale, display)
        return ImageSet(store, name, scale)


def _pack_lr(store: ArtifactStore, name: str, scale: int, display: Display | None) -> None:
    hr = _Pack(store, _key(name))

    def shrunk(i: int) -> tuple[str, Image]:
        return hr.entries[i]["name"], downscale(cut(hr[i], scale), scale)

    bar = display.bar(f"making the LR images of {name}") if display else nullcontext(lambda done, total: None)
    with bar as tick, store.writing(_key(name, scale)) as folder:

        def images() -> Iterator[tuple[str, Image]]:
            for i, image in enumerate(in_order(shrunk, range(len(hr)))):
                yield image
                tick(i + 1, len(hr))

        _write_pack(folder, images(), keep_order=True, pixels=hr.pixels)


def _is_packed(store: ArtifactStore, name: str, scale: int) -> bool:
    """Say whether a data set's HR images are here, and the LR images that were made of them."""
    hr, lr = _key(name), _key(name, scale)
    return store.has(hr) and store.has(lr) and _Pack(store, lr).pixels == _Pack(store, hr).pixels


def hr_pixels(store: ArtifactStore, name: str) -> int | None:
    """Return how many HR pixels a data set has in all, if it is here or built in. Nothing is packed."""
    spec = find(name)
    if store.has(_key(name)):
        entries = json.loads(store.read(_key(name).place, INDEX))["images"]
        return sum(int(one["height"] * one["width"]) for one in entries)
    return sum(image.size // 3 for _, image in builtin_images(spec)) if spec.builtin else None


def builtin_images(spec: DatasetSpec) -> Iterator[tuple[str, Image]]:
    """Give name and pixels of the photographs in scikit-image's wheel, without importing it."""
    package = find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise MissingError("the built-in photographs come with scikit-image", "pip install scikit-image")
    folder = Path(package.submodule_search_locations[0]) / "data"
    for file in spec.builtin:
        yield Path(file).stem, read_rgb(folder / file, file)


def pack(store: ArtifactStore, name: str, images: Iterable[tuple[str, Image]]) -> str:
    """Write a data set's HR pack and return the digest of its pixels.

    Raises:
        IntegrityError: the number of images isn't the data set's, or two have one name. Nothing is kept.
    """
    spec = find(name)
    with store.writing(_key(name)) as folder:
        index = _write_pack(folder, images)
        names = [image["name"] for image in index["images"]]
        if len(names) != spec.count:
            hint = "give the folder or archive that holds its HR images, each once"
            raise IntegrityError(f"data set '{name}' has {spec.count} images, not {len(names)}", hint)
        if twice := {one for one in names if names.count(one) > 1}:
            raise IntegrityError(f"data set '{name}' has two images named '{min(twice)}'")
        if spec.builtin and index["pixels"] != spec.pixels:
            problem = f"scikit-image's photographs are not those of '{name}'"
            raise IntegrityError(problem, "install scikit-image 0.22 or newer")
    digest: str = index["pixels"]
    return digest


def _write_pack(
    folder: Path, images: Iterable[tuple[str, Image]], *, keep_order: bool = False, pixels: str = ""
) -> dict[str, Any]:
    """Write images one by one, as they come, and an index of where they are."""
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
    index = {"pixels": pixels, "images": entries}
    put(folder / INDEX, json.dumps(index))
    return index


def _digest(image: Image) -> str:
    height, width, _ = image.shape
    return hashlib.sha256(f"{height}x{width}:".encode() + image.tobytes()).hexdigest()


def check_patch(images: ImageSet, patch: int) -> None:
    """Raise an SrkdError if a training patch (LR pixels) doesn't fit into every image."""
    side, name = images.smallest
    if patch > side:
        raise SrkdError(
            f"a patch of {patch} LR pixels is larger than image '{name}' of '{images.name}' ({side} pixels)",
            f"--set train.patch={side}",
        )
