"""The catalog of known data sets: copies, sources, checksums, image counts."""

import re
from collections.abc import Collection, Iterable
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
    """A data set that srkd knows, or one of its copies: `bsd100@edsr` has other pixels than `bsd100`.

    Args:
        role: use in studies: `train`, `validation` or `test`; `own` for images that a user registered.
        count: number of images.
        pixels: digest of its decoded pixels, if known; a copy that differs is reported.
        contains: prefixes of some images' digests, which identify a copy whose `pixels` are not known.
        pattern: regular expression for its images' paths in a folder or archive that holds other images too.
        strict: exclude images that do not match the pattern.
        sources: download sources in order of preference.
        builtin: files of scikit-image's wheel, instead of sources.
    """

    role: str
    count: int
    pixels: str | None = None
    contains: tuple[str, ...] = ()
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
    """Return a standard test set, in the copy of SelfExSR's repository."""
    address = f"https://huggingface.co/datasets/eugenesiow/{mirror}/resolve/main/data/{mirror}_HR.tar.gz"
    # Set5 has the same pixels everywhere; the archive's other sets are copies of their own.
    sources = (Source((address,), checksum), *([_BENCHMARK] if folder == "set5" else []))
    return DatasetSpec("test", count, pixels, pattern=_named(folder), sources=sources)


def _edsr(count: int, folder: str, pixels: str | None = None, contains: tuple[str, ...] = ()) -> DatasetSpec:
    """Return a standard test set, in the copy of EDSR's benchmark archive, which most papers use."""
    return DatasetSpec("test", count, pixels, contains, _named(folder), sources=(_BENCHMARK,))


def _named(folder: str) -> str:
    return rf"(^|/){folder}(_hr)?/"


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
    "photos-valid": DatasetSpec(
        "validation",
        2,
        pixels="75297da741714429dcd3c702308339b38c2609dfc61e67606f8fffe7076c442a",
        builtin=("clock_motion.png", "ihc.png"),
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
    "set14@edsr": _edsr(14, "set14", "5fb06b6db53931d4fe448c63853323247a6b005f8d85fbe81c66a27bd79fab49"),
    "bsd100@edsr": _edsr(
        100, "b(sd)?100", "90dae1eeb6aea786aedcb5a524189ede996f08df666d934eb5d952f72d3c7436"
    ),
    "urban100@edsr": _edsr(
        100,
        "urban100",
        contains=(  # img_001 to img_008
            "18eb35bf5de704ac",
            "37016ae132cca60e",
            "1a4959bee5d729b0",
            "6dd9a660a85837ee",
            "99ebc66c63ecf58b",
            "db579513e21892f8",
            "ae37a3c5ec231761",
            "bb0d2ef403bc7de3",
        ),
    ),
    # These three must be imported: their owners require a registration, or offer no archive.
    "manga109": DatasetSpec("test", 109, pattern=_named("manga109")),
    "kodak24": DatasetSpec("test", 24, pattern=_named("kodak(24)?")),
    "mcmaster": DatasetSpec("test", 18, pattern=_named("mcm(aster)?")),
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
    "flickr2k": DatasetSpec(
        "train",
        2650,
        pattern=_named("flickr2k"),
        sources=(Source(("https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar",), None),),
    ),
    "df2k": DatasetSpec("train", 3450),  # the images of div2k and flickr2k in one folder: imported
}
_NAME = re.compile(r"(?!.*_x[234]$)[a-z0-9][a-z0-9._-]{0,63}(@[a-z0-9]{1,16})?")  # of a folder in the store
COPY_DIGITS = 6


def find(name: str) -> DatasetSpec:
    """Return a data set's entry in the table.

    Raises:
        SrkdError: no such data set.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]


def is_name(name: str) -> bool:
    """Return whether a data set can have this name, which is also a folder's name in the store."""
    return _NAME.fullmatch(name) is not None


def is_path(name: str) -> bool:
    """Return whether the name of a data set is the path of a folder: `./mine`, `~/mine`, `data/mine`."""
    return name.startswith((".", "~")) or "/" in name or "\\" in name


def base(name: str) -> str:
    """Return the data set that a copy belongs to: `bsd100` for `bsd100@edsr`."""
    return name.partition("@")[0]


def identify(pixels: str, images: Collection[str]) -> str | None:
    """Return the known data set that has these pixels, or None.

    Args:
        images: digests of the images.
    """
    for name, spec in DATASETS.items():
        starts = {digest[: len(spec.contains[0])] for digest in images} if spec.contains else set()
        if spec.pixels == pixels or (
            starts.issuperset(spec.contains) and starts and len(images) == spec.count
        ):
            return name
    return None


def copy_name(name: str, pixels: str | None) -> str:
    """Return a data set's name with its measured copy, as tables show it.

    An unknown copy is marked by a prefix of its pixels' digest: `bsd100@3f2a1b`.
    """
    known = DATASETS.get(name)
    if pixels is None or (known is not None and known.pixels in (None, pixels)):
        return name
    found = identify(pixels, ())
    return found or (name if known is None else f"{base(name)}@{pixels[:COPY_DIGITS]}")


def choose(name: str, paths: Iterable[str]) -> list[str]:
    """Return the images of a folder or archive that belong to a data set, at any resolution."""
    spec, found = DATASETS.get(name), list(paths)
    if spec is None or spec.pattern is None:
        return found
    fitting = [path for path in found if re.search(spec.pattern, path, re.IGNORECASE)]
    return fitting or ([] if spec.strict else found)
