"""Pair the SR images of a folder with the images of a data set, by name or else by content."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.data.archives import LR_WORD
from srkd_bench.data.catalog import DATASETS, base
from srkd_bench.data.image_set import ImageSet
from srkd_bench.data.images import FORMATS, find_images, read_rgb, upscale

STEP = 4  # every fourth row and column is compared
FARTHEST = 650.0  # mean squared difference from bicubic (20 dB) above which an image has other content
CLEARER = 2.0  # required ratio of the second difference to the first, in ascending order
_ROLES = {"sr": r"sr", "hr": r"hr|gt|groundtruth", "lr": LR_WORD}


@dataclass
class Pairing:
    """The SR file of each image.

    Args:
        files: by the image's name.
        by_content: names of the images whose file was found by its content.
    """

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    by_content: list[str] = field(default_factory=list)

    def upscale(self, name: str, lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the SR of an image, as an `Upscaler` does."""
        return read_rgb(self.files[name], _shown(self.files[name], self.folder))

    @property
    def lines(self) -> list[str]:
        """Describe the pairs whose names differ."""
        return [
            f"{name}: {_shown(file, self.folder)}{', by content' * (name in self.by_content)}"
            for name, file in sorted(self.files.items())
            if file.stem != name
        ]

    @property
    def notes(self) -> list[str]:
        """Notes on the files for readers of the scores."""
        lossy = sum(file.suffix.lower() in FORMATS["JPEG"] for file in self.files.values())
        found = [f"{lossy} SR images are JPEG files, whose compression changes the scores"] if lossy else []
        if self.by_content:
            found.append(f"{len(self.by_content)} SR images were paired by content, not by name")
        return found


def folder_of(path: Path, dataset: str) -> Path:
    """Return the folder inside `path` that is named after a data set, or `path` itself.

    Raises:
        MissingError: no such folder. SrkdError: several folders are named after the set.
    """
    if not path.is_dir():
        raise MissingError(f"no folder '{path}'", "--sr-dir takes a folder of SR images")
    spec = DATASETS.get(base(dataset))
    pattern = rf"({spec.pattern})|" if spec and spec.pattern else ""
    named = rf"{pattern}^({re.escape(dataset)}|{re.escape(base(dataset))})/$"
    inside = [
        one for one in path.iterdir() if one.is_dir() and re.search(named, f"{one.name}/", re.IGNORECASE)
    ]
    inside = [one for one in inside if one.name == dataset] or inside
    if len(inside) > 1:
        listed = " and ".join(f"'{one.name}'" for one in sorted(inside))
        raise SrkdError(
            f"'{path}' has several folders for '{dataset}': {listed}", "give --sr-dir one of them"
        )
    return inside[0] if inside else path


def pair(path: Path, images: ImageSet) -> Pairing:
    """Pair the SR images of a folder with the images of a data set.

    A file name must contain the image's name, in any case, between other words: `baby.png`, `RCAN_baby_x2.png`.
    Files named as LR are excluded. Without such a name, the file of the right size that is closest to bicubic is
    taken.

    Raises:
        MissingError: an image has no SR. SrkdError: several files match.
    """
    files = [file for file in find_images(path, nested=True) if _role(file, path) != "lr"]
    if not files:
        raise MissingError(f"no SR images in '{path}'", f"SR images are {', '.join(FORMATS)} files")
    pairing = Pairing(path)
    for name, candidates in _by_name(files, images.names).items():
        pairing.files[name] = _only(name, candidates, path)
    left = [file for file in files if file not in {*pairing.files.values()} and _role(file, path) != "hr"]
    absent = [name for name in images.names if name not in pairing.files]
    found = _by_content(absent, left, images, path) if absent else {}
    pairing.files |= found
    pairing.by_content = sorted(found)
    return pairing


def _by_name(files: Iterable[Path], names: Iterable[str]) -> dict[str, list[Path]]:
    """Return the files of each image whose names contain the image's name and no longer name of another image."""
    words = {name: _words(name) for name in names}
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        own = f"/{'/'.join(_words(file.stem))}/"
        fitting = [name for name, one in words.items() if one and f"/{'/'.join(one)}/" in own]
        longest = max((len("".join(words[name])) for name in fitting), default=0)
        fitting = [name for name in fitting if len("".join(words[name])) == longest]
        exact = [file.stem] if file.stem in words else fitting
        if len(exact) == 1:
            found[exact[0]].append(file)
    return found


def _words(stem: str) -> list[str]:
    """Split a name into lower-case words; a scale suffix is a separate word."""
    words = re.findall(r"[^\W_]+", stem.casefold())
    return [part for word in words for part in re.sub(r"(?<=.)(x[2348])$", r" \1", word).split()]


def _role(file: Path, path: Path) -> str:
    """Return `sr`, `hr` or `lr` by the innermost file or folder name that indicates it; empty if none does."""
    for part in reversed(file.relative_to(path).with_suffix("").parts):
        words = re.findall(r"[^\W_]+", part.casefold())
        for role, pattern in _ROLES.items():
            if any(re.fullmatch(pattern, word) for word in words):
                return role
    return ""


def _only(name: str, candidates: list[Path], path: Path) -> Path:
    """Return the only file whose name matches an image."""
    roles = [_role(file, path) for file in candidates]
    if "sr" in roles:
        candidates = [file for file, role in zip(candidates, roles, strict=True) if role == "sr"]
    elif "hr" not in roles:
        candidates = [file for file in candidates if file.stem == name] or candidates
    if len(candidates) == 1:
        return candidates[0]
    listed = ", ".join(_shown(file, path) for file in candidates[:4]) + ", …" * (len(candidates) > 4)
    raise SrkdError(
        f"{len(candidates)} SR images for '{name}' in '{path}': {listed}",
        "give a folder that holds each SR image once, without HR images",
    )


def _by_content(names: list[str], files: list[Path], images: ImageSet, path: Path) -> dict[str, Path]:
    """Return the file of each image by content: of the same size, and clearly the closest to bicubic."""
    read = ((file, read_rgb(file, _shown(file, path))) for file in files)  # one at a time in memory
    small = {file: (image.shape, image[::STEP, ::STEP].astype(np.int32)) for file, image in read}
    found: dict[str, Path] = {}
    for name in names:
        bicubic = upscale(images.lr(images.names.index(name)), images.scale)
        near = bicubic[::STEP, ::STEP].astype(np.int32)
        errors = {
            file: float(((image - near) ** 2).mean())
            for file, (shape, image) in small.items()
            if shape == bicubic.shape and file not in found.values()
        }
        nearest = sorted(errors, key=lambda file: errors[file])
        least = [errors[file] for file in nearest[:2]]
        is_clear = len(least) == 1 or (len(least) > 1 and least[1] > CLEARER * least[0])
        if not is_clear or least[0] > FARTHEST:
            raise _absent(name, bicubic.shape, bool(errors) or not files, images, path)
        found[name] = nearest[0]
    return found


def _absent(name: str, shape: tuple[int, ...], sizes_fit: bool, images: ImageSet, path: Path) -> MissingError:
    """Return the error for an image without SR; if no file has its size, the scale may be wrong."""
    size = f"{shape[1]}×{shape[0]} pixels at ×{images.scale}"
    hint = f"name it {name}.png" + (
        "" if sizes_fit else f"; no other image there has its {size}: is --scale right?"
    )
    return MissingError(f"no SR image for '{name}' in '{path}'", hint)


def _shown(file: Path, path: Path) -> str:
    return file.relative_to(path).as_posix()
