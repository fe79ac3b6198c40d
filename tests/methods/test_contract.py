"""What every method must show; each installed one is put through it without being named."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from srkd_bench import methods
from srkd_bench.config import ModelSpec
from srkd_bench.errors import SrkdError
from srkd_bench.method import Losses, Method, Output, Step, TeacherView
from srkd_bench.models import EDSR, build

ALL = [*methods.names(), "rkd+hkd", "ckd+rvkd"]
# Terms that can't vanish when the student is the teacher: RVKD fuses features by random convolutions.
NEVER_ZERO = {"rvkd"}

every_method = pytest.mark.parametrize("name", ALL)


class Scene:
    """A batch, a teacher and a student, and what a method makes of them."""

    def __init__(self, name: str, *, same: bool = False) -> None:
        self.method: Method = methods.build(name, {})
        self.teacher = build(ModelSpec(n_feats=6, n_resblocks=4), "teacher")
        self.student = self.teacher if same else build(ModelSpec(n_feats=4, n_resblocks=4), "student")
        random = torch.Generator().manual_seed(0)
        self.lr = torch.rand(4, 3, 8, 8, generator=random)
        self.hr = torch.rand(4, 3, 16, 16, generator=random)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            teacher = self.teacher if self.method.looks else None
            self.adapter = self.method.adapter(
                teacher, self.student, torch.rand(16, 3, 8, 8, generator=random)
            )

    def losses(self, look: Callable[[EDSR, torch.Tensor], Output] | None = None) -> Losses:
        output = self.student(self.lr, self.method.taps)
        rec = nn.functional.mse_loss(output.sr, self.hr)
        view = TeacherView(lambda lr: (look or self.look)(self.teacher, lr), self.lr)
        step = Step(self.lr, self.hr, output, view, rec, 0.5, torch.Generator().manual_seed(2))
        return self.method.losses(step, self.adapter)

    @torch.no_grad()
    def look(self, teacher: EDSR, lr: torch.Tensor) -> Output:
        output = teacher(lr, self.method.taps)
        assert isinstance(output, Output)
        return output


@every_method
def test_every_term_reaches_the_student_and_none_the_teacher(name: str) -> None:
    scene = Scene(name)
    terms = scene.losses()
    assert "rec" in terms
    for term, loss in terms.items():
        assert loss.isfinite(), term
        grads = torch.autograd.grad(
            loss, list(scene.student.parameters()), retain_graph=True, allow_unused=True
        )
        assert any(grad is not None and grad.abs().max() > 0 for grad in grads), term
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is None for weight in scene.teacher.parameters())


@every_method
def test_distillation_terms_vanish_when_the_student_is_the_teacher(name: str) -> None:
    terms = Scene(name, same=True).losses()
    for term in set(terms) - {"rec"} - NEVER_ZERO:
        assert terms[term] == 0, term


@every_method
def test_only_methods_that_say_so_look_at_the_teacher(name: str) -> None:
    scene, looks = Scene(name), []

    def look(teacher: EDSR, lr: torch.Tensor) -> Output:
        looks.append(lr)
        return scene.look(teacher, lr)

    scene.losses(look)
    assert len(looks) == (1 if scene.method.looks else 0)


@every_method
def test_the_adapter_is_no_part_of_the_student(name: str) -> None:
    scene = Scene(name)
    plain = build(ModelSpec(n_feats=4, n_resblocks=4), "student")
    assert set(scene.student.state_dict()) == set(plain.state_dict())
    own = {id(weight) for weight in scene.student.parameters()}
    assert not own & {id(weight) for weight in scene.adapter.parameters()}


@every_method
def test_losses_depend_on_no_global_random_numbers(name: str) -> None:
    torch.manual_seed(5)
    first = Scene(name).losses()
    torch.manual_seed(6)
    second = Scene(name).losses()
    assert all(torch.equal(first[term], second[term]) for term in first)


@pytest.mark.parametrize("name", methods.names())
def test_every_method_says_what_it_is(name: str) -> None:
    method = methods.find(name)
    assert method.__doc__
    assert method.kind
    assert method.source
    assert method.version >= 1
    assert methods.identity(methods.build(name, {}), name)[name]["version"] == method.version


@pytest.mark.parametrize("name", [name for name in methods.names() if name != "none"])
def test_a_negative_weight_is_refused(name: str) -> None:
    with pytest.raises(SrkdError, match=f"params.{name}.weight"):
        methods.build(name, {name: {"weight": -1.0}})
