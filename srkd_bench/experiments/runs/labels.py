"""Compute teacher labels: the teacher's SR of every whole training image."""

import json
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srkd_bench.config.artifacts import Labels, Run, Weights
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import IntegrityError, SrkdError, Stopped
from srkd_bench.core.files import room_for, write
from srkd_bench.core.provenance import provenance
from srkd_bench.core.signals import Interrupted, interruptible
from srkd_bench.data.image_set import ImageSet
from srkd_bench.data.labels import LabelDraft, LabelReader, Levels, label_bytes, to_levels
from srkd_bench.evaluation.inference.tiling import Tiled
from srkd_bench.evaluation.scoring import Image, self_ensemble_of
from srkd_bench.networks.base import convolutions
from srkd_bench.networks.stored import load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD
from srkd_bench.store.locks import PAUSE, alone, held, is_held
from srkd_bench.store.verify import delete
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.precision import autocast


def open_labels(
    key: Labels, teacher: Run | Weights, train: TrainSpec, images: ImageSet, place: Workplace
) -> LabelReader:
    """Open the labels that students are trained with; recompute them if they are corrupted.

    Args:
        train: for the precision.
    Raises:
        MissingError: the store has no such labels. Others: as `ensure_labels`.
    """
    try:
        return LabelReader(place.store, key, images)
    except IntegrityError:
        ensure_labels(key, teacher, train, images, place)
        return LabelReader(place.store, key, images)


def ensure_labels(
    key: Labels, teacher: Run | Weights, train: TrainSpec, images: ImageSet, place: Workplace
) -> None:
    """Compute the labels of a teacher unless the store has intact ones; finished images are not recomputed.

    Processes that call this at the same time share the images.

    Args:
        train: for the precision.
    Raises:
        SrkdError: the images are not those of the key, the disk is full, or the teacher's SR is not finite.
            Finished images are kept.
        Stopped: a signal arrived. Finished images are kept.
    """
    store = place.store
    if images.pixels != key.pixels:
        raise SrkdError(
            f"the images of '{images.name}' have changed in the meantime", "run the same command again"
        )
    lock = partial(store.locked, [key.lock])
    if store.shared:  # it does not share unfinished labels: one process computes all
        with lock():
            _complete(key, teacher, train, images, place, nullcontext)
    else:
        _complete(key, teacher, train, images, place, lock)


def _complete(
    key: Labels,
    teacher: Run | Weights,
    train: TrainSpec,
    images: ImageSet,
    place: Workplace,
    lock: Callable[[], AbstractContextManager[None]],
) -> None:
    """Compute labels together with other processes that do, and publish them; see `ensure_labels`."""
    store = place.store
    with ExitStack() as stack:
        with lock():
            if _are_intact(key, images, place):  # another process was faster
                return
            draft = LabelDraft(store.work(key), images)
            room_for(store.home, label_bytes(images) * (len(images) - len(draft.done)) // len(images))
            first = not any(map(is_held, (store.home / "locks").glob(f"{key.lock}-*")))
            stack.enter_context(held(_lock(key, secrets.token_hex(4), store), remove=True))
        if first:
            resumed = f" ({len(draft.done)} of them are finished)" if draft.done else ""
            place.display.say(f"Computing teacher labels of {len(images)} images{resumed}")
        card = provenance(place.device) | {"dataset": images.name}
        tiled = Tiled(load(teacher, store).to(place.device).eval(), card)
        upscale = partial(self_ensemble_of, tiled) if key.ensemble else tiled

        def label(i: int) -> Levels:
            return labels_of(images.lr(i), images.names[i], upscale, train, place.device)

        while not store.has(key):
            _compute(draft, key, len(images), label, place)
            with lock():
                if not store.has(key) and draft.verify():
                    with store.writing(key) as folder:
                        draft.finish(folder)
                        write(folder / CARD, json.dumps(card, indent=1))


def _compute(
    draft: LabelDraft, key: Labels, count: int, label: Callable[[int], Levels], place: Workplace
) -> None:
    """Compute the labels of all images that no other process computes, and wait for those of the others.

    Args:
        count: number of images.
        label: returns the labels of an image by its number.
    Raises:
        Stopped: a signal arrived.
    """
    store = place.store
    try:
        with interruptible(), place.display.bar("Computing teacher labels", "images") as tick:
            while len(draft.done) < count and not store.has(key):
                for i in sorted({*range(count)} - {*draft.done}):
                    with alone(_lock(key, i, store)) as mine:
                        draft.refresh()
                        if mine and i not in draft.done and not store.has(key):
                            draft.write(i, label(i))
                    tick(len(draft.done), count)
                if len(draft.done) < count:
                    time.sleep(PAUSE)
                    draft.refresh()
    except Interrupted as signal:
        kept = f"{len(draft.done)} of {count} images"
        raise Stopped(f"Interrupted; teacher labels of {kept} are kept", signal.exit_code) from None


def _lock(key: Labels, owner: int | str, store: ArtifactStore) -> Path:
    """Return the lock of an image, or of a process, while the labels are computed."""
    return store.home / "locks" / f"{key.lock}-{owner}"


def _are_intact(key: Labels, images: ImageSet, place: Workplace) -> bool:
    """Return whether the store has intact labels; corrupted ones are removed."""
    if not place.store.has(key):
        return False
    try:
        LabelReader(place.store, key, images)
    except IntegrityError as error:
        place.display.say(f"{error.message}: recomputing the teacher labels")
        delete(place.store, place.store.path(key))
        return place.store.has(key)  # in the shared store
    return True


@torch.inference_mode()
def labels_of(
    lr: Image, name: str, upscale: Callable[[Tensor], Tensor], train: TrainSpec, device: torch.device
) -> Levels:
    """Return the labels of an image, levels (scale*h, scale*w, 3).

    Args:
        lr: (h, w, 3), uint8.
        upscale: maps LR (1, 3, h, w) in [0, 1] to the teacher's SR.
        train: for the precision.
    Raises:
        SrkdError: the teacher's SR is not finite.
    """
    x = torch.from_numpy(np.array(lr)).to(device).permute(2, 0, 1)[None] / 255
    with convolutions(tf32=train.precision == "tf32"), autocast(train, device):
        levels = to_levels(upscale(x)[0]).permute(1, 2, 0).cpu()
    if not levels.isfinite().all():
        raise SrkdError(
            f"the teacher's SR of training image '{name}' is not finite",
            "try train.precision=fp32, or another teacher",
        )
    found: Levels = levels.numpy().astype(np.int16)
    return found
