import pytest
import torch
from torch import Tensor

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.seeding import seeded
from srkd_bench.methods import registry
from srkd_bench.methods.base import Step, TeacherView
from srkd_bench.methods.builtin.fitnet import Regressor
from srkd_bench.methods.features import sample_features
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from tests.methods import unseen


def features(channels: int, seed: int, n: int = 4) -> Tensor:
    return torch.randn(n, channels, 6, 6, generator=torch.Generator().manual_seed(seed))


def two(*values: float) -> Tensor:
    """Return the one-channel features of one image of two pixels."""
    return torch.tensor(values).view(1, 1, 1, 2)


def test_fitnet_is_worked_by_hand() -> None:
    # Samples of mean 3 and deviation √2, and of mean 10 and deviation √8.
    regressor = Regressor(two(2.0, 4.0), two(8.0, 12.0))
    with torch.no_grad():
        regressor.convolution.weight.fill_(0.5)
        assert regressor.convolution.bias is not None
        regressor.convolution.bias.fill_(1.0)
    guided, hint = two(3.0, 3 + 2 * 2**0.5), two(10.0, 10 + 8**0.5)
    # Standardised: (0, 2) and (0, 1); regressed: (1, 2). Differences of 1 and 1.
    images = torch.zeros(1, 3, 1, 2)
    view = TeacherView(lambda lr: Output(images, {0.5: hint}), images)
    output, rec = Output(images, {0.5: guided}), torch.tensor(0.0)
    step = Step(images, images, output, view, rec, 0.5, torch.Generator(), unseen)
    for params, weight in (({}, 0.0015), ({"fitnet": {"weight": 7.0}}, 7.0)):
        terms = registry.build("fitnet", params).losses(step, regressor)
        assert list(terms) == ["rec", "fitnet"]
        assert terms["fitnet"].item() == pytest.approx(weight, rel=1e-5)
        hint.copy_(two(10.0, 10 + 3 * 8**0.5))  # (0, 3): differences of 1 and 1 still
        assert registry.build("fitnet", params).losses(step, regressor)["fitnet"].item() == pytest.approx(
            weight, rel=1e-5
        )
        hint.copy_(two(10.0, 10 + 8**0.5))


def test_features_of_both_networks_are_standardised_per_channel() -> None:
    guided, hint = 20 * features(5, 0, n=16) - 4, 3 + 30 * features(6, 1, n=16)
    regressor = Regressor(guided, hint)
    with torch.no_grad():
        regressor.convolution.weight.copy_(torch.eye(6, 5).view(6, 5, 1, 1))
        assert regressor.convolution.bias is not None
        regressor.convolution.bias.zero_()
    regressed, standardised = regressor(guided, hint)
    for one in (regressed[:, :5], standardised):
        deviation, mean = torch.std_mean(one, dim=(0, 2, 3))
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-5)
        torch.testing.assert_close(deviation, torch.ones_like(mean), rtol=1e-4, atol=0)


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    still = torch.ones(2, 3, 4, 4)
    regressed, standardised = Regressor(still, still)(still, still)
    assert regressed.isfinite().all()
    assert (standardised == 0).all()


def test_statistics_are_of_the_given_patches_and_are_not_trained() -> None:
    student, teacher = (build(ModelSpec(n_feats=n, n_resblocks=4), n) for n in (4, 6))
    lr = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with seeded("test"):
        adapter = registry.build("fitnet", {}).adapter(teacher, student, lr)
    assert [name for name, _ in adapter.named_parameters()] == ["convolution.weight", "convolution.bias"]
    assert adapter.get_parameter("convolution.weight").shape == (6, 4, 1, 1)
    for name, network in (("guided", student), ("hint", teacher)):
        with torch.no_grad():
            middle = network(lr, (0.5,)).feats[0.5]
        torch.testing.assert_close(adapter.get_buffer(f"{name}_mean"), middle.mean((0, 2, 3), keepdim=True))
        torch.testing.assert_close(
            adapter.get_buffer(f"{name}_deviation"), middle.std((0, 2, 3), keepdim=True)
        )


def test_sampled_features_carry_no_gradient_and_are_those_of_all_images() -> None:
    network = build(ModelSpec(n_feats=4, n_resblocks=4), 0)
    lr = torch.rand(11, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    sampled, whole = sample_features(network, lr, (0.25, 1.0)), network(lr, (0.25, 1.0)).feats
    assert sampled.keys() == whole.keys()
    for tap, one in sampled.items():
        assert not one.requires_grad
        torch.testing.assert_close(one, whole[tap].detach())
