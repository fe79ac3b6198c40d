import math

import pytest
import torch
from torch import Tensor, nn

from srkd_bench import methods
from srkd_bench.method import Output, Step, TeacherView
from srkd_bench.methods.rkd import distance_loss, relative_distances
from tests.methods import unseen


def images(seed: int, n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, 2, 5, dtype=torch.float64, generator=generator)


def flat(*levels: float) -> Tensor:
    """Return an image of one pixel for each grey level."""
    return torch.tensor(levels, dtype=torch.float64).view(-1, 1, 1, 1)


def psi_by_loops(batch: Tensor) -> list[list[float]]:
    f = [image.flatten().tolist() for image in batch]
    n = len(f)
    distances = [[math.dist(a, b) for b in f] for a in f]
    mean = sum(distances[i][j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return [[distance / mean for distance in row] for row in distances]


def by_loops(student: Tensor, teacher: Tensor) -> float:
    total, n = 0.0, len(student)
    s, t = psi_by_loops(student), psi_by_loops(teacher)
    for i in range(n):
        for j in range(n):
            gap = abs(s[i][j] - t[i][j])
            total += gap**2 / 2 if gap < 1 else gap - 0.5
    return total / n**2


def test_rkd_is_as_worked_by_hand() -> None:
    student, teacher = flat(0.0, 0.1, 0.3), flat(0.0, 0.1, 0.2)
    # Distances .1, .2, .3 with mean .2; and .1, .1, .2 with mean .4/3.
    gaps = (0.1 / 0.2 - 0.75, 0.2 / 0.2 - 0.75, 0.3 / 0.2 - 1.5)
    by_hand = 2 * sum(gap**2 / 2 for gap in gaps) / 9
    assert distance_loss(student, teacher).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("n", [3, 4, 6])
def test_rkd_agrees_with_plain_loops(n: int) -> None:
    student, teacher = images(0, n), images(1, n)
    assert distance_loss(student, teacher).item() == pytest.approx(by_loops(student, teacher), rel=1e-10)


def test_large_differences_count_linearly() -> None:
    student, teacher = flat(0.0, 0.001, 0.9, 0.901), flat(0.0, 0.9, 0.001, 0.901)
    gaps = [
        abs(s - t)
        for rows in zip(psi_by_loops(student), psi_by_loops(teacher), strict=True)
        for s, t in zip(*rows, strict=True)
    ]
    assert max(gaps) > 1.2
    assert distance_loss(student, teacher).item() == pytest.approx(by_loops(student, teacher), rel=1e-6)


def test_rkd_does_not_change_when_all_images_are_multiplied_by_a_constant() -> None:
    student, teacher = images(0), images(1)
    loss = distance_loss(student, teacher).item()
    assert loss > 1e-4
    assert distance_loss(255 * student, 255 * teacher).item() == pytest.approx(loss, rel=1e-9)
    assert distance_loss(255 * student, teacher).item() == pytest.approx(loss, rel=1e-9)
    assert distance_loss(student + 0.5, teacher).item() == pytest.approx(loss, rel=1e-9)


def test_the_gradient_goes_through_the_mean_distance_too() -> None:
    teacher = images(1)
    assert torch.autograd.gradcheck(
        lambda student: distance_loss(student, teacher), images(0).requires_grad_()
    )


def test_equal_images_give_a_finite_gradient() -> None:
    student = images(0).float()
    student[1] = student[0]
    for batch in (student, student[:1].repeat(4, 1, 1, 1)):
        batch = batch.clone().requires_grad_()
        loss = distance_loss(batch, images(1).float())
        (grad,) = torch.autograd.grad(loss, batch)
        assert loss.isfinite()
        assert grad.isfinite().all()


def test_nearly_equal_images_keep_their_digits() -> None:
    batch = 0.9 + 1e-5 * images(0).float()
    expected = torch.tensor(psi_by_loops(batch))
    torch.testing.assert_close(relative_distances(batch), expected, rtol=1e-4, atol=0)


def test_an_image_is_at_distance_zero_from_itself() -> None:
    assert (relative_distances(images(0)).diagonal() == 0).all()


def test_the_weight_of_rkd_is_25_unless_another_is_given() -> None:
    student, teacher = images(0), images(1)
    view = TeacherView(lambda lr: Output(teacher, {}), student)
    step = Step(
        student, student, Output(student, {}), view, torch.tensor(0.0), 0.5, torch.Generator(), unseen
    )
    for params, weight in (({}, 25.0), ({"rkd": {"weight": 2.0}}, 2.0)):
        terms = methods.build("rkd", params).losses(step, nn.Module())
        assert list(terms) == ["rec", "rkd"]
        assert terms["rkd"].item() == pytest.approx(weight * by_loops(student, teacher))
