"""Check everything that can be checked before work starts."""

import tempfile
from pathlib import Path

import torch

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ForeignSpec
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.data.image_set import ImageSet, check_patch, open_set, pixels_of
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
    for run in plan.students:  # a user's methods may have gone, or not be allowed to run
        if not place.store.has(run):
            registry.rebuild(run.method, run.params)
    rehearse(plan, place)


def rehearse(plan: Plan, place: Workplace) -> None:
    """Take a step of each run that is to be made and in which a network isn't EDSR; what it learns is thrown away.

    Raises:
        SrkdError: a method can't work with these networks.
    """
    runs = [run for run in plan.students if not place.store.has(run)]
    if not any(isinstance(model, ForeignSpec) for run in runs for model in (run.model, plan.teacher.model)):
        return
    teacher = None
    if any(run.teacher for run in runs):  # one like it: its weights are random where that is possible
        teacher = build(plan.teacher.model, 0).to(place.device).requires_grad_(False).eval()
    tried = set()
    for run in runs:
        if run.method not in tried:
            tried.add(run.method)
            _try(run, teacher if run.teacher else None, place)


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
            problem = f"{run.method} can't work with {names}: {type(error).__name__}: {str(error)[:200]}"
            raise SrkdError(problem, "leave this method out, or choose other networks") from error


def prepare(plan: Plan, place: Workplace) -> tuple[ImageSet, list[ImageSet]]:
    """Return training and test images, after checking all that can be checked before work starts.

    Raises:
        SrkdError: data is missing, a patch is larger than an image, or the device can't do the precision.
    """
    suite = plan.suite
    specs = [suite.train, *([plan.teacher.train] if isinstance(plan.teacher, Run) else [])]
    asked = {spec.precision for spec in specs}
    if place.device.type == "cpu" and (lacking := asked & {"tf32", "fp16"}):
        raise SrkdError(f"precision {min(lacking)} needs a CUDA device", "--set train.precision=bf16")
    missing = [name for name in suite.data.names if pixels_of(place.store, name) is None]
    if missing:
        names = " ".join(missing)
        raise MissingError(f"data sets that are not here: {names}", f"srkd download {names}")
    train = open_set(place.store, suite.data.train, suite.data.scale, place.display)
    for spec in specs:
        check_patch(train, spec.patch)
    return train, [open_set(place.store, name, suite.data.scale, place.display) for name in suite.data.test]
