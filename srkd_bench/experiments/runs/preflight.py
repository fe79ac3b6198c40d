"""Check everything that can be checked before work starts."""

import tempfile
from pathlib import Path

import torch

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ForeignSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.data.image_set import (
    ImageSet,
    check_patch,
    check_patch_unpacked,
    image_notes,
    missing,
    open_set,
)
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.methods import registry, sources
from srkd_bench.methods.base import TeacherView
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.learner import Learner
from srkd_bench.training.teacher import teacher_pass

PATCH = 16  # LR pixels, at most


def check(plan: Plan, place: Workplace) -> None:
    """See, before work starts, that a plan can be done here; pack its images.

    Raises:
        SrkdError: it can't. MissingError: data is missing.
    """
    sources.know(plan.code)
    prepare(plan, place)
    for note in image_notes(place.store, plan.suite.data.test, [plan.suite.data.train]):
        place.display.say(note)
    check_methods(plan, place)
    rehearse(plan, place)


def check_unpacked(plan: Plan, place: Workplace) -> None:
    """Check, before a forecast, all that `check` does but the device; data may be missing, and nothing is packed.

    Raises:
        SrkdError: the plan can't be done.
    """
    sources.know(plan.code)
    data = plan.suite.data
    for spec in _trainings(plan):
        check_patch_unpacked(place.store, data.train, data.scale, spec.patch)
    check_methods(plan, place)
    rehearse(plan, place)


def check_precision(plan: Plan, device: torch.device) -> None:
    """See that a device can do the precision of a plan's trainings.

    Raises:
        SrkdError: it can't.
    """
    asked = {spec.precision for spec in _trainings(plan)}
    if device.type == "cpu" and (lacking := asked & {"tf32", "fp16"}):
        raise SrkdError(f"precision {min(lacking)} needs a CUDA device", "--set train.precision=bf16")


def _trainings(plan: Plan) -> list[TrainSpec]:
    return [plan.suite.train, *([plan.teacher.train] if isinstance(plan.teacher, Run) else [])]


def rehearse(plan: Plan, place: Workplace) -> None:
    """Take a step of each run that is to be made and in which a network isn't EDSR; what it learns is thrown away.

    Raises:
        SrkdError: a method can't work with these networks.
    """
    runs = [run for run in plan.students if not place.store.has(run)]
    if not any(isinstance(model, ForeignSpec) for run in runs for model in (run.model, plan.teacher.model)):
        return
    teacher = stand_in(plan, place) if any(run.teacher for run in runs) else None
    tried = set()
    for run in runs:
        if run.method not in tried:
            tried.add(run.method)
            _try(run, teacher if run.teacher else None, place)


def stand_in(plan: Plan, place: Workplace) -> Architecture:
    """Return a network like the plan's teacher, for trials: its weights are random where that is possible."""
    return build(plan.teacher.model, 0).to(place.device).requires_grad_(False).eval()


def _try(run: Run, teacher: Architecture | None, place: Workplace) -> None:
    train, side = run.train, min(PATCH, run.train.patch)
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(train.batch, 3, side, side, generator=generator).to(place.device)
    hr = torch.nn.functional.interpolate(lr, scale_factor=run.model.scale)
    with tempfile.TemporaryDirectory() as folder:
        try:
            learner = Learner(run, None, teacher, lr, Path(folder), place.device)
            forward = teacher_pass(teacher, [learner.method], train, place.device)
            learner.advance(lr, hr, TeacherView(forward, lr))
        except SrkdError as error:
            raise SrkdError(f"{run.method} can't work here: {error.message}", error.hint) from error
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
            names = f"{run.model}" + (f" and {teacher.spec}" if teacher else "")
            raise SrkdError(
                f"{run.method} can't work with {names}: {type(error).__name__}: {str(error)[:200]}",
                "leave this method out, or choose other networks",
            ) from error


def prepare(plan: Plan, place: Workplace) -> tuple[ImageSet, list[ImageSet]]:
    """Return training and test images, after checking all that can be checked before work starts.

    Raises:
        SrkdError: data is missing, a patch is larger than an image, or the device can't do the precision.
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
    """See that the methods of what is to be trained are here: own ones may have gone, or not be allowed to run.

    Raises:
        SrkdError: one isn't.
    """
    for run in plan.students:
        if not place.store.has(run):
            registry.rebuild(run.method, run.params)
