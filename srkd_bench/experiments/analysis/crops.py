"""Choose and render the image regions in which methods differ most."""

import re
from collections.abc import Iterable, Sequence
from statistics import pstdev

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.core.errors import MissingError, SrkdError, unknown
from srkd_bench.data.catalog import DATASETS
from srkd_bench.data.folders import resolve
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.images import luma
from srkd_bench.data.packs import Image, packed_as
from srkd_bench.evaluation.metrics import psnr
from srkd_bench.evaluation.regions import Crop, Panel, View
from srkd_bench.evaluation.scoring import Upscaler, bicubic, network
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.runs.score import measured
from srkd_bench.networks.stored import load
from srkd_bench.store.workspace import Workplace

SIDE = 64  # side of an automatically chosen region, in HR pixels
THUMBNAIL = 480  # pixels of a whole image's longer side


class Gallery:
    """SR images of a plan's finished networks, each computed on first use.

    Whole images are super-resolved rather than padded regions, so that regions equal the scored pixels bit for bit.

    Args:
        students: runs of the plan, all of one seed; those of its first seed by default.

    Attributes:
        models: `bicubic`, `teacher` and methods that are finished, in the report's order.
        seed: of the students, which are those of the suite's first teacher.
        left_out: descriptions of what is not finished.
    """

    def __init__(self, plan: Plan, place: Workplace, students: Sequence[Run] = ()) -> None:
        self.seed = students[0].seed if students else plan.suite.seeds[0]
        chosen = students or [run for run in plan.students if run.seed == self.seed]
        learnt_from = (run.teacher for run in chosen if run.teacher not in (None, plan.fusion))
        teacher = next(learnt_from, None) or plan.teacher
        chosen = [run for run in chosen if run.teacher in (None, teacher, plan.fusion)]
        wanted: dict[str, Run | Weights] = {
            "teacher": teacher,
            **{plan.column(run): run for run in chosen},
        }
        self._keys = {model: key for model, key in wanted.items() if place.store.has(key)}
        self.models = ["bicubic", *self._keys]
        self.left_out = [f"{model}: not finished" for model in wanted if model not in self._keys]
        self._plan, self._place = plan, place
        self._sets: dict[str, ImageSet] = {}
        self._upscalers: dict[str, Upscaler] = {"bicubic": bicubic(plan.suite.data.scale)}
        self._sr: dict[tuple[str, str, str], Image] = {}

    @property
    def datasets(self) -> list[str]:
        """The suite's test sets."""
        return list(self._plan.suite.data.test)

    @property
    def methods(self) -> list[str]:
        """The finished students' methods."""
        return [model for model in self.models if model not in ("bicubic", "teacher")]

    def has(self, dataset: str) -> bool:
        """Return whether a data set is available locally."""
        return packed_as(self._place.store, dataset) is not None

    def images(self, dataset: str) -> ImageSet:
        """Return a data set, of the suite or another.

        Raises:
            SrkdError: there is no such set. MissingError: it must be downloaded first.
        """
        if dataset not in self._sets:
            name = resolve(self._place.store, dataset, self._place.display)
            self._sets[dataset] = open_set(self._place.store, name, self._plan.suite.data.scale)
        return self._sets[dataset]

    def sr(self, model: str, dataset: str, image: str) -> Image:
        """Return the whole SR (H, W, 3) uint8 of an image by one of `models`."""
        key = model, dataset, image
        if key not in self._sr:
            if model not in self._upscalers:
                self._upscalers[model] = network(
                    load(self._keys[model], self._place.store),
                    device=self._place.device,
                    self_ensemble=self._plan.suite.evaluate.self_ensemble,
                )
            images = self.images(dataset)
            self._sr[key] = self._upscalers[model](image, images.lr(images.names.index(image)))
        return self._sr[key]

    def scores(self, model: str, dataset: str) -> dict[str, float]:
        """Return a finished network's PSNR-Y by image, from the store or measured now."""
        ensemble = self._plan.suite.evaluate.self_ensemble
        found = measured(
            self._keys[model], self.images(dataset), self._place, title=model, self_ensemble=ensemble
        )
        return {image: values["psnr_y"] for image, values in found.items()}


def parse(text: str, gallery: Gallery) -> Crop:
    """Parse a region: `IMAGE:X,Y,W,H` or `DATASET/IMAGE:X,Y,W,H`, in HR pixels.

    Without a data set, the image is one of the suite's test sets.

    Raises:
        SrkdError: wrong syntax, no image or several of this name, or the region is not aligned to LR pixels or
            not inside the image.
    """
    found = re.fullmatch(r"(.+):(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})", text)
    if not found:
        raise SrkdError(
            f"'{text}' is not a valid region", "IMAGE:X,Y,W,H in HR pixels, such as baby:96,64,64,64"
        )
    dataset, image = _image(found[1], gallery)
    images = gallery.images(dataset)
    height, width, _ = images.hr(images.names.index(image)).shape
    x, y, w, h = (int(number) for number in found.groups()[1:])
    scale, name = images.scale, found[1]
    if not (w and h and x + w <= width and y + h <= height):
        raise SrkdError(f"the region {text} is not within '{image}', which is {width}×{height} pixels")
    if any(number % scale for number in (x, y, w, h)):
        near = [x - x % scale, y - y % scale, *(max(scale, side - side % scale) for side in (w, h))]
        hint = f"--crop {name}:{','.join(map(str, near))}"
        raise SrkdError(
            f"the region {text} does not lie on LR pixels, which are {scale} HR pixels wide", hint
        )
    return Crop(dataset, image, x, y, w, h)


