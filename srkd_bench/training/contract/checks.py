"""The checks of the contract.

CHECKS[name](subject("./mymethod.py"))  # raises Broken, with the line to fix and what to do
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from srkd_bench.core.errors import SrkdError
from srkd_bench.core.seeding import seeded
from srkd_bench.methods import composition, registry
from srkd_bench.methods.base import Losses, Step, TeacherView
from srkd_bench.networks.loading import build, to_safetensors
from srkd_bench.training.contract.harness import STUDENT, TRAIN, lesson, trained
from srkd_bench.training.contract.overhead import overhead
from srkd_bench.training.contract.subject import Broken, Subject, subject

__all__ = ["CHECKS", "Broken", "Check", "Subject", "Verdict", "examine", "subject"]

NO_WAY_BACK = (
    "resume a network from what is computed from step.student.feats, without detach() and outside no_grad(),"
    " and compare its SR in a term"
)
NO_WAY = "do not use detach(), item(), torch.tensor(...) or no_grad() between step.student and the loss"


Check = Callable[[Subject], str | None]  # returns a note or an empty string; raises Broken
CHECKS: dict[str, Check] = {}  # by title, in the order in which they are made


def _check(title: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS[title] = check
        return check

    return register


@_check("Adapter and losses run, and return loss terms by name")
def _takes_a_step(one: Subject) -> None:
    one.check_encoders()
    terms = one.losses(one.lesson(batch=one.batch))
    if not isinstance(terms, dict) or not all(isinstance(term, Tensor) for term in terms.values()):
        hint = 'return {"rec": step.rec, "name": loss}, each loss a tensor'
        raise Broken("losses() returns no tensors by name", one.files.of_function("losses"), hint)


@_check("Every term is one finite number in float32")
def _terms_are_numbers(one: Subject) -> None:
    _check_terms(one, one.losses(one.lesson(batch=one.batch)))


def _check_terms(one: Subject, terms: Losses) -> None:
    for name, loss in terms.items():
        place = one.files.of_term(name)
        if loss.shape != ():
            raise Broken(
                f"term '{name}' has shape {tuple(loss.shape)}, not ()", place, "take a mean over all elements"
            )
        if loss.dtype != torch.float32:
            hint = "compute losses in float32, the type of images and features"
            raise Broken(f"term '{name}' is {loss.dtype}, not torch.float32", place, hint)
        if not loss.isfinite():
            hint = "clamp what is divided by, or under a root or logarithm, away from 0"
            raise Broken(f"term '{name}' is {loss.item()}", place, hint)


@_check("The loss against HR appears exactly once, as `rec`")
def _rec_is_there_once(one: Subject) -> None:
    start = one.lesson(batch=one.batch)
    rec = torch.tensor(0.5, requires_grad=True)
    start.step = Step(**vars(start.step) | {"rec": rec})
    terms = one.losses(start)
    hint = 'return "rec": step.rec, unchanged'
    if terms.get("rec") is not rec:
        raise Broken("the term 'rec' is not step.rec", one.files.of_term("rec"), hint)
    (grad,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), rec)
    if grad != 1:
        raise Broken(f"step.rec counts {grad.item():g} times, not once", one.files.of_term("rec"), hint)


@_check("Every term gives the student a finite gradient (terms in `beside`: the adapter)")
def _student_gets_gradients(one: Subject) -> None:
    start = one.lesson(batch=one.batch)
    for name, loss in one.losses(start).items():
        beside = name in one.method.beside or name.rpartition(".")[2] in one.method.beside
        who = "adapter" if beside else "student"
        weights = [w for w in (start.adapter if beside else start.student).parameters() if w.requires_grad]
        grads: tuple[Tensor | None, ...] = ()
        if loss.requires_grad:
            grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        norms = [float(grad.norm()) for grad in grads if grad is not None]
        place = one.files.of_term(name)
        if not all(map(math.isfinite, norms)):
            hint = "clamp what is divided by, or under a root, away from 0"
            raise Broken(f"term '{name}' gives the {who} a gradient that is not finite", place, hint)
        if not any(norms):
            raise Broken(f"term '{name}' gives the {who} no gradient", place, NO_WAY)


@_check("Resumed networks give the student a gradient through their features")
def _resumes_with_gradient(one: Subject) -> str:
    start = one.lesson(batch=one.batch)
    terms = one.losses(start)
    weights = [weight for weight in start.student.parameters() if weight.requires_grad]
    if not start.resumed:
        return "it resumes no network"
    total = torch.stack([loss for name, loss in terms.items() if name != "rec"]).sum()
    for _, features, sr, stack in start.resumed:
        place = one.files.of_frames(stack)
        if not sr.requires_grad:
            raise Broken("a network is resumed without gradient", place, NO_WAY_BACK)
        if not _reaches(total, [sr]):
            raise Broken("no term gives the SR of a resumed network a gradient", place, NO_WAY_BACK)
        if not _reaches(features.square().sum(), weights):
            problem = "a network is resumed from features that give the student no gradient"
            raise Broken(problem, place, NO_WAY_BACK)
    return ""


def _reaches(loss: Tensor, sources: Sequence[Tensor]) -> bool:
    """Return whether a loss has a gradient other than zero with respect to any of these tensors."""
    if not loss.requires_grad:
        return False
    grads = torch.autograd.grad(loss, sources, retain_graph=True, allow_unused=True)
    return any(grad is not None and bool(grad.any()) for grad in grads)


@_check("The teacher gets no gradient; its weights and its mode are not modified")
def _teacher_stays(one: Subject) -> None:
    start = one.lesson(batch=one.batch)
    twin = lesson(registry.build("none", {}), batch=one.batch).teacher
    hint = (
        "keep the teacher out of the adapter; step.teacher has its output and features, and resumes it with"
        " frozen weights"
    )
    place = one.files.of_function("adapter", "teacher")

    def unlike() -> bool:
        pairs = zip(start.teacher.state_dict().values(), twin.state_dict().values(), strict=True)
        modes = zip(start.teacher.modules(), twin.modules(), strict=True)
        return not all(torch.equal(*pair) for pair in pairs) or any(
            a.training != b.training for a, b in modes
        )

    if unlike():
        raise Broken("adapter() changes the teacher's weights or its mode", place, hint)
    ids = {id(weight) for weight in start.teacher.parameters()}
    if ids & {id(weight) for weight in start.adapter.parameters()}:
        raise Broken("the teacher is trained: its weights are in the adapter", place, hint)
    optimizer = torch.optim.Adam(start.trained(), 0.1)
    with one.telling():
        total = torch.stack(list(start.losses().values())).sum()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    if any(weight.grad is not None for weight in start.teacher.parameters()):
        raise Broken("a loss gives the teacher a gradient", place, hint)
    if unlike():
        place = one.files.of_function("losses")
        raise Broken("losses() changes the teacher's weights or its mode", place, hint)


@_check("Images and features that other methods share are not modified")
def _others_see_the_same(one: Subject) -> None:
    start = one.lesson(batch=one.batch)

    def seen() -> dict[str, Tensor]:
        outputs = {"student": start.step.student}
        if one.method.looks:
            outputs["teacher"] = start.step.teacher.output
        found = {"LR": start.step.lr, "HR": start.step.hr}
        for who, output in outputs.items():
            found[f"the {who}'s SR"] = output.sr
            found |= {f"the {who}'s features at {tap}": value for tap, value in output.feats.items()}
        return {what: value.detach() for what, value in found.items()}

    before = {what: value.clone() for what, value in seen().items()}

    one.losses(start)
    after = seen()
    if changed := [what for what, value in before.items() if not torch.equal(value, after[what])]:
        hint = "write x = x + y, not x += y, and use no function whose name ends in _"
        place = one.files.of_function("losses")
        raise Broken(f"losses() changes {changed[0]} in place", place, hint)


@_check("The batch needs at most one teacher forward pass, and none in methods without a teacher")
def _teacher_has_one_pass(one: Subject) -> None:
    start = one.lesson(batch=one.batch)
    start.looks.clear()
    one.losses(start)
    about_batch = sum(images is start.step.lr for images in start.looks)
    place = one.files.of_function("losses")
    if start.looks and not one.method.looks:
        raise Broken("the teacher is used, but looks is False", place, "leave out looks = False")
    if about_batch > 1:
        hint = "step.teacher.sr and step.teacher.feats are kept; see() is for other images"
        raise Broken(f"{about_batch} teacher forward passes for one batch", place, hint)
    if one.method.looks and not start.looks:
        raise Broken(
            "the teacher is never used", place, "write looks = False, which saves the teacher's forward pass"
        )


class _Watched:
    """A teacher's view that notes what is read of it."""

    NEEDS: ClassVar[dict[str, tuple[str, ...]]] = {
        "sr": ("sr",),
        "feats": ("features",),
        "output": ("sr", "features"),
        "see": ("network",),
        "resume": ("network",),
    }

    def __init__(self, view: TeacherView) -> None:
        self._view, self.read = view, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.read |= set(self.NEEDS.get(name, ()))
        return getattr(self._view, name)


