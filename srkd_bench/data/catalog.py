"""The catalog of known data sets: sources, checksums, image counts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from srkd_bench.core.errors import unknown


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


_PHOTOS = "astronaut", "brick", "coins", "grass", "gravel", "moon", "motorcycle_left", "motorcycle_right"
_PIXELS = {  # of the copies that srkd's own numbers were measured on
    "photos": "e634d3c843796ef2ca865ddba74f0a45da0ce9de41b8b1fc070a0543144531cf",
    "photos-valid": "75297da741714429dcd3c702308339b38c2609dfc61e67606f8fffe7076c442a",
    "photos-test": "efa1f3537ab14275c32d7ee15fe4d879395e600d03d518e0c3249c066b86a4db",
    "set5": "a1da64ac69553fa7d6c0bb5789ca11ce5850bbef5c3b2420538b0cb298077bac",
    "set14": "3b53d92e320a123e0a5303fe462318bb2e5fbf5ac24a63d7ef4afa8a77042137",
    "bsd100": "78f27acb9ee04208859addbc4f2ecd6f98ecf1ebf44ebd80f486934b6d34048a",
    "urban100": "81cae0a6b6693ea12596e2217f1a7d8427e36f98a36a26de2ba10999bccfcd97",
    "bsds500": "d7b5f186a32a959c7de6ca390871a47ad370b3e75e9049f483de725cbbcc023c",
}
_SUMS = {  # of archives, as far as they are known
    "DIV2K_train_HR": "sha256:9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
    "DIV2K_valid_HR": "sha256:20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
    "Set5": "sha256:260fc447296333f6c2716bcd65513968c33b666f21a905537ee3330c51a1945b",
    "BSD100": "sha256:333495ccded04a0db52b33361140821ea7e0d8af8dfb54b58df79a00010858d6",
    "Urban100": "md5:65d9d84a34b72c6f7ca1e26a12df1e4c",
}
_BSDS500 = Source(
    ("https://github.com/BIDS/BSDS500/archive/refs/heads/master.zip",), "md5:7bfe17302a219367694200a61ce8256c"
)
_BENCHMARK = Source(
    ("https://cv.snu.ac.kr/research/EDSR/benchmark.tar",),
    "sha256:80c21c333bbf6ceb5308b7243761f8284478274413a97b96f1d63e9045fd93e8",
    250112000,
)


def _benchmark(mirror: str, count: int, folder: str) -> DatasetSpec:
    """Return a test set of the field: EDSR's archive holds all four, a mirror has each by itself."""
    address = f"https://huggingface.co/datasets/eugenesiow/{mirror}/resolve/main/data/{mirror}_HR.tar.gz"
    pattern, sources = rf"(^|/){folder}(_hr)?/", (Source((address,), _SUMS.get(mirror)), _BENCHMARK)
    return DatasetSpec("test", count, _PIXELS[mirror.lower()], pattern, sources=sources)


def _photos(name: str, role: str, *files: str) -> DatasetSpec:
    builtin = tuple(f"{file}.png" for file in files)
    return DatasetSpec(role, len(builtin), _PIXELS[name], builtin=builtin)


def _div2k(role: str, count: int, pattern: str, file: str, size: int) -> DatasetSpec:
    source = Source((f"https://data.vision.ee.ethz.ch/cvl/DIV2K/{file}.zip",), _SUMS[file], size)
    return DatasetSpec(role, count, None, rf"(^|/)0{pattern}\.\w+$", strict=True, sources=(source,))


DATASETS: dict[str, DatasetSpec] = {
    "photos": _photos("photos", "train", *_PHOTOS),
    "photos-valid": _photos("photos-valid", "validation", "clock_motion", "ihc"),
    "photos-test": _photos("photos-test", "test", "camera", "chelsea", "coffee"),
    "set5": _benchmark("Set5", 5, "set5"),
    "set14": _benchmark("Set14", 14, "set14"),
    "bsd100": _benchmark("BSD100", 100, "b(sd)?100"),
    "urban100": _benchmark("Urban100", 100, "urban100"),
    # Its val images are BSD100's, and Set5's woman is a small copy of train/302003.
    "bsds500": DatasetSpec(
        "train",
        399,
        _PIXELS["bsds500"],
        r"(^|/)(train|test)/(?!302003\.)\d+\.",
        strict=True,
        sources=(_BSDS500,),
    ),
    "div2k": _div2k("train", 800, r"(?!000)([0-7]\d\d|800)", "DIV2K_train_HR", 3530603713),
    "div2k-valid": _div2k("validation", 100, r"(80[1-9]|8[1-9]\d|900)", "DIV2K_valid_HR", 448993893),
}


def find(name: str) -> DatasetSpec:
    """Return a data set's entry in the table.

    Raises:
        SrkdError: no such data set.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]


def choose(name: str, paths: Iterable[str]) -> list[str]:
    """Return those of a folder's or archive's images that belong to a data set, in any resolution."""
    spec, found = find(name), list(paths)
    if spec.pattern is None:
        return found
    fitting = [path for path in found if re.search(spec.pattern, path, re.IGNORECASE)]
    return fitting or ([] if spec.strict else found)
