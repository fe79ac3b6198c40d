"""fit(): the one loop, for teacher and students alike. All students of a seed learn side by side."""

import dataclasses
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench import checkpoint
from srkd_bench.architecture import Architecture
from srkd_bench.config import Run, TrainSpec
from srkd_bench.distributed import ALONE, Ranks
from srkd_bench.divergence import Watch
from srkd_bench.errors import SrkdError, Stopped
from srkd_bench.method import Method, Output, Step, TeacherView, seed_of, seeded
from srkd_bench.models import build
from srkd_bench.patches import Patches
from srkd_bench.signals import Interrupted, shielded
from srkd_bench.teacher_cache import TeacherCache, on_grid

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "l1": F.l1_loss}
PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
EVENTS_A_RUN = 100
VALIDATE = 5  # each so many events
CHECKPOINT_SECONDS = 300.0


def event_every(train: TrainSpec) -> int:
    """Return how many steps lie between two events."""
    return max(1, train.steps // EVENTS_A_RUN)


def learning_rate(train: TrainSpec, step: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    if train.schedule == "step":
        return train.learning_rate * train.decay_factor ** (step // train.decay_every)
    if train.schedule == "cosine":
        cycle = bisect_right(train.restarts, step)
        begin, end = [0, *train.restarts, train.steps][cycle : cycle + 2]
        first = train.learning_rate * train.decay_factor**cycle
        return first * (1 + math.cos(math.pi * (step - begin) / (end - begin))) / 2
    return train.learning_rate


class Learner:
    """A student on its way: network, what is trained beside it, optimizer, and its own random numbers.

    Nothing in it depends on who else is learning.

    Args:
        method: as `run.method` and `run.params` say.
        teacher: None for methods that don't look at one.
        sample: (64, 3, h, w) in [0, 1], fixed training patches for the method's adapter.
        folder: for its checkpoints; made when there is one.
        ranks: the processes that train it together. Of several, rank 0 alone writes checkpoints.

    Attributes:
        step: how many are done.
        events: what was logged so far: step, learning rate, loss terms by name, gradient share; of the steps since
            the event before, if there were any, `seconds_a_step` and the part of that spent `waiting` for data; in
            some `validation`, the student's PSNR-Y in dB before the step.
        error: why it left the loop.
    """

    def __init__(
        self,
        run: Run,
        method: Method,
        teacher: Architecture | None,
        sample: Tensor,
        folder: Path,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        self.run, self.method, self.folder, self.device, self.ranks = run, method, folder, device, ranks
        self.student = build(run.model, run.seed).to(device)
        self.student.eval()  # what a method looks at leaves no trace in batch norms
        with seeded("adapter", run.seed, run.method):
            self.adapter = method.adapter(teacher, self.student, sample.to(device)).to(device)
        self.student.train()
        self.generator = torch.Generator(device).manual_seed(seed_of("method", run.seed, run.method))
        weights = [*self.student.parameters(), *self.adapter.parameters()]
        trained = [weight for weight in weights if weight.requires_grad]
        self.optimizer = torch.optim.Adam(trained, run.train.learning_rate, betas=(0.9, 0.999), fused=True)
        if run.train.compile:
            self.student.compile()
        self._network = ranks.share(self.student)
        self.scaler = torch.amp.GradScaler(device.type, enabled=run.train.precision == "fp16")
        self.watch = Watch.of(run.train.loss, run.train.steps)
        self.step = 0
        self.seconds = 0.0
        self.events: list[dict[str, Any]] = []
        self.error: SrkdError | None = None
        self._before: tuple[Tensor, list[Tensor]] | None = None
        self._resume()
        for parameter in trained:  # a backward pass is one long call: this lets signals in
            parameter.register_hook(lambda grad: None)  # type: ignore[no-untyped-call]

    @property
    def last(self) -> dict[str, Any]:
        """The latest event."""
        return self.events[-1] if self.events else {}

    def advance(self, lr: Tensor, hr: Tensor, view: TeacherView, log: dict[str, float] | None = None) -> None:
        """Take one training step on a batch; with `log`, keep an event of it that says so too.

        A loss that isn't finite or has diverged is kept in `error`; if it isn't finite, the student stays as it was
        before the step. When `Interrupted` is raised, `rewind` brings back the state before the step.
        """
        train = self.run.train
        self._before = self.generator.get_state(), [buffer.clone() for buffer in self._buffers()]
        output = self._see(lr)
        loss = LOSSES[train.loss]
        rec = loss(output.sr, hr)
        precision = partial(autocast, train, self.device)
        progress = self.step / train.steps
        step = Step(lr, hr, output, view, rec, progress, self.generator, self._see, precision, loss)
        terms = self.method.losses(step, self.adapter)
        seen, *means = self.ranks.agreed([rec.item(), *(term.item() for term in terms.values())])
        values = dict(zip(terms, means, strict=True))
        if broken := [name for name, value in values.items() if not math.isfinite(value)]:
            self._fail(f"loss '{broken[0]}' is {values[broken[0]]} at step {self.step}")
            return
        rate = learning_rate(train, self.step)
        share = gradient_share(rec, terms, self.student) if log is not None else 0.0
        if self.step in train.restarts:
            self.optimizer.state.clear()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        torch.autograd.backward(self.scaler.scale(torch.stack(list(terms.values())).sum()))
        with shielded():
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.watch.see(self.step, seen)
            if log is not None:
                event = {"step": self.step, "learning_rate": rate, "terms": values, "share": share}
                self.events.append(event | log)
            self.step += 1
            self._before = None
        if diverged := self.watch.verdict(self.step - 1, last=self.step == train.steps):
            self._fail(diverged)

    def _see(self, lr: Tensor) -> Output:
        # Dropout: all methods of a seed see the same, whoever learns beside them and however often it was resumed.
        own = seeded("forward", self.run.seed, self.step) if self.student.draws else nullcontext()
        with own, autocast(self.run.train, self.device):
            output: Output = self._network(lr, self.method.taps)
        return output

    def _buffers(self) -> list[Tensor]:
        return [*self.student.buffers(), *self.adapter.buffers()]

    def rewind(self) -> None:
        """Forget a step that was begun."""
        if self._before is not None:
            random, buffers = self._before
            self.generator.set_state(random)
            for buffer, before in zip(self._buffers(), buffers, strict=True):
                buffer.copy_(before)
            self._before = None

    def save(self) -> None:
        """Write a checkpoint in place of the one before, unless the training seems to go wrong just now.

        Raises:
            SrkdError: the disk can't take it; the one before is kept.
        """
        if self.ranks.rank or self.error is not None or self.watch.uneasy:
            return
        content = BytesIO()
        torch.save({name: part.state_dict() for name, part in self._parts().items()} | self._rest(), content)
        checkpoint.write(self.folder, self.step, content.getbuffer())

    def _fail(self, reason: str) -> None:
        self.error = SrkdError(
            f"{self.run.method} seed {self.run.seed}: {reason}",
            "try a smaller train.learning_rate, a smaller weight of the method, or train.precision=fp32",
        )

    def _parts(self) -> dict[str, Any]:
        return {
            "student": self.student,
            "adapter": self.adapter,
            "optimizer": self.optimizer,
            "scaler": self.scaler,
        }

    def _rest(self) -> dict[str, Any]:
        return {
            "generator": self.generator.get_state(),
            "watch": dataclasses.asdict(self.watch),
            "step": self.step,
            "seconds": self.seconds,
            "events": self.events,
        }

    def _resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        content = checkpoint.read(self.folder)
        if content is None:
            return
        state = torch.load(BytesIO(content), map_location=self.device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.generator.set_state(state["generator"].cpu())
        self.watch = Watch(**state["watch"])
        self.step, self.seconds, self.events = state["step"], state["seconds"], state["events"]


def gradient_share(rec: Tensor, terms: dict[str, Tensor], student: nn.Module) -> float:
    """Return ‖∇(the terms beside `rec`)‖ / ‖∇ rec‖, over the student's weights; 0 without other terms."""
    others = [term for name, term in terms.items() if name != "rec" and term.requires_grad]
    if not others:
        return 0.0
    weights = list(student.parameters())

    def norm(loss: Tensor) -> Tensor:
        grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        return torch.stack([grad.square().sum() for grad in grads if grad is not None]).sum().sqrt()

    return float(norm(torch.stack(others).sum()) / norm(rec))


def autocast(train: TrainSpec, device: torch.device) -> torch.autocast:
    """Return the context in which networks run at the precision of a training."""
    precision = PRECISIONS[train.precision]
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


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
        for learner in learners:
            learner.rewind()
            learner.save()
        hand_on(True)
        ranks.leave()
        raise Stopped(f"stopped at step {step:,} of {train.steps:,}", signal.exit_code) from None
    ranks.leave()