@_check("Only what `needs` and `resumes` name is used")
def _uses_what_it_needs(one: Subject) -> None:
    start = one.lesson(batch=one.batch)
    view = _Watched(start.step.teacher)
    start.step = replace(start.step, teacher=cast(TeacherView, view))
    one.losses(start)
    if one.method.looks and (more := view.read - set(one.method.needs)):
        problem = f"losses() uses the teacher's {min(more)}, which needs does not name"
        hint = f"add {min(more)!r} to needs, or leave out needs: then everything may be used"
        raise Broken(problem, one.files.of_function("losses"), hint)
    for who, _, _, stack in start.resumed:
        if who not in one.method.resumes:
            hint = f"write resumes = {(*one.method.resumes, who)}, so that networks that cannot are refused"
            raise Broken(f"the {who} is resumed", one.files.of_frames(stack), hint)


@_check("Modules trained beside the student are separate from it and are not saved with it")
def _adapter_is_not_exported(one: Subject) -> None:
    start = one.lesson(batch=one.batch)
    place = one.files.of_function("adapter", "student")
    hint = "return auxiliary modules from adapter(); set nothing on the student"
    alone = build(STUDENT, 0)
    more = [name for name in start.student.state_dict() if name not in alone.state_dict()]
    if more:
        raise Broken(f"'{more[0]}' would be exported with the student", place, hint)
    one.check_separate(start, "adapter")
    one.losses(start)
    if to_safetensors(start.student) != to_safetensors(alone):
        raise Broken("the student's weights are no longer those that all methods start from", place, hint)
    one.after_step(start)
    one.check_separate(start, "after_step")
    if to_safetensors(start.student) != to_safetensors(alone):
        hint = "change the adapter only; the student is for reading"
        raise Broken("after_step() changes the student", one.files.of_function("after_step", "student"), hint)


