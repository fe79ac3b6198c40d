from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.artifacts import Run
from srkd_bench.config.base import Loss
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.training import TrainSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Step, TeacherView
from srkd_bench.methods.builtin.crosskd import Cross, CrossKD, aligned
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.loading import build
from srkd_bench.training.learner import Learner
from tests.methods import unseen

STUDENT, TEACHER = ModelSpec(n_feats=4, n_resblocks=2), ModelSpec(n_feats=6, n_resblocks=3)
LR = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))


def made(
    student: EDSR, teacher: EDSR, weight: float = 1.0, loss: Loss = "mse", *, align: bool = False
) -> tuple[Cross, dict[str, Tensor]]:
    method = CrossKD(weight=weight, loss=loss, align=align)
    adapter = method.adapter(teacher, student, LR)
    assert isinstance(adapter, Cross)
    with torch.no_grad():
        seen = teacher(LR, method.taps)
    view = TeacherView(lambda lr: seen, LR, resume=teacher.resume)
    step = Step(LR, LR, student(LR, method.taps), view, torch.tensor(0.25), 0.5, torch.Generator(), unseen)
    return adapter, method.losses(step, adapter)


def test_crosskd_is_the_teachers_tail_on_the_students_features_step_by_step() -> None:
    student, teacher = build(STUDENT, 0), build(TEACHER, 1)
    adapter, terms = made(student, teacher, weight=3.0)

    def crossed(adapter: Cross, feats: Tensor) -> Tensor:
        return teacher.resume(1.0, adapter(feats), LR)

    feats = student(LR, (1.0,)).feats[1.0]
    with torch.no_grad():
        adapter.widen.weight.copy_(torch.randn(6, 4, 1, 1, generator=torch.Generator().manual_seed(0)))
        wide = torch.einsum("oi,nihw->nohw", adapter.widen.weight[:, :, 0, 0], feats)
        skip = teacher.head(255 * LR - teacher.mean)
        last = teacher.body[-1]
        sr = (teacher.tail(skip + last(wide)) + teacher.mean) / 255
    torch.testing.assert_close(crossed(adapter, feats), sr, rtol=1e-4, atol=1e-4)
    assert list(terms) == ["rec", "crosskd"]
    _, again = made(student, teacher, weight=1.0)
    assert terms["crosskd"].item() == pytest.approx(3 * again["crosskd"].item())
    first, _ = made(student, teacher)
    by_hand = F.mse_loss(crossed(first, feats), teacher(LR).sr)
    assert again["crosskd"].item() == pytest.approx(by_hand.item())
    _, absolute = made(student, teacher, loss="l1")
    by_hand = (crossed(first, feats) - teacher(LR).sr).abs().mean()
    assert absolute["crosskd"].item() == pytest.approx(by_hand.item())


def test_aligned_features_have_the_mean_and_deviation_of_others_by_channel() -> None:
    # Channel 0: mean 2, deviation √2 over batch and pixels; the other's are 10 and √8. Channel 1: 0, √2; 5, 0.
    features = torch.tensor([[[[1.0]], [[-1.0]]], [[[3.0]], [[1.0]]]])
    like = torch.tensor([[[[12.0]], [[5.0]]], [[[8.0]], [[5.0]]]])
    by_hand = torch.tensor([[[[8.0]], [[5.0]]], [[[12.0]], [[5.0]]]])
    torch.testing.assert_close(aligned(features, like), by_hand, rtol=1e-5, atol=1e-5)


def test_align_passes_the_aligned_features_to_the_tail() -> None:
    student, teacher = build(STUDENT, 0), build(TEACHER, 1)
    adapter, terms = made(student, teacher, align=True)
    hint = teacher(LR, (1.0,))
    wide = adapter.widen(student(LR, (1.0,)).feats[1.0])
    by_hand = F.mse_loss(teacher.resume(1.0, aligned(wide, hint.feats[1.0]), LR), hint.sr)
    assert terms["crosskd"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert terms["crosskd"].item() != pytest.approx(made(student, teacher)[1]["crosskd"].item(), rel=0.01)
    terms["crosskd"].backward()  # type: ignore[no-untyped-call]
    assert student.get_parameter("head.0.weight").grad is not None
    _, equal = made(build(TEACHER, 1), build(TEACHER, 1), align=True)
    assert equal["crosskd"].item() == pytest.approx(0, abs=1e-9)


def test_crosskd_is_zero_for_a_student_equal_to_its_teacher() -> None:
    _, terms = made(build(TEACHER, 1), build(TEACHER, 1))
    assert terms["crosskd"].item() == pytest.approx(0, abs=1e-12)


def test_the_convolution_is_trained_and_the_teacher_is_frozen() -> None:
    teacher = build(TEACHER, 1).requires_grad_(False)
    adapter, terms = made(build(STUDENT, 0), teacher)
    terms["crosskd"].backward()  # type: ignore[no-untyped-call]
    assert [name for name, _ in adapter.named_parameters()] == ["widen.weight", "widen.bias"]
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(weight.grad is not None for weight in adapter.widen.parameters())


def test_the_students_own_tail_gets_no_gradient_from_the_teacher() -> None:
    student = build(STUDENT, 0)
    _, terms = made(student, build(TEACHER, 1))
    terms["crosskd"].backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is None for weight in student.tail.parameters())
    assert all(weight.grad is not None for weight in student.body[:-1].parameters())


