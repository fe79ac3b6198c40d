"""A step of HKD with teacher labels against one without distillation; what labels cost against teacher passes."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.lockstep import CPU, learner_of
from benchmarks.measure import Row, by_turns, ratio
from srkd_bench.config.artifacts import Labels
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.data.catalog import DATASETS, DatasetSpec
from srkd_bench.data.image_set import ImageSet, open_set
from srkd_bench.data.labels import LabelDraft, LabelReader
from srkd_bench.data.packs import pack
from srkd_bench.data.patches import Patches
from srkd_bench.evaluation.inference.tiling import Tiled
from srkd_bench.experiments.runs.labels import labels_of
from srkd_bench.methods import registry
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.training.schedule import event_every
from srkd_bench.training.teacher import TeacherPass

KEY = Labels(teacher="noise", pixels="noise", scale=2, precision="fp32", ensemble=False)


def stored(store: ArtifactStore, images: ImageSet, label: Callable[[int], object]) -> LabelReader:
    """Put the labels of all images into the store."""
    draft = LabelDraft(store.work(KEY), images)
    for i in range(len(images)):
        draft.write(i, label(i))  # type: ignore[arg-type]  # levels
    with store.writing(KEY) as folder:
        draft.finish(folder)
    return LabelReader(store, KEY, images)


def trainings(
    network: EDSR, student: ModelSpec, train: TrainSpec, count: int, plain: Patches, labelled: Patches
) -> dict[str, Callable[[], None]]:
    """Return what trains `count` steps: without distillation, and HKD with labels and with the teacher's passes."""
    forward = TeacherPass(network, [registry.build("hkd", {})], train, CPU)

    def steps(method: str, patches: Patches) -> None:
        learner = learner_of(method, student, train, network, plain.batch(0)[0])
        for step in range(count):
            lr, hr, *labels = patches.batch(step)
            view = TeacherView(forward, lr, labels[0] if labels else None)
            learner.advance(lr, hr, view, {} if step % event_every(train) == 0 else None)

    return {
        "none": lambda: steps("none", plain),
        "labels": lambda: steps("hkd", labelled),
        "live": lambda: steps("hkd", plain),
    }


def rows(quick: bool) -> list[Row]:
    count, rounds = (3, 1) if quick else (200, 7)
    sizes = [ModelSpec(n_feats=6, n_resblocks=4)] * 2
    sizes = sizes if quick else [ModelSpec(n_feats=64, n_resblocks=16), ModelSpec(n_feats=16, n_resblocks=8)]
    train = TrainSpec(batch=8, patch=12, steps=10_000, learning_rate=1e-4)
    network = build(sizes[0], 0).requires_grad_(False).eval()
    DATASETS["noise"] = DatasetSpec("train", 4)
    random = np.random.default_rng(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        store = ArtifactStore(Path(folder))
        shape = (64, 96, 3) if quick else (320, 480, 3)
        pack(store, "noise", ((str(i), random.integers(0, 256, shape, np.uint8)) for i in range(4)))
        images = open_set(store, "noise", 2)
        upscale = Tiled(network, {})

        def label(i: int) -> object:
            return labels_of(images.lr(i), images.names[i], upscale, train, CPU)

        plain, labelled = (
            Patches(images, train, 0),
            Patches(images, train, 0, labels=stored(store, images, label)),
        )
        lr = plain.batch(0)[0]
        forward = TeacherPass(network, [], train, CPU)
        times = by_turns(rounds, **trainings(network, sizes[1], train, count, plain, labelled))
        passes = by_turns(rounds, image=lambda: label(0), step=lambda: [forward(lr) for _ in range(10)])
    torch.set_num_threads(threads)
    steps = images.lr(0)[..., 0].size / (train.batch * train.patch**2)
    return [
        Row(
            "2. step of HKD with labels / step without distillation, bsds's sizes, one thread",
            ratio(times["labels"], times["none"]),
            "x",
            1.10,
            before=ratio(times["live"], times["none"]),
            note="before: with the teacher's passes",
        ),
        Row(
            "2. labels of an image / the teacher's passes over as many patch pixels, bsds's sizes, one thread",
            ratio(passes["image"], passes["step"]) * 10 / steps,
            "x",
        ),
    ]
