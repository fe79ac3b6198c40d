"""Learner: a student, its method, its adapter and its optimizer."""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from srkd_bench.config.artifacts import Run
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.seeding import seed_of, seeded
from srkd_bench.core.signals import shielded
from srkd_bench.methods import registry
from srkd_bench.methods.base import PIXEL_LOSSES, Method, Step, TeacherView
from srkd_bench.methods.features import check_declared, check_resume
from srkd_bench.methods.gradients import gradient_share
from srkd_bench.networks.base import Architecture, Output, update_average
from srkd_bench.networks.loading import build
from srkd_bench.store import checkpoints
from srkd_bench.training.compilation import compile_network
from srkd_bench.training.distributed import ALONE, Ranks
from srkd_bench.training.divergence import Watch
from srkd_bench.training.precision import autocast
from srkd_bench.training.schedule import learning_rate
from srkd_bench.training.transfers import Reading, settle


def adapter_of(
    method: Method, teacher: Architecture | None, student: Architecture, sample: Tensor, *seed: int | str
) -> nn.Module:
    """Return a method's auxiliary modules, with initial weights that depend on the seed only.

    Args:
        teacher: passed only to methods that use its features or its network.
        sample: (64, 3, h, w) in [0, 1], fixed training patches, on the student's device.
    Raises:
        SrkdError: a network that the method resumes cannot be resumed.
    """
    student.eval()  # so that trial passes of the method do not change batch normalisation statistics
    with seeded("adapter", *seed):
        given = teacher if method.uses("features", "network") else None
        for network in (student if who == "student" else given for who in method.resumes):
            assert network is not None  # user_code: needs has `network`
            check_resume(network, sample, method.taps)
        adapter = method.adapter(given, student, sample).to(sample.device)
    student.train()
    return adapter


def adapter_groups(method: Method, adapter: nn.Module) -> dict[float, list[nn.Parameter]]:
    """Return the trained weights of an adapter by the factor on their learning rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for module, factor in method.rates(adapter):
        groups.setdefault(factor, []).extend(one for one in module.parameters() if one.requires_grad)
    return {factor: weights for factor, weights in groups.items() if weights}


@dataclass(frozen=True)
class Losses:
    """The losses of a learner on a batch.

    Args:
        rec: the loss against HR, with gradient.
        terms: of the method, by name, with gradient.
        values: `rec` and the terms, (n,), without gradient.
    """

    rec: Tensor
    terms: dict[str, Tensor]
    values: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of the terms."""
        return torch.stack(list(self.terms.values())).sum()


