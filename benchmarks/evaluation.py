"""What evaluation adds to a network's own time and a second thread gains, and the metrics beside scikit-image's."""

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from skimage.metrics import structural_similarity

from benchmarks.measure import Row, by_turns, ratio
from benchmarks.patches import smooth
from srkd_bench.config.network import ModelSpec
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.images import luma
from srkd_bench.data.packs import pack
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scoring import CPU, network, score
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore


@contextmanager
def smooth_set(count: int, height: int, width: int) -> Iterator[ImageSet]:
    """Create a data set of smooth images of one size."""
    DATASETS["smooth"] = DatasetSpec("test", count)
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        pack(store, "smooth", ((str(i), np.roll(smooth(height, width), i, 0)) for i in range(count)))
        yield open_set(store, "smooth", 2)


def two_threads(name: str, model: Architecture, count: int, rounds: int) -> Row:
    """Measure images of BSD100's size with one thread and with two; before, both threads worked on each image."""
    before, found = torch.get_num_threads(), []

    def scores(images: ImageSet, threads: int, at_once: int) -> None:
        torch.set_num_threads(threads)
        found.append(score(network(model, device=CPU), images, concurrent=at_once))

    with smooth_set(count, 320, 480) as images:
        work = partial(scores, images)
        times = by_turns(rounds, one=partial(work, 1, 1), two=partial(work, 2, 2), within=partial(work, 2, 1))
    torch.set_num_threads(before)
    if any(one != found[0] for one in found):
        raise RuntimeError("scores depend on the number of threads")
    one, two = min(times["one"]), min(times["two"])
    median = statistics.median(x / y for x, y in zip(times["one"], times["two"], strict=True))
    return Row(
        f"6. measuring a {name} network: time of one thread / of two",
        one / two,
        "x",
        1.8,
        more=True,
        before=one / min(times["within"]),
        note=f"fastest of {rounds}: {one:.2f} s and {two:.2f} s; median ratio {median:.2f};"
        " before: two threads in each image",
    )


def rows(quick: bool) -> list[Row]:
    rounds = 1 if quick else 5
    model = build(ModelSpec(n_feats=4, n_resblocks=4) if quick else ModelSpec(n_feats=64, n_resblocks=16), 0)
    count, height, width = (2, 48, 40) if quick else (3, 446, 492)  # Set14's mean size
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with smooth_set(count, height, width) as images:
        batches = [
            torch.from_numpy(np.array(images.lr(i))).permute(2, 0, 1)[None] / 255 for i in range(count)
        ]

        @torch.inference_mode()
        def forward() -> None:
            for lr in batches:
                model(lr)

        times = by_turns(
            rounds,
            whole=lambda: score(network(model, device=CPU), images),
            forward=forward,
        )
    hr = smooth(64, 64) if quick else smooth(644, 1024)
    sr = np.clip(hr.astype(int) + 3, 0, 255).astype(np.uint8)

    def ours() -> None:
        measure(sr, hr, scale=2, metrics=["psnr_y", "ssim_y"])

    def theirs() -> None:
        a, b = luma(sr), luma(hr)
        structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )

    metrics = by_turns(rounds, ours=ours, theirs=theirs)
    torch.set_num_threads(threads)
    student = model if quick else build(ModelSpec(n_feats=16, n_resblocks=8), 0)
    return [
        two_threads("16×8", student, 2 if quick else 16, rounds),
        two_threads("64×16", model, 2 if quick else 4, rounds),
        Row(
            "6. evaluating / the 64×16 network's own time, Set14's mean size, one thread",
            ratio(times["whole"], times["forward"]),
            "x",
            1.10,
        ),
        Row(
            "6. PSNR-Y and SSIM-Y of 1024×644, one core",
            1000 * min(metrics["ours"]),
            "ms",
            60,
            peer=1000 * min(metrics["theirs"]),
            note="other way: scikit-image's SSIM alone",
        ),
    ]
