"""A step of each method on noise, before work starts: not every method works with every architecture."""

import tempfile
from pathlib import Path

import torch

from srkd_bench import methods, sources
from srkd_bench.architecture import Architecture
from srkd_bench.config import Run
from srkd_bench.errors import SrkdError
from srkd_bench.method import TeacherView
from srkd_bench.models import build
from srkd_bench.networkspec import ForeignSpec
from srkd_bench.planning import Plan
from srkd_bench.runs import Workplace, check_methods, prepare
from srkd_bench.train import Learner, autocast

PATCH = 16  # LR pixels, at most


def check(plan: Plan, place: Workplace) -> None:
    """See, before work starts, that a plan can be done here; pack its images.

    Raises:
        SrkdError: it can't. MissingError: data is missing.
    """
    sources.know(plan.code)
    prepare(plan, place)
    check_methods(plan, place)
    rehearse(plan, place)


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
    taps = methods.rebuild(run.method, run.params).taps

    def see(images: torch.Tensor) -> object:
        assert teacher is not None
        with torch.no_grad(), autocast(train, place.device):
            return teacher(images, taps)

    with tempfile.TemporaryDirectory() as folder:
        try:
            method = methods.rebuild(run.method, run.params)
            learner = Learner(run, method, teacher, lr, Path(folder), place.device)
            learner.advance(lr, hr, TeacherView(see, lr))  # type: ignore[arg-type]  # networks are untyped calls
        except SrkdError as error:
            raise SrkdError(f"{run.method} can't work here: {error.message}", error.hint) from error
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
            names = f"{run.model}" + (f" and {teacher.spec}" if teacher else "")
            raise SrkdError(
                f"{run.method} can't work with {names}: {type(error).__name__}: {str(error)[:200]}",
                "leave this method out, or choose other networks",
            ) from error