@_check("A student that equals its teacher has zero distillation loss")
def _equal_teacher_teaches_nothing(one: Subject) -> str:
    if not one.method.looks:
        return "it uses no teacher"
    if one.method.never_zero:
        return f"never zero: {one.method.never_zero}"
    for name, loss in one.losses(one.lesson(equal=True, batch=one.batch)).items():
        if name != "rec" and not abs(loss.item()) <= 1e-10:
            problem = f"term '{name}' is {loss.item():.3g} for a student that equals its teacher"
            raise Broken(
                problem, one.files.of_term(name), 'if that is intended, state why: never_zero = "..."'
            )
    return ""


@_check("The losses do not use the global random state of torch, NumPy or Python")
def _global_random_numbers_stay(one: Subject) -> None:
    start = one.lesson(batch=one.batch)

    def state() -> tuple[object, ...]:
        return torch.random.get_rng_state().numpy().tobytes(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002

    before = state()
    for function, call in (("losses", one.losses), ("after_step", one.after_step)):
        call(start)
        if state() != before:
            hint = "draw from the method's own, in losses(): torch.rand(..., generator=step.generator)"
            problem = f"{function}() draws from global random numbers"
            raise Broken(problem, one.files.of_function(function), hint)


@_check("It works on its smallest batch")
def _works_on_the_least_batch(one: Subject) -> str:
    least = one.method.min_batch
    try:
        _check_terms(one, one.losses(one.lesson(batch=least)))
    except Broken as error:
        hint = f"write min_batch = {least + 1}, and a smaller batch is refused by name; or {error.hint}"
        raise Broken(f"with a batch of {least}: {error.problem}", error.place, hint) from None
    return f"a batch of {least}" + ("; of 1: refused before work starts" if least > 1 else "")


@_check("It works with networks in bfloat16")
def _works_in_bfloat16(one: Subject) -> None:
    train = TRAIN.model_copy(update={"precision": "bf16", "batch": one.batch})
    terms = one.losses(one.lesson(batch=one.batch, precision=train))
    _check_terms(one, terms)
    with one.telling():
        trained({one.name: one.method}, train=train)


@_check("A student is bit-identical whether it is trained alone or beside others")
def _learns_the_same_beside_others(one: Subject) -> None:
    train = TRAIN.model_copy(update={"batch": one.batch})
    others = {name: registry.build(name, {}) for name in ("none", "hkd", "rvkd") if name != one.name}
    with one.telling():
        with seeded("alone"):
            alone = trained({one.name: one.method}, train=train)[one.name]
        with seeded("beside others"):
            beside = trained(others | {one.name: one.method}, train=train)[one.name]
    if not alone.equals(beside):
        hint = "keep nothing in globals or on the class; draw random numbers from step.generator only"
        raise Broken(
            "the student differs when it is trained beside others", one.files.of_function("losses"), hint
        )


@_check("Interrupted training resumes bit-identically")
def _resumes_from_a_checkpoint(one: Subject) -> None:
    train = TRAIN.model_copy(update={"batch": one.batch})
    with one.telling():
        straight = trained({one.name: one.method}, train=train)[one.name]
        resumed = trained({one.name: one.method}, train=train, stop=[2])[one.name]
    if not straight.equals(resumed):
        hint = (
            "state that changes between steps must be a parameter or buffer of the adapter: register_buffer"
        )
        raise Broken("training differs after an interruption", one.files.of_function("losses"), hint)


@_check("Every hyper-parameter can be set, and has bounds")
def _parameters_have_bounds(one: Subject) -> None:
    parts = one.method.parts if isinstance(one.method, composition.Composition) else {one.name: one.method}
    for name, part in parts.items():
        for field in fields(part):  # type: ignore[arg-type]  # every method is a dataclass
            default: Any = field.default
            number = type(default) in (int, float)
            most = type(default)(10**12) if number else None
            for wrong in (most, -most, math.inf, math.nan) if most is not None else ("-",):
                try:
                    registry.check_parameter(type(part), name, field.name, wrong)
                except SrkdError:
                    continue
                hint = 'list its possible values: Literal["a", "b"]'
                if number:
                    hint = "give it the type Weight, Share or Width of srkd_bench.method, or bounds:"
                    hint += " Annotated[float, Field(ge=0, le=1)]"
                place = one.files.of_attribute(field.name)
                raise Broken(f"hyper-parameter '{field.name}' may be {wrong!r}", place, hint)


@_check("Time and memory of a step (not a requirement)")
def _cost(one: Subject) -> str:
    with one.telling():
        return overhead(one.method)


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Args:
        problem: the violation; empty if the check passed.
        place, hint: as in `Broken`.
        note: additional information.
    """

    check: str
    problem: str = ""
    place: str = ""
    hint: str = ""
    note: str = ""


def examine(one: Subject) -> Iterator[Verdict]:
    """Run all checks on a method; stop if it cannot take a training step."""
    for name, check in CHECKS.items():
        try:
            yield Verdict(name, note=check(one) or "")
        except Broken as error:
            yield Verdict(name, error.problem, error.place, error.hint)
            if check is _takes_a_step:
                return
