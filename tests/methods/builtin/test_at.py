import pytest
import torch
from torch import Tensor, nn

from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Step, TeacherView
from srkd_bench.methods.builtin.at import attention
from srkd_bench.networks.base import Output
from tests.methods import unseen

TAPS = (0.25, 0.5, 0.75, 1.0)


def level(*channels: list[float]) -> Tensor:
    """Return the features of one image of one row."""
    return torch.tensor(channels).view(1, len(channels), 1, -1)


def losses(guided: dict[float, Tensor], hints: dict[float, Tensor], **params: float) -> Losses:
    images = torch.zeros(1, 3, 1, 2)
    view = TeacherView(lambda lr: Output(images, hints), images)
    rec = torch.tensor(0.0)
    step = Step(images, images, Output(images, guided), view, rec, 0.5, torch.Generator(), unseen)
    return registry.build("at", {"at": params}).losses(step, nn.Module())


def test_an_attention_map_is_the_mean_square_over_channels_at_norm_1() -> None:
    # Mean squares of 9 and 12: (9, 12) / 15.
    assert attention(level([3.0, 4.0], [3.0, -(8**0.5)])).flatten().tolist() == pytest.approx([0.6, 0.8])


def test_at_is_the_sum_of_the_levels_mean_squared_differences_times_its_weight() -> None:
    strong_left, strong_right = level([1.0, 0.0]), level([0.0, 2.0], [0.0, -3.0])
    even = level([5.0, 5.0])
    guided = dict.fromkeys(TAPS, strong_left) | {1.0: even}
    hints = dict.fromkeys(TAPS, strong_left) | {0.25: strong_right, 1.0: strong_right}
    # (1, 0) against (0, 1) is 2 over two pixels; (√½, √½) against (0, 1) is ½ + (1 - √½)² over two.
    by_hand = 1 + (0.5 + (1 - 0.5**0.5) ** 2) / 2
    terms = losses(guided, hints, weight=1000.0)
    assert list(terms) == ["rec", "at"]
    assert terms["at"].item() == pytest.approx(1000 * by_hand, rel=1e-6)
    assert losses(guided, hints)["at"].item() == pytest.approx(by_hand / 4, rel=1e-6)  # the default
    assert registry.build("at", {}).taps == TAPS


def test_each_image_is_normalised_separately() -> None:
    features = torch.rand(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([attention(one[None]) for one in features])
    torch.testing.assert_close(attention(features), alone)
    torch.testing.assert_close(attention(features).norm(dim=1), torch.ones(3))


def test_at_is_invariant_to_feature_scale_and_channel_count() -> None:
    features = torch.rand(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attention(40 * features), attention(features))
    torch.testing.assert_close(attention(torch.cat([features, features], dim=1)), attention(features))


def test_features_of_zeros_give_a_finite_gradient() -> None:
    guided = torch.zeros(1, 2, 3, 3, requires_grad=True)
    (grad,) = torch.autograd.grad((attention(guided) - 0.1).square().mean(), guided)
    assert grad.isfinite().all()
