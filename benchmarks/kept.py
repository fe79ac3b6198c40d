"""A method that is added to a finished suite, with the teacher's SR kept, against its student's own steps."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.lockstep import CPU, learner_of
from benchmarks.measure import Row, by_turns, ratio
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import open_set
from srkd_bench.data.packs import pack
from srkd_bench.data.patches import Patches
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.loop import fit
from srkd_bench.training.schedule import share_every
from srkd_bench.training.teacher_cache import TeacherCache


def _known(seen: Output, images: torch.Tensor) -> Output:
    return seen


def rows(quick: bool) -> list[Row]:
    count, rounds = (3, 1) if quick else (200, 5)
    teacher, student = ModelSpec(n_feats=32, n_resblocks=8), ModelSpec(n_feats=16, n_resblocks=4)
    train = TrainSpec(batch=8, patch=24, steps=count, learning_rate=1e-4)
    network = build(teacher, 0).requires_grad_(False).eval()
    DATASETS["noise"] = DatasetSpec("train", 4)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        images = ((str(i), random.integers(0, 256, (320, 480, 3), np.uint8)) for i in range(4))
        pack(store, "noise", images)
        patches = Patches(open_set(store, "noise", 2), train, 0)
        lr, _ = patches.batch(0)
        cache = TeacherCache(Path(folder) / "sr", (8, 3, 48, 48))

        def training(with_cache: TeacherCache | None) -> None:
            fit(
                [learner_of("hkd", student, train, network, lr)],
                network,
                patches,
                device=CPU,
                cache=with_cache,
            )

        def own_steps() -> None:
            learner = learner_of("hkd", student, train, network, lr)
            for step in range(count):
                batch, hr = patches.batch(step)
                view = TeacherView(partial(_known, Output(hr, {})), batch)
                # The gradient share is measured as often as the loop does.
                learner.advance(batch, hr, view, {} if step % share_every(train) == 0 else None)

        torch.manual_seed(0)
        training(cache)
        times = by_turns(rounds, kept=lambda: training(cache), own=own_steps, live=lambda: training(None))
        cache.close()
    return [
        Row(
            "2. HKD added later, teacher's SR kept / its own steps, demo's sizes",
            ratio(times["kept"], times["own"]),
            "x",
            1.15,
            peer=ratio(times["live"], times["own"]),
            note="other way: with the teacher's passes",
        ),
    ]
