"""fit(): the one loop, for teacher and students alike. All students of a seed learn side by side."""

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config import Run, TrainSpec
from srkd_bench.errors import SrkdError, Stopped
from srkd_bench.method import Method, Output, Step, TeacherView, seed_of, seeded
from srkd_bench.models import EDSR, build
from srkd_bench.patches import Patches

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "l1": F.l1_loss}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
EVENTS_A_RUN = 100


def learning_rate(train: TrainSpec, step: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    if train.schedule == "step":
        return train.learning_rate * train.decay_factor ** (step // train.decay_every)
    if train.schedule == "cosine":
        return train.learning_rate * (1 + math.cos(math.pi * step / train.steps)) / 2
    return train.learning_rate


class Learner:
    """A student on its way: network, what is trained beside it, optimizer, and its own random numbers.

    Nothing in it depends on who else is learning.

    Args:
        method: as `run.method` and `run.params` say.
        teacher: None for methods that don't look at one.
        sample: (64, 3, h, w) in [0, 1], fixed training patches for the method's adapter.
        folder: for its checkpoint and events, kept over interruptions.
    """

    def __init__(
        self,
        run: Run,
        method: Method,
        teacher: EDSR | None,
        sample: Tensor,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.run, self.method, self.folder, self.device = run, method, folder, device
        self.student = build(run.model, run.seed).to(device)
        with seeded("adapter", run.seed, run.method):
            self.adapter = method.adapter(teacher, self.student, sample.to(device)).to(device)
        self.generator = torch.Generator(device).manual_seed(seed_of("method", run.seed, run.method))
        trained = [*self.student.parameters(), *self.adapter.parameters()]
        self.optimizer = torch.optim.Adam(trained, run.train.learning_rate, betas=(0.9, 0.999), fused=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=run.train.precision == "fp16")
        self.step = 0
        self.seconds = 0.0
        self.error: SrkdError | None = None
        self.last: dict[str, Any] = {}
        self._resume()

    def advance(self, lr: Tensor, hr: Tensor, view: TeacherView, *, log: bool = False) -> None:
        """Take one training step on a batch; with `log`, keep its terms and gradient share in `last`.

        A loss that isn't finite is kept in `error`, and the student stays as it was before the step.
        """
        train = self.run.train
        with autocast(train, self.device):
            output = self.student(lr, self.method.taps)
        rec = LOSSES[train.loss](output.sr, hr)
        step = Step(lr, hr, output, view, rec, self.step / train.steps, self.generator)
        terms = self.method.losses(step, self.adapter)
        values = {name: term.item() for name, term in terms.items()}
        if broken := [name for name, value in values.items() if not math.isfinite(value)]:
            self.error = SrkdError(
                f"{self.run.method} seed {self.run.seed}: loss '{broken[0]}' is {values[broken[0]]}"
                f" at step {self.step}",
                "try a smaller train.learning_rate, or a smaller weight of the method",
            )
            return
        rate = learning_rate(train, self.step)
        if log:
            share = gradient_share(rec, terms, self.student)
            self.last = {"step": self.step, "learning_rate": rate, "terms": values, "share": share}
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        torch.autograd.backward(self.scaler.scale(torch.stack(list(terms.values())).sum()))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1

    def save(self) -> None:
        """Write a checkpoint; it replaces the one before when it is whole."""
        part = self.folder / "checkpoint.part"
        torch.save({name: part.state_dict() for name, part in self._parts().items()} | self._rest(), part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(self.folder / "checkpoint.pt")

    def log(self, **more: float) -> None:
        """Append the last step's events to the events file."""
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps({**self.last, **more}) + "\n")

    def _parts(self) -> dict[str, Any]:
        return {
            "student": self.student,
            "adapter": self.adapter,
            "optimizer": self.optimizer,
            "scaler": self.scaler,
        }

    def _rest(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state(), "step": self.step, "seconds": self.seconds}

    def _resume(self) -> None:
        """Go on from the checkpoint, if there is one, and forget the events that came after it."""
        checkpoint, events = self.folder / "checkpoint.pt", self.folder / "events.jsonl"
        if checkpoint.exists():
            state = torch.load(checkpoint, map_location=self.device, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.generator.set_state(state["generator"].cpu())
            self.step, self.seconds = state["step"], state["seconds"]
        if events.exists():
            lines = [line for line in events.read_text().splitlines() if line.endswith("}")]
            kept = [line for line in lines if json.loads(line)["step"] < self.step]
            events.write_text("".join(line + "\n" for line in kept))


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
    return torch.autocast(device.type, PRECISIONS[train.precision], enabled=train.precision != "fp32")


def fit(
    learners: Sequence[Learner],
    teacher: EDSR | None,
    patches: Patches,
    *,
    device: torch.device,
    checkpoint_seconds: float = 300,
    watch: Callable[[int], None] = lambda step: None,
) -> None:
    """Train all learners to their end on the same batches; the teacher looks at each batch at most once.

    A learner that fails keeps its `error` and leaves; the others go on. SIGINT and SIGTERM write checkpoints.

    Args:
        patches: of the learners' seed and training spec, which they share.
        watch: called after each step with its number, counted from 1.
    Raises:
        Stopped: a signal came; every learner has a checkpoint.
    """
    train = patches.train
    taps = sorted({tap for learner in learners for tap in learner.method.taps if learner.method.looks})
    every = max(1, train.steps // EVENTS_A_RUN)

    @torch.no_grad()
    def look(lr: Tensor) -> Output:
        assert teacher is not None
        with autocast(train, device):
            return teacher(lr, taps)  # type: ignore[no-any-return]

    saved = logged = time.monotonic()
    waited = 0.0
    with _signals() as received:
        for step in range(min(learner.step for learner in learners), train.steps):
            begun = time.monotonic()
            lr, hr = (images.to(device) for images in patches.batch(step))
            waited += time.monotonic() - begun
            view = TeacherView(look, lr)
            active = [one for one in learners if one.error is None and one.step == step]
            log = step % every == 0 or step == train.steps - 1
            for learner in active:
                learner.advance(lr, hr, view, log=log)
            now = time.monotonic()
            for learner in active:
                learner.seconds += now - begun
            if log:
                passed = now - logged
                for learner in active:
                    if learner.error is None:
                        learner.log(seconds_a_step=passed / every, waiting=waited / passed)
                logged, waited = now, 0.0
            watch(step + 1)
            if all(learner.error for learner in learners):
                return
            if received or now - saved > checkpoint_seconds:
                for learner in active:
                    if learner.error is None:
                        learner.save()
                saved = time.monotonic()
            if received:
                code = 130 if received[0] == signal.SIGINT else 75
                raise Stopped(
                    f"stopped at step {step + 1} of {train.steps}", "give the same command to go on", code
                )


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list; a second one ends the process at once."""
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        received.append(number)
        for one in before:
            signal.signal(one, signal.SIG_DFL)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
