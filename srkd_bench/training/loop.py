"""The training loop, shared by teacher and students."""

import time
from collections.abc import Callable, Mapping, Sequence

import torch

from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import Stopped
from srkd_bench.core.signals import Interrupted, shielded
from srkd_bench.data.patches import Patches
from srkd_bench.networks.base import Architecture, convolutions
from srkd_bench.training.compilation import begin_step
from srkd_bench.training.learner import Learner
from srkd_bench.training.schedule import event_every, share_every
from srkd_bench.training.stack import stacks_of
from srkd_bench.training.teacher import TeacherPass
from srkd_bench.training.transfers import Batches, Readout

VALIDATE = 5  # number of events between two validations
CHECKPOINT_SECONDS = 300.0

Validate = Callable[[Architecture], float]


def fit(
    learners: Sequence[Learner],
    teacher: Architecture | None,
    patches: Patches | Mapping[int, Patches],
    *,
    device: torch.device,
    checkpoint_seconds: float | None = None,
    validate: Validate | None = None,
    watch: Callable[[int], None] = lambda step: None,
    hand_on: Callable[[bool], None] = lambda last: None,
) -> None:
    """Train all learners to the last step, those of a seed on the same batches.

    The teacher makes at most one forward pass on each batch.

    A learner that fails keeps its `error` and stops; the others continue. Signals write checkpoints. Learners with
    `train.stacked` take their steps together, as one grouped network.

    Args:
        teacher: None if no method needs one, or only the labels that come with the patches.
        patches: for the learners' common training spec, of their seed or by seed; each rank has its part.
        checkpoint_seconds: between checkpoints; None: 300, or more if writing them takes over 1 % of the time.
        validate: returns a network's PSNR-Y in dB on validation images, for the log only.
        watch: called after each step with its number, counted from 1.
        hand_on: called after checkpoints were written; with True if a signal arrived and they are the last.
    Raises:
        Stopped: a signal arrived; every learner has a checkpoint.
    """
    seeds = dict.fromkeys(one.run.seed for one in learners)
    streams = patches if isinstance(patches, Mapping) else dict.fromkeys(seeds, patches)
    train, ranks = learners[0].run.train, learners[0].ranks
    forward = TeacherPass(teacher, [one.method for one in learners], train, device)
    batches = {seed: Batches(streams[seed], forward, device) for seed in seeds}
    log = _Log(train, min(one.step for one in learners), validate)
    readout = Readout()
    checkpoints = _Checkpoints(checkpoint_seconds, hand_on, readout)
    try:
        with convolutions(tf32=train.precision == "tf32"), ranks.interruptible():
            _run(learners, batches, log, checkpoints, readout, watch)
            with shielded():
                readout.finish(learners)
    except Interrupted as signal:
        checkpoints.save_last(learners)
        ranks.leave()
        raise Stopped(
            f"Interrupted at step {log.step:,} of {train.steps:,}; checkpoint saved", signal.exit_code
        ) from None
    ranks.leave()


def _run(
    learners: Sequence[Learner],
    batches: Mapping[int, Batches],
    log: "_Log",
    checkpoints: "_Checkpoints",
    readout: Readout,
    watch: Callable[[int], None],
) -> None:
    """Execute the training steps of all learners."""
    stacks = stacks_of(learners)
    for step in range(log.step, log.steps):
        log.begin(step)
        begin_step(learners[0].run.train.compile)
        active = [one for one in learners if one.error is None and one.step == step]
        seeds = dict.fromkeys(one.run.seed for one in active)
        drawn = {seed: batches[seed].batch(step) for seed in seeds}
        log.batch_is_here()
        events = {learner: log.of(learner) for learner in active}
        for stack in stacks:
            stack.advance(drawn, events, share=log.measures_share)
        for learner in active:
            if not learner.run.train.stacked:
                lr, hr, view = drawn[learner.run.seed]
                learner.advance(lr, hr, view, events[learner], share=log.measures_share)
        with shielded():
            readout.step(active)
        log.end(active)
        watch(step + 1)
        if all(learner.error for learner in learners):
            break
        checkpoints.save_if_due(active)


class _Log:
    """Decide which steps are logged and which measure the gradient share; time the steps between two events."""

    def __init__(self, train: TrainSpec, step: int, validate: Validate | None) -> None:
        self.step, self.steps, self._validate = step, train.steps, validate
        self._every, self._share_every = event_every(train), share_every(train)
        self._since, self._waited = step, 0.0
        self._logged = self._begun = time.monotonic()
        self._times: dict[str, float] = {}

    @property
    def _due(self) -> bool:
        return self.step % self._every == 0 or self.step == self.steps - 1

    @property
    def measures_share(self) -> bool:
        """Whether an event of this step measures the gradient share."""
        return self.step % self._share_every == 0 or self.step == self.steps - 1

    def begin(self, step: int) -> None:
        self.step, self._begun = step, time.monotonic()

    def batch_is_here(self) -> None:
        now = time.monotonic()
        self._waited += now - self._begun
        if self._due:
            passed, steps = max(now - self._logged, 1e-9), self.step - self._since
            times = {"waiting": self._waited / passed}
            self._times = {"seconds_a_step": passed / steps, **times} if steps else {}

    def of(self, learner: Learner) -> dict[str, float] | None:
        """Return the values of an event that all learners share; None if this step is not logged."""
        if not self._due:
            return None
        validated = self.step // self._every % VALIDATE == 0 or self.step == self.steps - 1
        if self._validate is None or not validated or not self.step:
            return self._times
        return self._times | {"validation": self._validate(learner.result)}

    def end(self, active: Sequence[Learner]) -> None:
        now = time.monotonic()
        for learner in active:
            learner.seconds += now - self._begun
        if self._due:
            self._logged, self._since, self._waited = now, self.step + 1, 0.0


class _Checkpoints:
    """Write checkpoints at intervals."""

    def __init__(self, seconds: float | None, hand_on: Callable[[bool], None], readout: Readout) -> None:
        self._seconds, self._hand_on, self._readout = seconds, hand_on, readout
        self._pause = CHECKPOINT_SECONDS if seconds is None else seconds
        self._saved = time.monotonic()

    def save_if_due(self, learners: Sequence[Learner]) -> None:
        if (now := time.monotonic()) - self._saved <= self._pause:
            return
        with shielded():
            self._readout.finish(learners)
        for learner in learners:
            learner.save()
        self._saved = time.monotonic()
        if self._seconds is None:
            self._pause = max(CHECKPOINT_SECONDS, 100 * (self._saved - now))
        self._hand_on(False)

    def save_last(self, learners: Sequence[Learner]) -> None:
        """Write the checkpoints of an interrupted training, without the interrupted step."""
        with shielded():  # a second signal waits until every learner is saved
            self._readout.finish(learners)
            for learner in learners:
                learner.rewind()
                learner.save()
        self._hand_on(True)
