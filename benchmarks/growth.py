"""How time grows with the number of methods and the size of an image, and patches with the number of images.

`python -m benchmarks.growth FILE.svg` draws it.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.lockstep import CPU, learner_of
from benchmarks.measure import Row, by_turns
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import open_set
from srkd_bench.data.packs import pack
from srkd_bench.data.patches import Patches
from srkd_bench.evaluation.scoring import network
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore

TEACHER, STUDENT = ModelSpec(n_feats=32, n_resblocks=8), ModelSpec(n_feats=16, n_resblocks=4)
TRAIN = TrainSpec(batch=8, patch=24, steps=1000)


def by_methods(counts: list[int], rounds: int) -> dict[int, float]:
    """Return the seconds of a step with a number of HKD students side by side."""
    teacher = build(TEACHER, 0).requires_grad_(False).eval()
    lr, hr = torch.rand(8, 3, 24, 24), torch.rand(8, 3, 48, 48)
    learners = [learner_of("hkd", STUDENT, TRAIN, teacher, lr) for _ in range(max(counts))]

    @torch.no_grad()
    def look(images: torch.Tensor) -> Output:
        output: Output = teacher(images)
        return output

    def step(count: int) -> None:
        view = TeacherView(look, lr)
        for learner in learners[:count]:
            learner.advance(lr, hr, view)

    times = by_turns(rounds, **{str(count): lambda count=count: step(count) for count in counts})
    return {count: min(times[str(count)]) for count in counts}


def by_images(counts: list[int], rounds: int) -> dict[int, float]:
    """Return the seconds of a batch of patches from a number of images of 480×320."""
    random, found = np.random.default_rng(0), {}
    for count in counts:
        DATASETS["noise"] = DatasetSpec("train", count)
        with tempfile.TemporaryDirectory() as folder:
            store = ArtifactStore(Path(folder))
            images = ((str(i), random.integers(0, 256, (320, 480, 3), np.uint8)) for i in range(count))
            pack(store, "noise", images)
            patches = Patches(open_set(store, "noise", 2), TRAIN, 0)
            for step in range(3 * count // 8):
                patches.batch(step)  # each image is checked when it is first looked at
            found[count] = min(by_turns(rounds, some=partial(_some, patches))["some"]) / 50
    return found


def _some(patches: Patches) -> None:
    for step in range(50):
        patches.batch(step)


def by_size(sides: list[int], rounds: int) -> dict[int, float]:
    """Return the seconds that the demo's student takes for a square of LR pixels with such sides."""
    upscale = network(build(STUDENT, 0), device=CPU)
    random = np.random.default_rng(0)
    squares = {side: random.integers(0, 256, (side, side, 3), np.uint8) for side in sides}
    times = by_turns(rounds, **{str(side): lambda lr=lr: upscale("", lr) for side, lr in squares.items()})
    return {side: min(times[str(side)]) for side in sides}


def measured(quick: bool) -> dict[str, dict[int, float]]:
    rounds = 1 if quick else 5
    return {
        "methods": by_methods([1, 2] if quick else [1, 2, 4, 6, 8, 12], rounds),
        "images": by_images([4, 8] if quick else [10, 30, 100, 300, 1000], rounds),
        "side": by_size([16, 32] if quick else [64, 128, 256, 512], rounds),
    }


def rows(quick: bool) -> list[Row]:
    found = measured(quick)
    methods, images, sides = (sorted(found[name].items()) for name in ("methods", "images", "side"))
    each = (methods[-1][1] - methods[0][1]) / (methods[-1][0] - methods[0][0])
    pixels = (sides[-1][0] / sides[0][0]) ** 2
    return [
        Row(
            "8. a step: what each further method adds / the first without the teacher's pass",
            each / methods[0][1],
            "x",
            note=f"{1000 * methods[0][1]:.3g} ms for one, {1000 * methods[-1][1]:.3g} ms for {methods[-1][0]}",
        ),
        Row(
            f"8. a batch out of {images[-1][0]:,} images / out of {images[0][0]}",
            images[-1][1] / images[0][1],
            "x",
        ),
        Row(
            f"8. evaluation: time of {pixels:.0f} times the pixels",
            sides[-1][1] / sides[0][1],
            "x",
            note="linear would be the number of pixels",
        ),
    ]


def draw(path: Path) -> None:
    """Write the three curves as a figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    labels = {"methods": "methods side by side", "images": "training images", "side": "LR pixels"}
    for axes, (name, points) in zip(figure.subplots(1, 3), measured(False).items(), strict=True):
        x = [key**2 if name == "side" else key for key in points]
        axes.plot(x, [1000 * value for value in points.values()], "o-", color="#0072b2")
        axes.set(xlabel=labels[name], ylim=(0, None))
        if name != "methods":
            axes.set_xscale("log")
        if name == "side":
            axes.set(xscale="linear")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set(ylabel="ms", title="a training step")
    figure.axes[1].set(title="a batch of patches")
    figure.axes[2].set(title="super-resolving an image")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