class Learner:
    """A student in training: network, adapter, optimizer, and its own random numbers.

    It is independent of the other learners.

    Args:
        method: of the run; built from `run.method` and `run.params` if None.
        teacher: passed only to methods that use its features or its network.
        sample: (64, 3, h, w) in [0, 1], fixed training patches for the method's adapter.
        folder: for its checkpoints; created with the first one.
        ranks: the processes that train it together. Only rank 0 writes checkpoints.
        init: weights of the network that `run.init` names. Those that the student has in the same shape replace its
            own; a student of scale 4 has one layer more than one of scale 2.

    Attributes:
        step: number of completed steps.
        events: the log: step, learning rate, loss terms by name, last measured gradient share; for the steps since
            the previous event, if any, `seconds_a_step` and the fraction of it spent `waiting` for data; in some
            events `validation`, the student's PSNR-Y in dB before the step.
        error: why it stopped early; `step` is then the failed one.
        unread: losses of the latest steps that the host does not know yet.
        finite: whether all losses so far were finite, on the device.
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
        self.generator = torch.Generator().manual_seed(seed_of("method", run.seed, run.method))
        groups = {1.0: [weight for weight in self.student.parameters() if weight.requires_grad]}
        for factor, weights in adapter_groups(method, self.adapter).items():
            groups.setdefault(factor, []).extend(weights)
        parameters = [{"params": weights, "factor": factor} for factor, weights in groups.items()]
        self.optimizer = torch.optim.Adam(
            parameters, run.train.learning_rate, betas=run.train.betas, fused=True
        )
        self.optimizer.register_step_pre_hook(self._mask)
        self.average = copy.deepcopy(self.student).requires_grad_(False) if run.train.ema else None
        compile_network(self.student, run.train.compile)
        self._network = ranks.share(self.student)
        self.scaler = torch.amp.GradScaler(device.type, enabled=run.train.precision == "fp16")
        self.watch = Watch.of(run.train.loss, run.train.steps)
        self.step = 0
        self.seconds = 0.0
        self.events: list[dict[str, Any]] = []
        self.error: SrkdError | None = None
        self.unread: list[Reading] = []
        self.finite = torch.ones((), dtype=torch.bool, device=device)
        self._before: tuple[Tensor, list[Tensor]] | None = None
        self._resume()
        # A backward pass is one long call: hooks let Python handle signals.
        for parameter in chain.from_iterable(groups.values()):
            parameter.register_hook(lambda grad: None)  # type: ignore[no-untyped-call]

    @property
    def result(self) -> Architecture:
        """What is stored and measured: the student, or the moving average of its weights (`train.ema`)."""
        return self.student if self.average is None else self.average

    @property
    def last(self) -> dict[str, Any]:
        """The latest event."""
        return self.events[-1] if self.events else {}

    def advance(
        self,
        lr: Tensor,
        hr: Tensor,
        view: TeacherView,
        log: dict[str, float] | None = None,
        *,
        share: bool = True,
    ) -> None:
        """Take one training step on a batch; with `log`, record an event that includes these values.

        With `share`, the event's gradient share is measured; otherwise the event repeats that of the previous one.

        The host does not wait for the device: losses stay in `unread` until `Readout` delivers them. Then the
        event is recorded, and `error` says if a loss was not finite or has diverged. A loss that is not finite
        stops all updates of the weights at once. After `Interrupted`, `rewind` restores the state before the step.
        """
        self.begin()
        losses = self.losses(lr, hr, self._see(lr), view, self._see, partial(self._continue, lr))
        values = losses.values
        if log is not None and share:
            ratio = gradient_share(losses.rec, losses.terms, self.student)
            values = torch.cat([values, ratio.to(values)[None]])
        self.optimizer.zero_grad()
        torch.autograd.backward(self.scaler.scale(losses.total))
        self.update(values, list(losses.terms), log)

    def begin(self) -> None:
        """Remember the state that an interrupted step is rewound to."""
        self._before = self.generator.get_state(), [buffer.clone() for buffer in self._buffers()]

    def losses(
        self,
        lr: Tensor,
        hr: Tensor,
        output: Output,
        view: TeacherView,
        see: Callable[[Tensor], Output],
        resume: Callable[[float, Tensor], Tensor],
    ) -> "Losses":
        """Return the losses of a batch, and remember on the device whether they are finite.

        Args:
            output: the student's, for `lr`.
            see, resume: as in `Step`.
        """
        train = self.run.train
        loss = PIXEL_LOSSES[train.loss]
        rec = loss(output.sr, hr)
        precision = partial(autocast, train, self.device)
        progress = self.step / train.steps
        step = Step(lr, hr, output, view, rec, progress, self.generator, see, precision, loss, resume)
        terms = self.method.losses(step, self.adapter)
        values = self.ranks.agreed(torch.stack([rec.detach(), *(term.detach() for term in terms.values())]))
        self.finite &= values.isfinite().all().to(self.device)
        return Losses(rec, terms, values)

    def update(self, values: Tensor, names: list[str], log: dict[str, float] | None) -> None:
        """Take an optimizer step with the gradients that the weights have, which completes the training step.

        Args:
            values: the losses, and the gradient share if it was measured, for `unread`.
            names: of the loss terms.
            log: as in `advance`.
        """
        train = self.run.train
        if self.step in train.restarts:
            self.optimizer.state.clear()
        rate = learning_rate(train, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)  # earlier checkpoints have no factor
        with shielded():
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.average is not None and train.ema is not None:
                update_average(self.average, self.student, train.ema)
            with torch.no_grad():
                self.method.after_step(self.adapter, self.result, self.step + 1, train.steps)
            self.unread.append(Reading(values, partial(self._take, self.step, names, log)))
            self.step += 1
            self._before = None

    def _mask(self, optimizer: torch.optim.Optimizer, *arguments: object) -> None:
        """Let the device skip the update if a loss of this or an earlier step is not finite."""
        skip = (~self.finite).float()
        if self.scaler.is_enabled():  # it skips steps in which gradients overflow
            skip = torch.maximum(skip, optimizer.found_inf)  # type: ignore[attr-defined]
        optimizer.found_inf = skip  # type: ignore[attr-defined]  # read by the fused Adam

    def _take(self, step: int, names: list[str], log: dict[str, float] | None, values: list[float]) -> None:
        """Receive a step's losses: `rec`, the terms by name, and the gradient share if it was measured."""
        if self.error is not None:
            return
        terms = dict(zip(names, values[1:], strict=False))
        for name, value in [("rec", values[0]), *terms.items()]:
            if not math.isfinite(value):
                self._fail(step, f"loss '{name}' is {value} at step {step}")
                return
        self.watch.see(step, values[0])
        if log is not None:
            rate = learning_rate(self.run.train, step)
            share = values[-1] if len(values) > 1 + len(names) else self.last["share"]
            event = {"step": step, "learning_rate": rate, "terms": terms, "share": share}
            self.events.append(event | log)
        if diverged := self.watch.verdict(step, last=step + 1 == self.run.train.steps):
            self._fail(step + 1, diverged)

    def _see(self, lr: Tensor) -> Output:
        with self._pass():
            output: Output = self._network(lr, self.method.taps)
        return output

    def _continue(self, lr: Tensor, tap: float, features: Tensor) -> Tensor:
        check_declared("student", self.method.resumes)
        with self._pass():
            return self.student.resume(tap, features, lr)

    @contextmanager
    def _pass(self) -> Iterator[None]:
        # Dropout: the masks depend on seed and step alone, not on the other learners or on resuming.
        masks = seeded("forward", self.run.seed, self.step, device=self.device)
        with masks if self.student.draws else nullcontext(), autocast(self.run.train, self.device):
            yield

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
        """Replace the checkpoint, unless the training is possibly diverging. Unread losses are delivered first.

        Raises:
            SrkdError: it cannot be written; the previous one is kept.
        """
        settle(self)
        if self.ranks.rank or self.error is not None or self.watch.uneasy:
            return
        content = BytesIO()
        state = {name: part.state_dict() for name, part in self._parts().items()}
        # A tensor is saved with all of its memory, and in a stack the weights of several students share memory.
        state["student"] = {name: value.clone() for name, value in state["student"].items()}
        torch.save(state | self._rest(), content)
        checkpoints.write(self.folder, self.step, content.getbuffer())

    def _fail(self, step: int, reason: str) -> None:
        self.step = step
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
        state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.generator.set_state(state["generator"])
        self.watch = Watch(**state["watch"])
        self.step, self.seconds, self.events = state["step"], state["seconds"], state["events"]
