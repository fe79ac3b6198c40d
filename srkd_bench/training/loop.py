"""fit(): the training loop, shared by teacher and students. All students of a seed are trained side by side."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from srkd_bench.core.errors import Stopped
from srkd_bench.core.signals import Interrupted, shielded
from srkd_bench.data.patches import Patches
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.training.learner import Learner
from srkd_bench.training.precision import autocast
from srkd_bench.training.schedule import event_every
from srkd_bench.training.teacher_cache import TeacherCache, on_grid

VALIDATE = 5  # each so many events
CHECKPOINT_SECONDS = 300.0


def _kept(cache: TeacherCache | None, step: int, device: torch.device) -> Tensor | None:
    sr = cache.read(step) if cache is not None else None
    return None if sr is None else sr.to(device)


def fit(
    learners: Sequence[Learner],
    teacher: Architecture | None,
    patches: Patches,
    *,
    device: torch.device,
    checkpoint_seconds: float | None = None,
    cache: TeacherCache | None = None,
    validate: Callable[[Architecture], float] | None = None,
    watch: Callable[[int], None] = lambda step: None,
    hand_on: Callable[[bool], None] = lambda last: None,
) -> None:
    """Train all learners to their end on the same batches; the teacher looks at each batch at most once.

    A learner that fails keeps its `error` and leaves; the others go on. SIGINT and SIGTERM write checkpoints. Ranks
    that share the training leave each other at its end.

    Args:
        patches: of the learners' seed and training spec, which they share; of ranks, each has its part.
        checkpoint_seconds: between checkpoints; if None, 300 or as many as make them cost 1 % of the time.
        cache: of the teacher's SR for these very patches; what it has isn't computed again.
        validate: gives a network's PSNR-Y in dB on validation images; nothing depends on it.
        watch: called after each step with its number, counted from 1.
        hand_on: called when checkpoints have been written; with True if a signal came and they are the last.
    Raises:
        Stopped: a signal came; every learner has a checkpoint.
    """
    train = patches.train
    torch.backends.cudnn.allow_tf32 = train.precision == "tf32"  # torch's default is yes, also for float32
    taps = sorted({tap for learner in learners for tap in learner.method.taps if learner.method.looks})
    every = event_every(train)

    @torch.no_grad()
    def look(lr: Tensor) -> Output:
        assert teacher is not None
        with autocast(train, device):
            output: Output = teacher(lr, taps)
        return dataclasses.replace(output, sr=on_grid(output.sr))

    saved = logged = time.monotonic()
    pause = CHECKPOINT_SECONDS if checkpoint_seconds is None else checkpoint_seconds
    waited = 0.0
    first = step = timed = min(learner.step for learner in learners)
    ranks = learners[0].ranks
    try:
        with ranks.interruptible():
            for step in range(first, train.steps):
                begun = time.monotonic()
                lr, hr = (images.to(device) for images in patches.batch(step))
                waited += time.monotonic() - begun
                view = TeacherView(look, lr, partial(_kept, cache, step, device))
                log = step % every == 0 or step == train.steps - 1
                passed = max(time.monotonic() - logged, 1e-9)
                times = (
                    {"seconds_a_step": passed / (step - timed), "waiting": waited / passed}
                    if step > timed
                    else {}
                )
                active = [one for one in learners if one.error is None and one.step == step]
                look_closer = validate if step // every % VALIDATE == 0 or step == train.steps - 1 else None
                for learner in active:
                    seen = (
                        {"validation": look_closer(learner.student)} if log and look_closer and step else {}
                    )
                    learner.advance(lr, hr, view, times | seen if log else None)
                if cache is not None and view.has_looked and not cache.has(step):
                    cache.write(step, view.sr)
                if log:
                    logged, timed, waited = time.monotonic(), step + 1, 0.0
                now = time.monotonic()
                for learner in active:
                    learner.seconds += now - begun
                watch(step + 1)
                if all(learner.error for learner in learners):
                    break
                if (now := time.monotonic()) - saved > pause:
                    for learner in active:
                        learner.save()
                    saved = time.monotonic()
                    if checkpoint_seconds is None:
                        pause = max(CHECKPOINT_SECONDS, 100 * (saved - now))
                    hand_on(False)
    except Interrupted as signal:
        with shielded():  # a second signal waits until every learner is saved
            for learner in learners:
                learner.rewind()
                learner.save()
        hand_on(True)
        ranks.leave()
        raise Stopped(f"stopped at step {step:,} of {train.steps:,}", signal.exit_code) from None
    ranks.leave()
