import math

import pytest
import torch

from srkd_bench.config.base import Loss
from srkd_bench.methods.distances import Domain, distance, haar, off_diagonal


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_elements_and_their_gradients_are_those_of_a_boolean_index(count: int) -> None:
    pairs = torch.rand(count, count, generator=torch.Generator().manual_seed(0), requires_grad=True)
    others = ~torch.eye(count, dtype=torch.bool)
    expected = pairs[others].view(count, count - 1)
    assert torch.equal(off_diagonal(pairs), expected)
    (by_index,) = torch.autograd.grad(expected.square().mean(), pairs)
    (gradient,) = torch.autograd.grad(off_diagonal(pairs).square().mean(), pairs)
    assert torch.equal(gradient, by_index)


def by_hand(image: list[list[float]]) -> tuple[list[list[float]], list[float]]:
    """Return the next approximation and all details of an image of even sides, by loops."""
    approximation, details = [], []
    for y in range(0, len(image), 2):
        approximation.append([0.0] * (len(image[0]) // 2))
        for x in range(0, len(image[0]), 2):
            a, b, c, d = image[y][x], image[y][x + 1], image[y + 1][x], image[y + 1][x + 1]
            approximation[-1][x // 2] = (a + b + c + d) / 2
            details += [(a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2]
    return approximation, details


@pytest.mark.parametrize("loss", ["l1", "mse"])
def test_the_wavelet_distance_is_as_worked_by_loops(loss: Loss) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.rand(2, 1, 1, 16, 16, dtype=torch.float64, generator=generator)
    image, expected = (student - teacher)[0, 0].tolist(), 0.0
    power = {"l1": 1, "mse": 2}[loss]
    for _ in range(4):
        image, details = by_hand(image)
        expected += sum(abs(one) ** power for one in details) / len(details)
    expected += abs(image[0][0]) ** power
    assert distance(student, teacher, loss, "wavelet").item() == pytest.approx(expected, rel=1e-12)


def test_the_wavelet_distance_worked_by_hand() -> None:
    student = torch.zeros(1, 1, 16, 16)
    student[..., 0, 0] = 1.0
    # Level k, from 1: three of 3 * (16 / 2**k)² details are 1 / 2**k; the last approximation is 1 / 16.
    expected = sum(0.5**k / (16 / 2**k) ** 2 for k in (1, 2, 3, 4)) + 0.5**4
    assert distance(student, torch.zeros_like(student), "l1", "wavelet").item() == pytest.approx(expected)


@pytest.mark.parametrize(("height", "width"), [(16, 32), (7, 13), (1, 1)])
def test_the_haar_transform_is_orthonormal_also_with_odd_sides(height: int, width: int) -> None:
    images = torch.rand(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    approximation, details = haar(images)
    energy = approximation.square().sum() + sum(one.square().sum() for one in details)
    assert energy.item() == pytest.approx(images.square().sum().item(), rel=1e-12)
    assert [one.shape[-2] for one in details] == [math.ceil(height / 2**level) for level in (1, 2, 3, 4)]


def test_an_odd_side_is_extended_by_zeros() -> None:
    approximation, (details,) = haar(torch.tensor([[[[2.0, 4.0, 6.0]]]]), levels=1)
    assert approximation.tolist() == [[[[3.0, 3.0]]]]
    assert details.tolist() == [[[[[3.0, 3.0]], [[-1.0, 3.0]], [[-1.0, 3.0]]]]]


@pytest.mark.parametrize("domain", ["pixels", "wavelet"])
def test_equal_images_have_no_distance_and_different_ones_a_gradient(domain: Domain) -> None:
    images = torch.rand(2, 3, 10, 12, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert distance(images, images.detach(), "l1", domain).item() == 0
    (gradient,) = torch.autograd.grad(distance(images, images.detach() + 0.1, "mse", domain), images)
    assert (gradient != 0).all()
