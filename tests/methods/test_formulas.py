"""The methods' formulas, worked by hand or by plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srkd_bench import methods
from srkd_bench.errors import SrkdError
from srkd_bench.method import Output, Step, TeacherView
from srkd_bench.methods.ckd import contrastive_loss
from srkd_bench.methods.rkd import distance_loss, relative_distances
from srkd_bench.methods.rvkd import Fusion, Review, context_loss


def batch(seed: int, n: int = 4) -> Tensor:
    return torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def step(student: Tensor, teacher: Tensor, hr: Tensor, progress: float = 0.5) -> Step:
    view = TeacherView(lambda lr: Output(teacher, {}), hr)
    return Step(hr, hr, Output(student, {}), view, F.mse_loss(student, hr), progress, torch.Generator())


def distance(a: Tensor, b: Tensor) -> float:
    return float(((a - b) ** 2).mean())


def test_hkd_is_the_mean_squared_error_to_the_teacher() -> None:
    terms = methods.build("hkd", {"hkd": {"weight": 0.5}}).losses(
        step(torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), 0.3), torch.zeros(1, 3, 2, 2)),
        torch.nn.Module(),
    )
    assert terms["rec"].item() == pytest.approx(0.25)
    assert terms["hkd"].item() == pytest.approx(0.5 * 0.04)


def test_hkd_pulls_like_one_target_between_ground_truth_and_teacher() -> None:
    student, teacher, hr = batch(0).requires_grad_(), batch(1), batch(2)
    terms = methods.build("hkd", {"hkd": {"weight": 3.0}}).losses(
        step(student, teacher, hr), torch.nn.Module()
    )
    (both,) = torch.autograd.grad(terms["rec"] + terms["hkd"], student)
    (one,) = torch.autograd.grad(4 * F.mse_loss(student, (hr + 3 * teacher) / 4), student)
    torch.testing.assert_close(both, one)


def test_ckd_is_the_ratio_of_the_positive_to_all_negatives() -> None:
    student, teacher = batch(0), batch(1)
    a = b = 0.0
    for i in range(4):
        positive = distance(student[i], teacher[i])
        negatives = [distance(student[i], student[j]) for j in range(4) if j != i]
        a += positive / sum(negatives) / 4
        b += sum(positive / negative for negative in negatives) / 4
    assert contrastive_loss(student, teacher).item() == pytest.approx(a, rel=1e-5)
    assert contrastive_loss(student, teacher, form="B").item() == pytest.approx(b, rel=1e-5)
    assert b >= 9 * a


def test_ckd_of_equal_images_divides_by_two_grey_levels() -> None:
    student, teacher = torch.zeros(3, 3, 4, 4), torch.full((3, 3, 4, 4), 0.1)
    floor = (2 / 255) ** 2
    assert contrastive_loss(student, teacher).item() == pytest.approx(0.01 / (2 * floor), rel=1e-5)
    assert contrastive_loss(student, teacher, form="B").item() == pytest.approx(2 * 0.01 / floor, rel=1e-5)


def test_ckd_negatives_carry_gradient_only_when_asked() -> None:
    teacher = batch(1)
    teacher[1] = (student := batch(0).requires_grad_()).detach()[1]
    (frozen,) = torch.autograd.grad(contrastive_loss(student, teacher), student)
    loss = (student[0] - teacher[0]).square().mean() / sum(
        (student[0] - student[j].detach()).square().mean() for j in (1, 2, 3)
    )
    (alone,) = torch.autograd.grad(loss / 4, student)
    torch.testing.assert_close(frozen[0], alone[0])
    (free,) = torch.autograd.grad(contrastive_loss(student, teacher, neg_grad=True), student)
    assert not torch.allclose(free[0], frozen[0])
    assert free[1].abs().max() > 0
    assert frozen[1].abs().max() == 0  # image 1 is the teacher's, and as a negative it is only looked at


def test_rkd_compares_distances_relative_to_their_mean() -> None:
    student, teacher = batch(0), batch(1)

    def relations(images: Tensor) -> dict[tuple[int, int], float]:
        pairs = {
            (i, j): math.dist(images[i].flatten(), images[j].flatten()) for i in range(4) for j in range(4)
        }
        mean = sum(pairs.values()) / 12
        return {pair: value / mean for pair, value in pairs.items()}

    s, t = relations(student), relations(teacher)
    loss = sum(0.5 * (s[pair] - t[pair]) ** 2 for pair in s) / 16  # smooth L1 is quadratic below 1
    assert distance_loss(student, teacher).item() == pytest.approx(loss, rel=1e-4)
    assert relative_distances(student).sum().item() == pytest.approx(12, rel=1e-5)


def test_rkd_does_not_see_a_common_factor() -> None:
    student, teacher = batch(0), batch(1)
    assert distance_loss(7 * student, teacher).item() == pytest.approx(
        distance_loss(student, teacher).item(), rel=1e-5
    )


def test_rkd_of_two_equal_images_has_a_finite_gradient() -> None:
    student = batch(0)
    student[1] = student[0]
    student.requires_grad_()
    (grad,) = torch.autograd.grad(distance_loss(student, batch(1)), student)
    assert grad.isfinite().all()


def test_rvkd_context_loss_halves_the_weight_of_each_pooling() -> None:
    guided, hint = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    guided[0, 0, 0, 0] = 4.0
    # sizes below 4: 2 (one pixel of four is 1) and 1 (the mean, 0.25); weights 1, 1/2, 1/4
    expected = (16 / 16 + 0.5 * 1 / 4 + 0.25 * 0.0625) / 1.75
    assert context_loss(guided, hint).item() == pytest.approx(expected)


def test_rvkd_mixes_each_level_with_the_deeper_one_by_attention() -> None:
    fusion = Fusion(4, 6, 5, fuse=True)
    output, mixed = fusion(torch.rand(2, 4, 8, 8), torch.rand(2, 6, 4, 4))
    assert output.shape == (2, 5, 8, 8)
    assert mixed.shape == (2, 6, 8, 8)
    assert Fusion(4, 6, 5, fuse=False).attention is None


def test_rvkd_brings_the_teacher_to_unit_scale_by_frozen_numbers() -> None:
    level = 100 + 50 * torch.randn(64, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    review = Review([4, 4], 6, [level, level], raw=False)
    _, (hint, _) = review([torch.rand(2, 4, 8, 8)] * 2, [level, level])
    assert hint.mean().item() == pytest.approx(0, abs=1e-4)
    assert hint.std().item() == pytest.approx(1, abs=1e-3)
    assert not any("mean" in name and "running" not in name for name, _ in review.named_parameters())
    _, (raw, _) = Review([4, 4], 6, [level, level], raw=True)([torch.rand(2, 4, 8, 8)] * 2, [level, level])
    assert torch.equal(raw, level)


def test_a_composition_adds_its_parts_terms_with_their_own_weights() -> None:
    one = step(batch(0), batch(1), batch(2))
    params = {"rkd": {"weight": 2.0}}
    both = methods.build("rkd+hkd", params)
    terms = both.losses(one, both.adapter(None, torch.nn.Module(), batch(3)))
    assert set(terms) == {"rec", "rkd", "hkd"}
    assert torch.equal(terms["rec"], one.rec)
    assert torch.equal(terms["rkd"], 2 * distance_loss(batch(0), batch(1)))
    assert torch.equal(terms["hkd"], F.mse_loss(batch(0), batch(1)))


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("hkd+hkd", "no composition", "rkd"),
        ("none+hkd", "no composition", "rkd"),
        ("rkd+hdk", "no method named 'hdk'", "'hkd'"),
        ("ckdd", "no method named 'ckdd'", "'ckd'"),
    ],
)
def test_a_wrong_name_is_refused_with_a_hint(name: str, message: str, hint: str) -> None:
    with pytest.raises(SrkdError, match=message) as error:
        methods.build(name, {})
    assert hint in error.value.hint
