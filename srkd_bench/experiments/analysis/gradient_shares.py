"""Measure the gradient share of every method on real batches.

A student of the suite is trained without distillation for a few hundred steps with the suite's settings. Each
method's auxiliary modules are trained on the same batches, but its gradients do not reach the student, so that all
methods are measured on the same student. Before the first step and at three later points, the share is measured on
training images that were not used for training. Seeds are fixed: the same machine gives the same numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.base import Params
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.seeding import seed_of, seeded
from srkd_bench.data.image_set import ImageSet
from srkd_bench.data.patches import Patches
from srkd_bench.evaluation.controls import is_control
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.runs.train import sample_of
from srkd_bench.methods import registry
from srkd_bench.methods.base import PIXEL_LOSSES, Method, Step, TeacherView
from srkd_bench.methods.gradients import gradient_share
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.networks.loading import build
from srkd_bench.networks.stored import load
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.learner import adapter_groups, adapter_of
from srkd_bench.training.precision import autocast
from srkd_bench.training.schedule import learning_rate
from srkd_bench.training.teacher import TeacherPass

STEPS = 400  # steps of the plain training, or fewer if the suite's training is shorter
BEGINNING = 0.0
MOMENTS = (BEGINNING, 0.1, 0.25, 1.0)  # warm-up has ended before the second
BATCHES = 8
LOWEST, HIGHEST = 0.05, 1.0  # of a partly trained student
FIRST = 5.0  # before the first step: Adam's averages keep far larger early gradients for long
SEED = "shares"


@dataclass(frozen=True)
class Shares:
    """The gradient shares of a method with given loss weights.

    Args:
        params: its parameters, by the name of its part.
        default: whether these are its defaults; otherwise the suite's.
        moments: the mean over batches of ‖∇(the method's terms)‖ / ‖∇ rec‖, by the completed fraction of training.
    """

    method: str
    params: Mapping[str, Params]
    default: bool
    moments: dict[float, float]

    @property
    def fit(self) -> bool:
        """Whether every share, to two digits, is within 0.05 and 1, or below 5 before the first step.

        With less, the method has hardly any effect; with more, it dominates the loss against HR.
        """
        return all(
            share <= FIRST if moment == BEGINNING else LOWEST <= float(f"{share:.2g}") <= HIGHEST
            for moment, share in self.moments.items()
        )


@dataclass
class _Probe:
    """A method that is only measured, with its auxiliary modules."""

    name: str
    method: Method
    adapter: torch.nn.Module
    generator: torch.Generator
    trained: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    found: dict[float, float] = field(default_factory=dict)

    def learn(self, step: Step, rate: float) -> None:
        """Train the auxiliary modules on a batch without changing the student's gradients."""
        if self.optimizer is None:
            return
        total = torch.stack(list(self.method.losses(step, self.adapter).values())).sum()
        gradients = torch.autograd.grad(total, self.trained, retain_graph=True, allow_unused=True)
        for weight, gradient in zip(self.trained, gradients, strict=True):
            weight.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.step()


class _Lesson:
    """The plain student and the methods that are measured on it."""

    def __init__(
        self, train: TrainSpec, student: Architecture, teacher: Architecture, device: torch.device
    ) -> None:
        self.train, self.student, self.teacher, self.device = train, student, teacher, device
        self.optimizer = torch.optim.Adam(student.parameters(), train.learning_rate, betas=train.betas)
        self.batches = 0

    def steps(
        self, batch: Sequence[Tensor], progress: float, probes: Sequence[_Probe]
    ) -> tuple[Tensor, list[Step]]:
        """Return the loss against HR, and each probe's input: one forward pass of student and teacher for all."""
        lr, hr = (images.to(self.device) for images in batch)
        self.batches += 1
        output = self.see(sorted({tap for probe in probes for tap in probe.method.taps}), lr)
        methods = [probe.method for probe in probes]
        forward = TeacherPass(self.teacher, methods, self.train, self.device)
        view = TeacherView(forward, lr, resume=forward.resume)
        loss, precision = PIXEL_LOSSES[self.train.loss], partial(autocast, self.train, self.device)
        rec, steps = loss(output.sr, hr), []
        for one in probes:
            taps = one.method.taps
            own, see = (
                replace(output, feats={tap: output.feats[tap] for tap in taps}),
                partial(self.see, taps),
            )
            resume = partial(self.resume, lr)
            steps.append(Step(lr, hr, own, view, rec, progress, one.generator, see, precision, loss, resume))
        return rec, steps

    def see(self, taps: Sequence[float], lr: Tensor) -> Output:
        """Return the output of the student."""
        with self._pass():
            output: Output = self.student(lr, taps)
        return output

    def resume(self, lr: Tensor, tap: float, features: Tensor) -> Tensor:
        """Return the student's SR if its features at a tap are replaced."""
        with self._pass():
            return self.student.resume(tap, features, lr)

    @contextmanager
    def _pass(self) -> Iterator[None]:
        own = seeded("forward", SEED, self.batches) if self.student.draws else nullcontext()
        with own, autocast(self.train, self.device):
            yield


def steps(plan: Plan) -> int:
    """Return the number of training steps of the plain student."""
    return min(STEPS, plan.suite.train.steps)


def measure(plan: Plan, images: ImageSet, place: Workplace) -> list[Shares]:
    """Measure the shares of the plan's methods with their defaults, and with the suite's parameters if different.

    Args:
        plan: its teachers must be in the store.
    """
    distilled = [name for name in plan.methods if name != "none" and not is_control(name)]
    fusing = [name for name in distilled if plan.traits[name].fuses]
    single = [name for name in distilled if name not in fusing]
    found = _shares(plan, single, plan.teacher, images, place) if single else []
    if fusing and plan.fusion is not None:
        found += _shares(plan, fusing, plan.fusion, images, place)
    return sorted(found, key=lambda one: distilled.index(one.method))


def _shares(
    plan: Plan, names: Sequence[str], key: Run | Weights, images: ImageSet, place: Workplace
) -> list[Shares]:
    """Return the shares of methods that learn from one teacher."""
    suite, device = plan.suite, place.device
    train = suite.train.model_copy(update={"steps": steps(plan)})
    teacher = load(key, place.store).to(device).requires_grad_(False)
    lesson = _Lesson(train, build(suite.student, SEED).to(device), teacher, device)
    sample = sample_of(images, train, suite.data.images)
    asked = [(name, params) for name in names for params in _params(plan, name)]
    built = [(name, registry.build(name, params, train.loss)) for name, params in asked]
    probes = [_probe(name, method, lesson, sample) for name, method in built]
    patches = Patches(images, train, SEED, count=suite.data.images)
    moments = {round(moment * train.steps): moment for moment in MOMENTS}
    with place.display.bar("training a plain student") as tick:
        for step in range(train.steps + 1):
            progress = min(step, train.steps - 1) / train.steps
            if step in moments:
                _measure(lesson, probes, patches, moments[step], progress)
            if step < train.steps:
                _train(lesson, probes, patches.batch(step), step, progress)
            tick(min(step + 1, train.steps), train.steps)
    return [
        Shares(
            probe.name, registry.identity(probe.method, probe.name), params is not suite.params, probe.found
        )
        for probe, (_, params) in zip(probes, asked, strict=True)
    ]


def _params(plan: Plan, name: str) -> list[Mapping[str, Params]]:
    """Return the parameters to measure a method with: its defaults, and the suite's if they differ.

    The suite's encoders go with both.
    """
    given = plan.traits[name].params
    needed = {
        part: {key: value for key, value in params.items() if key in registry.required(registry.find(part))}
        for part, params in given.items()
    }
    alike = registry.rebuild(name, given) == registry.build(name, needed, plan.suite.train.loss)
    return [needed] if alike else [needed, plan.suite.params]


def _probe(name: str, method: Method, lesson: _Lesson, sample: Tensor) -> _Probe:
    device = lesson.device
    adapter = adapter_of(method, lesson.teacher, lesson.student, sample.to(device), SEED, name)
    generator = torch.Generator().manual_seed(seed_of("method", SEED, name))
    groups = adapter_groups(method, adapter)
    trained = list(chain.from_iterable(groups.values()))
    parameters = [{"params": weights, "factor": factor} for factor, weights in groups.items()]
    rate, betas = lesson.train.learning_rate, lesson.train.betas
    optimizer = torch.optim.Adam(parameters, rate, betas=betas) if trained else None
    return _Probe(name, method, adapter, generator, trained, optimizer)


def _train(lesson: _Lesson, probes: list[_Probe], batch: Any, step: int, progress: float) -> None:
    """Train the student and the auxiliary modules of each probe for one step."""
    learning = [probe for probe in probes if probe.optimizer is not None]
    rate = learning_rate(lesson.train, step)
    rec, seen = lesson.steps(batch, progress, learning)
    for probe, one in zip(learning, seen, strict=True):
        probe.learn(one, rate)
    lesson.optimizer.zero_grad()
    torch.autograd.backward(rec)
    for group in lesson.optimizer.param_groups:
        group["lr"] = rate
    lesson.optimizer.step()
    with torch.no_grad():
        for probe in probes:
            probe.method.after_step(probe.adapter, lesson.student, step + 1, lesson.train.steps)


def _measure(lesson: _Lesson, probes: list[_Probe], patches: Patches, moment: float, progress: float) -> None:
    found: list[list[float]] = [[] for _ in probes]
    for i in range(BATCHES):
        rec, seen = lesson.steps(patches.batch(lesson.train.steps + i), progress, probes)
        for probe, step, shares in zip(probes, seen, found, strict=True):
            share = gradient_share(rec, probe.method.losses(step, probe.adapter), lesson.student)
            shares.append(share.item())
    for probe, shares in zip(probes, found, strict=True):
        probe.found[moment] = fmean(shares)


def explained(plan: Plan) -> str:
    """Describe how the shares were measured."""
    moments = ", ".join(f"{moment:.0%}" for moment in MOMENTS)
    return (
        f"share of the gradient, ‖∇(the method's terms)‖ / ‖∇ rec‖, on a plain student of suite {plan.suite.name}\n"
        f"after {moments} of {steps(plan)} steps, mean over {BATCHES} batches of {plan.suite.data.trained_on};"
        f" marked if it is not within {LOWEST} and {HIGHEST:g}, or is above {FIRST:g} before the first step"
    )


def row(one: Shares) -> dict[str, Any]:
    """Return a method's shares as plain data."""
    shares = [{"progress": moment, "share": share} for moment, share in one.moments.items()]
    about = {"name": one.method, "params": one.params, "default": one.default}
    return about | {"shares": shares, "fit": one.fit}


def shown(one: Shares) -> dict[str, str]:
    """Format a method's shares for a table."""
    params = (item for part in one.params.values() for item in part.items() if item[0] != "version")
    return {
        "name": one.method,
        "parameters": ", ".join(f"{name}={value}" for name, value in params),
        "of": "defaults" if one.default else "the suite",
        **{f"{moment:.0%}": f"{share:.2g}" for moment, share in one.moments.items()},
        "": "" if one.fit else "outside",
    }
