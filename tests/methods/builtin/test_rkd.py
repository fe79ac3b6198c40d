import math

import pytest
import torch
from torch import Tensor, nn

from srkd_bench.methods import registry
from srkd_bench.methods.base import Step, TeacherView
from srkd_bench.methods.builtin.rkd import angle_loss, cosines, distance_loss, relative_distances
from srkd_bench.networks.base import Output
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


def test_rkd_is_invariant_to_scaling_all_images() -> None:
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


def test_the_default_weight_of_rkd_is_a_quarter() -> None:
    student, teacher = images(0), images(1)
    view = TeacherView(lambda lr: Output(teacher, {}), student)
    step = Step(
        student, student, Output(student, {}), view, torch.tensor(0.0), 0.5, torch.Generator(), unseen
    )
    for params, weight in (({}, 0.25), ({"rkd": {"weight": 2.0}}, 2.0)):
        terms = registry.build("rkd", params).losses(step, nn.Module())
        assert list(terms) == ["rec", "rkd"]
        assert terms["rkd"].item() == pytest.approx(weight * by_loops(student, teacher))


def direction(a: list[float], b: list[float]) -> list[float]:
    length = math.dist(a, b)
    return [(x - y) / length if length else 0.0 for x, y in zip(a, b, strict=True)]


def cosines_by_loops(batch: Tensor) -> list[float]:
    f = [image.flatten().tolist() for image in batch]
    return [
        sum(x * y for x, y in zip(direction(a, b), direction(c, b), strict=True))
        for b in f
        for a in f
        for c in f
    ]


def angles_by_loops(student: Tensor, teacher: Tensor) -> float:
    pairs = zip(cosines_by_loops(student), cosines_by_loops(teacher), strict=True)
    gaps = [abs(s - t) for s, t in pairs]
    return sum(gap**2 / 2 if gap < 1 else gap - 0.5 for gap in gaps) / len(gaps)


def test_the_angles_of_a_triangle_are_as_worked_by_hand() -> None:
    def triangle(*points: tuple[float, float]) -> Tensor:
        return torch.tensor(points, dtype=torch.float64).view(3, 1, 1, 2)

    right = triangle((0, 0), (3, 0), (0, 4))  # cosines 0, .6 and .8
    equal = triangle((0, 0), (2, 0), (1, 3**0.5))  # and 1/2 everywhere
    torch.testing.assert_close(cosines(right)[0, 1, 2].item(), 0.0)
    torch.testing.assert_close(cosines(right)[1, 0, 2].item(), 0.6)
    torch.testing.assert_close(cosines(right)[2, 1, 0].item(), 0.8)
    by_hand = (
        2 * (0.5**2 + 0.1**2 + 0.3**2) / 2 / 27
    )  # each angle twice; all other entries are 0 or 1 in both
    assert angle_loss(right, equal).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("n", [3, 4, 6])
def test_angles_agree_with_plain_loops(n: int) -> None:
    student, teacher = images(0, n), images(1, n)
    assert angle_loss(student, teacher).item() == pytest.approx(angles_by_loops(student, teacher), rel=1e-10)


def test_angles_are_invariant_to_scaling_all_images() -> None:
    student, teacher = images(0), images(1)
    loss = angle_loss(student, teacher).item()
    assert loss > 1e-4
    assert angle_loss(255 * student + 7, teacher).item() == pytest.approx(loss, rel=1e-9)
    assert angle_loss(255 * student, 255 * student).item() == 0


def test_the_gradient_of_angles_is_that_of_the_formula() -> None:
    teacher = images(1)
    assert torch.autograd.gradcheck(lambda student: angle_loss(student, teacher), images(0).requires_grad_())


def test_equal_images_have_no_angle_and_give_a_small_gradient() -> None:
    student = images(0).float()
    student[1] = student[0]
    apart = images(0).float().requires_grad_()
    (usual,) = torch.autograd.grad(angle_loss(apart, images(1).float()), apart)
    for batch in (student, student[:1].repeat(4, 1, 1, 1)):
        batch = batch.clone().requires_grad_()
        (grad,) = torch.autograd.grad(angle_loss(batch, images(1).float()), batch)
        assert grad.isfinite().all()
        assert grad.norm() < 10 * usual.norm()


def step_of(student: Tensor, teacher: Tensor) -> Step:
    view = TeacherView(lambda lr: Output(teacher, {}), student)
    return Step(
        student, student, Output(student, {}), view, torch.tensor(0.0), 0.5, torch.Generator(), unseen
    )


def test_angles_are_a_separate_term_if_they_have_a_weight() -> None:
    student, teacher = images(0), images(1)
    terms = registry.build("rkd", {"rkd": {"angle": 50.0}}).losses(step_of(student, teacher), nn.Module())
    assert list(terms) == ["rec", "rkd", "angle"]
    assert terms["rkd"].item() == pytest.approx(0.25 * by_loops(student, teacher))
    assert terms["angle"].item() == pytest.approx(50 * angles_by_loops(student, teacher))
    assert list(registry.build("rkd", {}).losses(step_of(student, teacher), nn.Module())) == ["rec", "rkd"]


def test_angles_need_three_images_and_distances_need_two() -> None:
    assert registry.build("rkd", {}).min_batch == 2
    angles = registry.build("rkd", {"rkd": {"angle": 1.0}})
    assert angles.min_batch == 3
    assert registry.build("rkd+hkd", {"rkd": {"angle": 1.0}}).min_batch == 3
    assert hash(angles) != hash(registry.build("rkd", {}))


def test_runs_of_rkd_older_than_angles_are_still_found() -> None:
    assert registry.identity(registry.build("rkd", {}), "rkd") == {"rkd": {"version": 1, "weight": 0.25}}
    angles = registry.build("rkd", {"rkd": {"angle": 50.0}})
    said = registry.identity(angles, "rkd")
    assert said == {"rkd": {"version": 1, "weight": 0.25, "angle": 50.0}}
    assert registry.rebuild("rkd", said) == angles
