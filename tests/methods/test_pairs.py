import pytest
import torch

from srkd_bench.methods.pairs import off_diagonal


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_elements_and_their_gradients_are_those_of_a_boolean_index(count: int) -> None:
    pairs = torch.rand(count, count, generator=torch.Generator().manual_seed(0), requires_grad=True)
    others = ~torch.eye(count, dtype=torch.bool)
    expected = pairs[others].view(count, count - 1)
    assert torch.equal(off_diagonal(pairs), expected)
    (by_index,) = torch.autograd.grad(expected.square().mean(), pairs)
    (gradient,) = torch.autograd.grad(off_diagonal(pairs).square().mean(), pairs)
    assert torch.equal(gradient, by_index)