def _image(name: str, gallery: Gallery) -> tuple[str, str]:
    before, _, after = name.partition("/")
    if after and (before in DATASETS or gallery.has(before)):
        if after not in gallery.images(before).names:
            raise unknown(f"image of {before}", after, gallery.images(before).names)
        return before, after
    holders = [dataset for dataset in gallery.datasets if name in gallery.images(dataset).names]
    if not holders:
        raise unknown("image", name, {one for each in gallery.datasets for one in gallery.images(each).names})
    if len(holders) > 1:
        raise SrkdError(f"'{name}' is an image of {' and of '.join(holders)}", f"{holders[0]}/{name}:…")
    return holders[0], name


def choose(gallery: Gallery, dataset: str, count: int) -> list[Crop]:
    """Return the regions where the methods differ most, one from each of the images whose PSNR-Y differs most.

    If there are more regions than images, images get further regions that do not overlap. With fewer than two
    finished methods, all models are compared.

    Raises:
        SrkdError: there is no such set. MissingError: it must be downloaded first, or no network is finished.
    """
    images = gallery.images(dataset)
    networks = gallery.methods if len(gallery.methods) > 1 else gallery.models[1:]
    if not networks:
        raise MissingError(
            "no network of this suite is finished yet",
            "`srkd run` trains them; --crop shows a region of HR and bicubic alone",
        )
    scores = [gallery.scores(model, dataset) for model in networks]
    names = sorted(images.names, key=lambda name: (-_spread(one[name] for one in scores), name))
    models = networks if len(networks) > 1 else gallery.models
    crops: list[Crop] = []
    for k in range(count):
        name = names[k % len(names)]
        lumas = [luma(gallery.sr(model, dataset, name)) for model in models]
        taken = [crop for crop in crops if crop.image == name]
        found = busiest(np.var(lumas, axis=0), images.scale, taken)
        crops += [Crop(dataset, name, *found)] if found else []
    return crops


def _spread(values: Iterable[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return pstdev(finite) if finite else 0.0


def busiest(
    spread: NDArray[np.float64], scale: int, taken: Sequence[Crop] = ()
) -> tuple[int, int, int, int] | None:
    """Return x, y, width and height of the square with the largest sum of (H, W), or None if there is no room.

    It is aligned to LR pixels, `SIDE` wide or half of a small image's shorter side, and overlaps no earlier region.
    """
    side = min(SIDE, min(spread.shape) // 2)
    side = max(scale, side - side % scale)
    sums = np.pad(spread.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    for crop in taken:
        sums[
            max(0, crop.y - side + 1) : crop.y + crop.height, max(0, crop.x - side + 1) : crop.x + crop.width
        ] = -np.inf
    sums = sums[::scale, ::scale]
    y, x = np.unravel_index(np.argmax(sums), sums.shape)
    return None if np.isneginf(sums[y, x]) else (scale * int(x), scale * int(y), side, side)


def panels(gallery: Gallery, crops: Iterable[Crop]) -> list[Panel]:
    """Return the regions in HR, LR and as rendered by all models of the gallery."""
    return [_panel(gallery, crop) for crop in crops]


def _panel(gallery: Gallery, crop: Crop) -> Panel:
    images = gallery.images(crop.dataset)
    i = images.names.index(crop.image)
    hr = images.hr(i)
    region = np.s_[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    views = [View("hr", hr[region].copy(), None), View("lr", _lr(images, i, crop).copy(), None)]
    for model in gallery.models:
        sr = gallery.sr(model, crop.dataset, crop.image)[region].copy()
        views.append(View(model, sr, psnr(luma(sr), luma(hr[region]), border=0)))
    height, width, _ = hr.shape
    return Panel(crop, gallery.seed, views, _thumbnail(hr), (width, height))


def _lr(images: ImageSet, i: int, crop: Crop) -> Image:
    s = images.scale
    return images.lr(i)[crop.y // s : (crop.y + crop.height) // s, crop.x // s : (crop.x + crop.width) // s]


def _thumbnail(hr: Image) -> Image:
    small = Pillow.fromarray(hr)
    small.thumbnail((THUMBNAIL, THUMBNAIL), Pillow.Resampling.LANCZOS)
    return np.array(small)
