"""Learner: a student, its method, its adapter and its optimizer."""

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.artifacts import Run
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.seeding import seed_of, seeded
from srkd_bench.core.signals import shielded
from srkd_bench.methods import registry
from srkd_bench.methods.base import Method, Step, TeacherView
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.networks.loading import build
from srkd_bench.store import checkpoints
from srkd_bench.training.compilation import compile_network
from srkd_bench.training.distributed import ALONE, Ranks
from srkd_bench.training.divergence import Watch
from srkd_bench.training.gradients import gradient_share
from srkd_bench.training.precision import autocast
from srkd_bench.training.schedule import learning_rate

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "l1": F.l1_loss}


def adapter_of(
    method: Method, teacher: Architecture | None, student: Architecture, sample: Tensor, *seed: int | str
) -> nn.Module:
    """Return a method's auxiliary modules, with initial weights that depend on the seed only.

    Args:
        teacher: passed only to methods that use one.
        sample: (64, 3, h, w) in [0, 1], fixed training patches, on the student's device.
    """
    student.eval()  # so that trial passes of the method do not change batch normalisation statistics
    with seeded("adapter", *seed):
        adapter = method.adapter(teacher if method.looks else None, student, sample).to(sample.device)
    student.train()
    return adapter


class Learner:
    """A student in training: network, adapter, optimizer, and its own random numbers.

    It is independent of the other learners.

    Args:
        method: of the run; built from `run.method` and `run.params` if None.
        teacher: passed only to methods that use one.
        sample: (64, 3, h, w) in [0, 1], fixed training patches for the method's adapter.
        folder: for its checkpoints; created with the first one.
        ranks: the processes that train it together. Only rank 0 writes checkpoints.
        init: weights of the network that `run.init` names. Those that the student has in the same shape replace its
            own; a student of scale 4 has one layer more than one of scale 2.

    Attributes:
        step: number of completed steps.
        events: the log: step, learning rate, loss terms by name, gradient share; for the steps since the previous
            event, if any, `seconds_a_step` and the fraction of it spent `waiting` for data; in some events
            `validation`, the student's PSNR-Y in dB before the step.
        error: why it stopped early.
    Raises:
        SrkdError: the source of a user's method is missing, or may not run.
    """

    def __init__(
        self,
        run: Run,
        method: Method | None,
        teacher: Architecture | None,
        sample: Tensor,
        folder: Path,
        device: torch.device,
        ranks: Ranks = ALONE,
        init: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        method = registry.rebuild(run.method, run.params) if method is None else method
        self.run, self.method, self.folder, self.device, self.ranks = run, method, folder, device, ranks
        self.student = build(run.model, run.seed)
        own = self.student.state_dict()
        fitting = {name: new for name, new in init.items() if name in own and new.shape == own[name].shape}
        self.student.load_state_dict(own | fitting)
        self.student.to(device)
        self.adapter = adapter_of(method, teacher, self.student, sample.to(device), run.seed, run.method)
        self.generator = torch.Generator(device).manual_seed(seed_of("method", run.seed, run.method))
        weights = [*self.student.parameters(), *self.adapter.parameters()]
        trained = [weight for weight in weights if weight.requires_grad]
        self.optimizer = torch.optim.Adam(trained, run.train.learning_rate, betas=run.train.betas, fused=True)
        self.average = copy.deepcopy(self.student).requires_grad_(False) if run.train.ema else None
        if run.train.compile:
            compile_network(self.student)
        self._network = ranks.share(self.student)
        self.scaler = torch.amp.GradScaler(device.type, enabled=run.train.precision == "fp16")
        self.watch = Watch.of(run.train.loss, run.train.steps)
        self.step = 0
        self.seconds = 0.0
        self.events: list[dict[str, Any]] = []
        self.error: SrkdError | None = None
        self._before: tuple[Tensor, list[Tensor]] | None = None
        self._resume()
        for parameter in trained:  # a backward pass is one long call: hooks let Python handle signals
            parameter.register_hook(lambda grad: None)  # type: ignore[no-untyped-call]

    @property
    def result(self) -> Architecture:
        """What is stored and measured: the student, or the moving average of its weights (`train.ema`)."""
        return self.student if self.average is None else self.average

    @property
    def last(self) -> dict[str, Any]:
        """The latest event."""
        return self.events[-1] if self.events else {}

    def advance(self, lr: Tensor, hr: Tensor, view: TeacherView, log: dict[str, float] | None = None) -> None:
        """Take one training step on a batch; with `log`, record an event that includes these values.

        If the loss is not finite or has diverged, `error` says so; if it is not finite, the student keeps its state
        before the step. After `Interrupted`, `rewind` restores the state before the step.
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
            self._average_weights()
            self.watch.see(self.step, seen)
            if log is not None:
                event = {"step": self.step, "learning_rate": rate, "terms": values, "share": share}
                self.events.append(event | log)
            self.step += 1
            self._before = None
        if diverged := self.watch.verdict(self.step - 1, last=self.step == train.steps):
            self._fail(diverged)

    @torch.no_grad()
    def _average_weights(self) -> None:
        if self.average is None or self.run.train.ema is None:
            return
        averages, weights = ([*one.parameters()] for one in (self.average, self.student))
        torch._foreach_lerp_(averages, weights, 1 - self.run.train.ema)  # type: ignore[arg-type]  # invariant list
        for kept, new in zip(self.average.buffers(), self.student.buffers(), strict=True):
            kept.copy_(new)

    def _see(self, lr: Tensor) -> Output:
        # Dropout: the masks depend on seed and step alone, not on the other learners or on resuming.
        own = seeded("forward", self.run.seed, self.step) if self.student.draws else nullcontext()
        with own, autocast(self.run.train, self.device):
            output: Output = self._network(lr, self.method.taps)
        return output

    def _buffers(self) -> list[Tensor]:
        return [*self.student.buffers(), *self.adapter.buffers()]

    def rewind(self) -> None:
        """Restore the state before an interrupted step."""
        if self._before is not None:
            random, buffers = self._before
            self.generator.set_state(random)
            for buffer, before in zip(self._buffers(), buffers, strict=True):
                buffer.copy_(before)
            self._before = None

    def save(self) -> None:
        """Replace the checkpoint, unless the training is possibly diverging.

        Raises:
            SrkdError: it cannot be written; the previous one is kept.
        """
        if self.ranks.rank or self.error is not None or self.watch.uneasy:
            return
        content = BytesIO()
        torch.save({name: part.state_dict() for name, part in self._parts().items()} | self._rest(), content)
        checkpoints.write(self.folder, self.step, content.getbuffer())

    def _fail(self, reason: str) -> None:
        self.error = SrkdError(
            f"{self.run.method} seed {self.run.seed}: {reason}",
            "try a smaller train.learning_rate, a smaller weight of the method, or train.precision=fp32",
        )

    def _parts(self) -> dict[str, Any]:
        names = ("student", "adapter", "optimizer", "scaler", *["average"] * (self.average is not None))
        return {name: getattr(self, name) for name in names}

    def _rest(self) -> dict[str, Any]:
        kept = {"generator": self.generator.get_state(), "watch": dataclasses.asdict(self.watch)}
        return kept | {"step": self.step, "seconds": self.seconds, "events": self.events}

    def _resume(self) -> None:
        """Resume from the checkpoint, if there is one."""
        content = checkpoints.read(self.folder)
        if content is None:
            return
        state = torch.load(BytesIO(content), map_location=self.device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.generator.set_state(state["generator"].cpu())
        self.watch = Watch(**state["watch"])
        self.step, self.seconds, self.events = state["step"], state["seconds"], state["events"]
