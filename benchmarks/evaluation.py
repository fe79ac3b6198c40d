"""What evaluation adds to the network's own time, and the metrics' time beside scikit-image's."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from skimage.metrics import structural_similarity

from benchmarks.measure import Row, by_turns, ratio
from benchmarks.patches import smooth
from srkd_bench.config.network import ModelSpec
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import open_set
from srkd_bench.data.images import luma
from srkd_bench.data.packs import pack
from srkd_bench.evaluation.metrics import measure
from srkd_bench.evaluation.scoring import network, score
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore


def rows(quick: bool) -> list[Row]:
    rounds = 1 if quick else 5
    model = build(ModelSpec(n_feats=4, n_resblocks=4) if quick else ModelSpec(n_feats=64, n_resblocks=16), 0)
    count, height, width = (2, 48, 40) if quick else (3, 446, 492)  # Set14's mean size
    DATASETS["smooth"] = DatasetSpec("test", count)
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        pack(store, "smooth", ((str(i), np.roll(smooth(height, width), i, 0)) for i in range(count)))
        images = open_set(store, "smooth", 2)
        batches = [
            torch.from_numpy(np.array(images.lr(i))).permute(2, 0, 1)[None] / 255 for i in range(count)
        ]

        @torch.inference_mode()
        def forward() -> None:
            for lr in batches:
                model(lr)

        times = by_turns(
            rounds, whole=lambda: score(network(model, device=torch.device("cpu")), images), forward=forward
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
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
    return [
        Row(
            "6. evaluating / the 64×16 network's own time, Set14's mean size",
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
