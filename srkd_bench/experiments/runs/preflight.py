"""Check everything that can be checked before work starts."""

import tempfile
from pathlib import Path

import torch

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ForeignSpec, NetworkSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import CODE_ERRORS, SrkdError
from srkd_bench.data.image_set import (
    ImageSet,
    check_patch,
    check_patch_unpacked,
    image_notes,
    missing,
    open_set,
)
from srkd_bench.experiments.planning.grid import Plans, in_cell, networks_of, plans_of
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.methods import encoders, registry, sources
from srkd_bench.methods.base import Method, TeacherView
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.compilation import Compilation, check_compiler
from srkd_bench.training.learner import Learner
from srkd_bench.training.precision import obstacle
from srkd_bench.training.teacher import TeacherPass
from srkd_bench.training.transfers import settle

PATCH = 16  # LR pixels, at most


def check(plan: Plans, place: Workplace) -> None:
    """Check, before work starts, that a plan can be executed here; pack its images.

    Raises:
        SrkdError: it cannot be executed. MissingError: data is missing.
    """
    notes: dict[str, None] = {}
    for one in plans_of(plan):
        with in_cell(one.cell):
            notes |= dict.fromkeys(_check(one, place))
    for note in notes:
        place.display.say(note)
    for how in compilations(plan, place.store):
        check_compiler(place.device, how)


def _check(plan: Plan, place: Workplace) -> list[str]:
    """Check the plan of a suite, and return notes on its images."""
    sources.know(plan.code)
    prepare(plan, place)
    check_methods(plan, place)
    rehearse(plan, place)
    return image_notes(place.store, plan.suite.data.test, [plan.suite.data.train])


def compilations(plan: Plans, store: ArtifactStore) -> list[Compilation]:
    """Return how the networks that are missing in the store are to be compiled, if they are."""
    missing_runs = (key for key in networks_of(plan) if isinstance(key, Run) and not store.has(key))
    return list(dict.fromkeys(run.train.compile for run in missing_runs if run.train.compile))


def check_unpacked(plan: Plan, place: Workplace) -> None:
    """Check a plan before a forecast: as `check`, without the device; data may be missing, and nothing is packed.

    Raises:
        SrkdError: the plan cannot be executed.
    """
    sources.know(plan.code)
    data = plan.suite.data
    for spec in _trainings(plan):
        check_patch_unpacked(place.store, data.train, data.scale, spec.patch)
    check_methods(plan, place)
    rehearse(plan, place)


def check_precision(plan: Plan, device: torch.device) -> None:
    """Check that a device supports the precision of a plan's trainings.

    Raises:
        SrkdError: it does not.
    """
    for precision in sorted({spec.precision for spec in _trainings(plan)}):
        if reason := obstacle(precision, device):
            other = "fp32" if precision == "bf16" else "bf16"
            if precision == "fp32":
                hint = "--device cpu"
            elif precision == plan.suite.train.precision:
                hint = f"--set train.precision={other}"
            elif plan.suite.teachers:
                hint = f"write train: {{precision: {other}}} for the teachers that have {precision}"
            else:
                hint = f"--set teacher.train.precision={other}"
            raise SrkdError(f"precision {precision} {reason}", hint)


def _trainings(plan: Plan) -> list[TrainSpec]:
    teachers = plan.all_teachers if plan.fusion else [plan.teacher]
    return [plan.suite.train, *(one.train for one in teachers if isinstance(one, Run))]


def rehearse(plan: Plan, place: Workplace) -> None:
    """Try one step of each missing run that involves a network other than EDSR, and discard the result.

    Raises:
        SrkdError: a method does not support these networks.
    """
    runs = [run for run in plan.students if not place.store.has(run)]
    models = [run.model for run in runs] + [one.model for one in plan.all_teachers]
    if not runs or not any(isinstance(model, ForeignSpec) for model in models):
        return
    tried = {run.method: run for run in reversed(runs)}
    for run in reversed(tried.values()):
        teacher = untrained_teacher(run.teacher.model, place.device) if run.teacher else None
        _try(run, teacher, place)


def untrained_teacher(model: NetworkSpec, device: torch.device) -> Architecture:
    """Return a network like a teacher for trials, with random weights if possible."""
    return build(model, 0).to(device).requires_grad_(False).eval()


def _try(run: Run, teacher: Architecture | None, place: Workplace) -> None:
    train, side = run.train, min(PATCH, run.train.patch)
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(train.batch, 3, side, side, generator=generator).to(place.device)
    hr = torch.nn.functional.interpolate(lr, scale_factor=run.model.scale)
    with tempfile.TemporaryDirectory() as folder:
        try:
            learner = Learner(run, None, teacher, lr, Path(folder), place.device)
            forward = TeacherPass(teacher, [learner.method], train, place.device)
            learner.advance(lr, hr, TeacherView(forward, lr, resume=forward.resume))
            settle(learner)
        except SrkdError as error:
            raise SrkdError(f"{run.method} does not work here: {error.message}", error.hint) from error
        except CODE_ERRORS as error:
            names = f"{run.model}" + (f" and {teacher.spec}" if teacher else "")
            raise SrkdError(
                f"{run.method} does not work with {names}: {type(error).__name__}: {str(error)[:200]}",
                "leave this method out, or choose other networks",
            ) from error


def prepare(plan: Plan, place: Workplace) -> tuple[ImageSet, list[ImageSet]]:
    """Return training and test images, after checking all that can be checked before work starts.

    Raises:
        SrkdError: data is missing, a patch is larger than an image, or the device does not support the precision.
    """
    suite = plan.suite
    check_precision(plan, place.device)
    if error := missing(place.store, suite.data.names):
        raise error
    train = open_set(place.store, suite.data.train, suite.data.scale, place.display)
    for spec in _trainings(plan):
        check_patch(train, spec.patch)
    return train, [open_set(place.store, name, suite.data.scale, place.display) for name in suite.data.test]


def check_methods(plan: Plan, place: Workplace) -> None:
    """Check that the methods of missing runs can be loaded: a user's own may be deleted or not trusted.

    Their encoders are applied to images of the size of a batch.

    Raises:
        SrkdError: a method or an encoder cannot be loaded, or an encoder does not take such images.
    """
    used: dict[tuple[str, Method], Run] = {}
    for run in plan.students:
        if not place.store.has(run):
            method = registry.rebuild(run.method, run.params)
            used |= dict.fromkeys(registry.encoders(method), run)
    for (name, method), run in used.items():
        side = run.model.scale * run.train.patch
        images = torch.zeros(run.train.batch, 3, side, side, device=place.device)
        method.check_features(encoders.load(name, place.device).check(images))