def test_bf16_reaches_the_convolution_and_the_teacher() -> None:
    student, teacher = build(STUDENT, 0), build(TEACHER, 1)
    adapter, _ = made(student, teacher)
    feats = student(LR, (1.0,)).feats[1.0]
    with torch.autocast("cpu", torch.bfloat16):
        sr = teacher.resume(1.0, adapter(feats), LR)
    exact = teacher.resume(1.0, adapter(feats), LR)
    assert sr.dtype == torch.float32
    torch.testing.assert_close(sr, exact, rtol=0, atol=0.01)
    assert not torch.equal(sr, exact)


def view_of(teacher: EDSR) -> TeacherView:
    return TeacherView(lambda lr: teacher(lr, (1.0,)), LR, resume=teacher.resume)


def learner(folder: Path, teacher: EDSR, **params: float) -> Learner:
    method = registry.build("crosskd", {"crosskd": params})
    train = TrainSpec(batch=2, patch=6, steps=4, learning_rate=1e-2)
    identity = registry.identity(method, "crosskd")
    run = Run(
        model=STUDENT,
        train=train,
        data="",
        pixels="",
        method="crosskd",
        params=identity,
        seed=0,
        teacher=None,
    )
    return Learner(run, method, teacher, LR, folder, torch.device("cpu"))


def test_the_adapter_rate_is_a_factor_on_the_adapters_learning_rate(tmp_path: Path) -> None:
    def moved(**params: float) -> tuple[float, float]:
        teacher = build(TEACHER, 1).requires_grad_(False)
        one = learner(tmp_path, teacher, **params)
        weights = one.student.get_parameter("head.0.weight"), one.adapter.get_parameter("widen.weight")
        before = [weight.detach().clone() for weight in weights]
        one.advance(LR, F.interpolate(LR, scale_factor=2), view_of(teacher))
        student, adapter = ((a - b).abs().max().item() for a, b in zip(weights, before, strict=True))
        return student, adapter

    # Adam's first step has the size of the learning rate.
    assert moved() == pytest.approx((0.01, 0.01), rel=1e-3)
    assert moved(adapter_rate=0.1) == pytest.approx((0.01, 0.001), rel=1e-3)


def test_a_checkpoint_of_a_time_without_adapter_rates_is_resumed(tmp_path: Path) -> None:
    teacher = build(TEACHER, 1).requires_grad_(False)
    view = view_of(teacher)
    one = learner(tmp_path, teacher)
    one.advance(LR, LR.repeat(1, 1, 2, 2), view)
    for group in one.optimizer.param_groups:
        del group["factor"]
    one.save()
    again = learner(tmp_path, teacher)
    assert "factor" not in again.optimizer.param_groups[0]
    for each in (one, again):
        each.advance(LR, LR.repeat(1, 1, 2, 2), view)
    assert all(map(torch.equal, one.student.parameters(), again.student.parameters()))


def test_a_checkpoint_restores_the_convolution(tmp_path: Path) -> None:
    teacher = build(TEACHER, 1).requires_grad_(False)
    one = learner(tmp_path, teacher)
    before = {name: value.clone() for name, value in one.adapter.state_dict().items()}
    for _ in range(2):
        one.advance(LR, F.interpolate(LR, scale_factor=2), view_of(teacher))
    assert one.error is None
    one.save()
    again = learner(tmp_path, teacher)
    assert again.step == 2
    assert list(before) == ["widen.weight", "widen.bias"]
    for name, value in one.adapter.state_dict().items():
        assert torch.equal(again.adapter.state_dict()[name], value), name
        assert not torch.equal(value, before[name]), name


def test_a_checkpoint_of_a_time_when_the_adapter_held_the_tail_is_resumed(tmp_path: Path) -> None:
    teacher = build(TEACHER, 1).requires_grad_(False)
    one = learner(tmp_path, teacher)
    one.advance(LR, LR.repeat(1, 1, 2, 2), view_of(teacher))
    one.adapter.tail = nn.Conv2d(6, 3, 3).requires_grad_(False)
    one.save()
    again = learner(tmp_path, teacher)
    for each in (one, again):
        each.advance(LR, LR.repeat(1, 1, 2, 2), view_of(teacher))
    assert all(map(torch.equal, one.student.parameters(), again.student.parameters()))


def test_only_aligning_needs_the_teachers_features() -> None:
    assert not CrossKD().uses("features")
    assert CrossKD(align=True).uses("features")
