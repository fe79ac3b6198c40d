"""Data-set table; image packs: decoded once, kept as a uint8 memory map."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srkd_bench.errors import IntegrityError, MissingError, SrkdError, unknown
from srkd_bench.images import cut, downscale, read_rgb
from srkd_bench.store import ArtifactStore

Image = NDArray[np.uint8]
Tick = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Source:
    """A file that holds a data set, at one or several addresses."""

    urls: tuple[str, ...]
    checksum: str | None
    size: int | None = None


@dataclass(frozen=True)
class DatasetSpec:
    """A data set that srkd knows.

    Args:
        role: what studies use it for: `train`, `validation` or `test`.
        count: how many images it has.
        pixels: digest of its decoded pixels where it is known; another copy may differ, and is told so.
        pattern: regular expression for its images' paths in a folder or archive that holds more.
        strict: an image that doesn't fit the pattern never belongs to it.
        sources: where it can be had, in order of preference.
        builtin: files of scikit-image's wheel, instead of sources.
    """

    role: str
    count: int
    pixels: str | None = None
    pattern: str | None = None
    strict: bool = False
    sources: tuple[Source, ...] = ()
    builtin: tuple[str, ...] = ()


_DIV2K = "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_{}_HR.zip"
_BENCHMARK = Source(
    ("https://cv.snu.ac.kr/research/EDSR/benchmark.tar",),
    "sha256:80c21c333bbf6ceb5308b7243761f8284478274413a97b96f1d63e9045fd93e8",
    250112000,
)


def _benchmark(count: int, pixels: str, folder: str, mirror: str, checksum: str | None) -> DatasetSpec:
    """Return a test set of the field: EDSR's archive holds all four, a mirror has each by itself."""
    address = f"https://huggingface.co/datasets/eugenesiow/{mirror}/resolve/main/data/{mirror}_HR.tar.gz"
    pattern = rf"(^|/){folder}(_hr)?/"
    return DatasetSpec("test", count, pixels, pattern, sources=(Source((address,), checksum), _BENCHMARK))


DATASETS: dict[str, DatasetSpec] = {
    "photos": DatasetSpec(
        "train",
        8,
        pixels="e634d3c843796ef2ca865ddba74f0a45da0ce9de41b8b1fc070a0543144531cf",
        builtin=(
            "astronaut.png",
            "brick.png",
            "coins.png",
            "grass.png",
            "gravel.png",
            "moon.png",
            "motorcycle_left.png",
            "motorcycle_right.png",
        ),
    ),
    "photos-test": DatasetSpec(
        "test",
        3,
        pixels="efa1f3537ab14275c32d7ee15fe4d879395e600d03d518e0c3249c066b86a4db",
        builtin=("camera.png", "chelsea.png", "coffee.png"),
    ),
    "set5": _benchmark(
        5,
        "a1da64ac69553fa7d6c0bb5789ca11ce5850bbef5c3b2420538b0cb298077bac",
        "set5",
        "Set5",
        "sha256:260fc447296333f6c2716bcd65513968c33b666f21a905537ee3330c51a1945b",
    ),
    "set14": _benchmark(
        14, "3b53d92e320a123e0a5303fe462318bb2e5fbf5ac24a63d7ef4afa8a77042137", "set14", "Set14", None
    ),
    "bsd100": _benchmark(
        100,
        "78f27acb9ee04208859addbc4f2ecd6f98ecf1ebf44ebd80f486934b6d34048a",
        "b(sd)?100",
        "BSD100",
        "sha256:333495ccded04a0db52b33361140821ea7e0d8af8dfb54b58df79a00010858d6",
    ),
    "urban100": _benchmark(
        100,
        "81cae0a6b6693ea12596e2217f1a7d8427e36f98a36a26de2ba10999bccfcd97",
        "urban100",
        "Urban100",
        "md5:65d9d84a34b72c6f7ca1e26a12df1e4c",
    ),
    # Its val images are BSD100's, and Set5's woman is a small copy of train/302003.
    "bsds500": DatasetSpec(
        "train",
        399,
        pixels="d7b5f186a32a959c7de6ca390871a47ad370b3e75e9049f483de725cbbcc023c",
        pattern=r"(^|/)(train|test)/(?!302003\.)\d+\.",
        strict=True,
        sources=(
            Source(
                ("https://github.com/BIDS/BSDS500/archive/refs/heads/master.zip",),
                "md5:7bfe17302a219367694200a61ce8256c",
            ),
        ),
    ),
    "div2k": DatasetSpec(
        "train",
        800,
        pattern=r"(^|/)0(?!000)([0-7]\d\d|800)\.\w+$",
        strict=True,
        sources=(
            Source(
                (_DIV2K.format("train"),),
                "sha256:9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
                3530603713,
            ),
        ),
    ),
    "div2k-valid": DatasetSpec(
        "validation",
        100,
        pattern=r"(^|/)0(80[1-9]|8[1-9]\d|900)\.\w+$",
        strict=True,
        sources=(
            Source(
                (_DIV2K.format("valid"),),
                "sha256:20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
                448993893,
            ),
        ),
    ),
}


def find(name: str) -> DatasetSpec:
    """Return a data set's entry in the table.

    Raises:
        SrkdError: no such data set.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]


class ImageSet:
    """A data set's HR and LR images, read from the packs in the store.

    Images stand in the order of their pixels' digests, so that the same images under other names are the same
    set and give the same training.

    Attributes:
        names: the files' stems.
        pixels: digest of the decoded HR images.
    """

    def __init__(self, name: str, scale: int, hr: Path, lr: Path) -> None:
        self.name, self.scale = name, scale
        self._hr, self._hr_data = _open_pack(hr)
        self._lr, self._lr_data = _open_pack(lr)
        self.pixels: str = self._hr["pixels"]
        self.names: list[str] = [image["name"] for image in self._hr["images"]]

    def __len__(self) -> int:
        return len(self.names)

    def hr(self, i: int) -> Image:
        """Return HR image `i`, cut to a multiple of the scale: (H, W, 3), not writable."""
        return cut(_image(self._hr["images"][i], self._hr_data), self.scale)

    def lr(self, i: int) -> Image:
        """Return LR image `i`: (H/scale, W/scale, 3), not writable."""
        return _image(self._lr["images"][i], self._lr_data)

    @property
    def smallest(self) -> tuple[int, str]:
        """The shortest side of all LR images, in pixels, and the name of the image."""
        return min((min(one["height"], one["width"]), one["name"]) for one in self._lr["images"])


def packed(store: ArtifactStore, name: str) -> str | None:
    """Return the digest of the pixels of a data set that is here, or None."""
    find(name)
    index = store.home / "data" / name / "index.json"
    digest: str | None = json.loads(index.read_text())["pixels"] if index.is_file() else None
    return digest


def pixels_of(store: ArtifactStore, name: str) -> str | None:
    """Return the digest of the pixels of a data set that is here or built in, or None."""
    spec = find(name)
    return packed(store, name) or (spec.pixels if spec.builtin else None)


def open_set(store: ArtifactStore, name: str, scale: int) -> ImageSet:
    """Return a data set that is here; LR images and built-in sets are packed when first asked for.

    Raises:
        MissingError: it has to be downloaded first.
    """
    spec = find(name)
    hr = store.home / "data" / name
    lr = store.home / "data" / f"{name}_x{scale}"
    with store.locked([f"data-{name}"]):
        if not hr.is_dir():
            if not spec.builtin:
                raise MissingError(f"data set '{name}' is not here", f"srkd download {name}")
            pack(store, name, builtin_images(spec))
        if not lr.is_dir() or _index(lr)["pixels"] != _index(hr)["pixels"]:
            index, data = _open_pack(hr)
            images = ((one["name"], cut(_image(one, data), scale)) for one in index["images"])
            small = ((image_name, downscale(image, scale)) for image_name, image in images)
            with store.replacing(lr) as folder:
                _write_pack(folder, small, in_order=True, pixels=index["pixels"])
    return ImageSet(name, scale, hr, lr)


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
    with store.replacing(store.home / "data" / name) as folder:
        index = _write_pack(folder, images)
        names = [image["name"] for image in index["images"]]
        if len(names) != spec.count:
            hint = "give the folder or archive that holds its HR images, each once"
            raise IntegrityError(f"data set '{name}' has {spec.count} images, not {len(names)}", hint)
        if twice := {one for one in names if names.count(one) > 1}:
            raise IntegrityError(f"data set '{name}' has two images named '{min(twice)}'")
        if spec.builtin and index["pixels"] != spec.pixels:
            raise IntegrityError(
                f"scikit-image's photographs are not those of '{name}'", "install scikit-image 0.22 or newer"
            )
    digest: str = index["pixels"]
    return digest


def choose(name: str, paths: Iterable[str]) -> list[str]:
    """Return those of a folder's or archive's images that belong to a data set, in any resolution."""
    spec, found = find(name), list(paths)
    if spec.pattern is None:
        return found
    fitting = [path for path in found if re.search(spec.pattern, path, re.IGNORECASE)]
    return fitting or ([] if spec.strict else found)


def _write_pack(
    folder: Path, images: Iterable[tuple[str, Image]], *, in_order: bool = False, pixels: str = ""
) -> dict[str, Any]:
    """Write images one by one, so that memory holds one at a time, and an index of where they are."""
    entries: list[dict[str, Any]] = []
    with (folder / "images.u8").open("wb") as file:
        for name, image in images:
            height, width, _ = image.shape
            digest = hashlib.sha256(f"{height}x{width}:".encode() + image.tobytes()).hexdigest()
            entry = {"name": name, "height": height, "width": width, "offset": file.tell(), "sha256": digest}
            entries.append(entry)
            file.write(image.tobytes())
    if not in_order:
        entries.sort(key=lambda entry: (entry["sha256"], entry["name"]))
    pixels = pixels or hashlib.sha256("".join(entry["sha256"] for entry in entries).encode()).hexdigest()
    index = {"pixels": pixels, "images": entries}
    (folder / "index.json").write_text(json.dumps(index))
    return index


def _index(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / "index.json").read_text())
    return index


def _open_pack(folder: Path) -> tuple[dict[str, Any], Image]:
    index = _index(folder)
    size = sum(image["height"] * image["width"] * 3 for image in index["images"])
    data = folder / "images.u8"
    if not data.is_file() or data.stat().st_size != size:
        raise IntegrityError(f"{data} is not what was written", f"remove {folder} to make it again")
    return index, np.memmap(data, dtype=np.uint8, mode="r")


def _image(entry: dict[str, Any], data: Image) -> Image:
    height, width, offset = entry["height"], entry["width"], entry["offset"]
    return data[offset : offset + height * width * 3].reshape(height, width, 3)


def check_patch(images: ImageSet, patch: int) -> None:
    """Raise an SrkdError if a training patch (LR pixels) doesn't fit into every image."""
    side, name = images.smallest
    if patch > side:
        raise SrkdError(
            f"a patch of {patch} LR pixels is larger than image '{name}' of '{images.name}' ({side} pixels)",
            f"--set train.patch={side}",
        )
