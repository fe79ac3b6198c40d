import math

import pytest
import torch
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Method, Step, TeacherView
from srkd_bench.methods.builtin.fakd import FAKD, affinity, affinity_loss
from srkd_bench.networks.base import BODY, HEAD, Output
from srkd_bench.networks.loading import build
from tests.methods import unseen


def features(channels: int, seed: int, n: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, channels, 3, 4, dtype=torch.float64, generator=generator)


def affinity_by_loops(one: Tensor) -> list[list[float]]:
    """Return the cosines between all pixels of a map (C, h, w), row by row."""
    pixels = one.flatten(1).T.tolist()
    norms = [math.hypot(*pixel) for pixel in pixels]
    return [
        [sum(a * b for a, b in zip(p, q, strict=True)) / (m * n) for q, n in zip(pixels, norms, strict=True)]
        for p, m in zip(pixels, norms, strict=True)
    ]


def loss_by_loops(guided: Tensor, hint: Tensor) -> float:
    gaps = [
        abs(s - t)
        for one, other in zip(guided, hint, strict=True)
        for rows in zip(affinity_by_loops(one), affinity_by_loops(other), strict=True)
        for s, t in zip(*rows, strict=True)
    ]
    return sum(gaps) / len(gaps)


def losses(
    method: Method, seed: int = 0
) -> tuple[Losses, dict[float, tuple[Tensor, Tensor]], Tensor, Tensor]:
    levels = {tap: (features(5, i), features(6, 10 + i)) for i, tap in enumerate(method.taps)}
    student, teacher = features(3, 20), features(3, 21)
    view = TeacherView(lambda lr: Output(teacher, {tap: hint for tap, (_, hint) in levels.items()}), student)
    output = Output(student, {tap: guided for tap, (guided, _) in levels.items()})
    own = torch.Generator().manual_seed(seed)
    lr = torch.zeros(2, 3, 3, 4)
    step = Step(lr, lr, output, view, torch.tensor(0.25), 0.5, own, unseen)
    return method.losses(step, nn.Module()), levels, student, teacher


def test_an_affinity_is_as_worked_by_hand() -> None:
    # Three pixels: (3, 4), (8, 6) and (-4, 3), in a row.
    one = torch.tensor([[3.0, 8.0, -4.0], [4.0, 6.0, 3.0]]).view(1, 2, 1, 3)
    by_hand = torch.tensor([[[1.0, 0.96, 0.0], [0.96, 1.0, -0.28], [0.0, -0.28, 1.0]]])
    torch.testing.assert_close(affinity(one), by_hand)
    other = torch.tensor([[1.0, 1.0, 1.0]]).view(1, 1, 1, 3)  # one channel: all alike
    assert affinity_loss(one, other).item() == pytest.approx(2 * (0.04 + 1 + 1.28) / 9)


def test_fakd_agrees_with_plain_loops() -> None:
    terms, levels, student, teacher = losses(FAKD(weight=20.0, response=1.0, loss="l1"))
    assert list(terms) == ["rec", "response", "fakd"]
    assert terms["response"].item() == pytest.approx((student - teacher).abs().mean().item())
    by_loops = 20 * sum(loss_by_loops(guided, hint) for guided, hint in levels.values())
    assert terms["fakd"].item() == pytest.approx(by_loops, rel=1e-6)


def test_the_papers_parameters_give_the_papers_loss_up_to_a_constant() -> None:
    params = {"weight": 20 / 255, "response": 1.0}
    terms, levels, student, teacher = losses(registry.build("fakd", {"fakd": params}, "l1"))
    paper = 0.5 * 255 * 0.25 + 0.5 * (255 * student - 255 * teacher).abs().mean().item()  # in 0..255
    paper += 10 * sum(loss_by_loops(*level) for level in levels.values())
    assert sum(term.item() for term in terms.values()) == pytest.approx(2 * paper / 255, rel=1e-6)


@pytest.mark.parametrize(("blocks", "theirs"), [(16, (5, 10)), (32, (10, 21))])
def test_parameters_give_the_authors_levels(blocks: int, theirs: tuple[int, int]) -> None:
    method = FAKD(first=0.3125, second=0.65, skip=True)
    network = build(ModelSpec(n_feats=2, n_resblocks=blocks), 0)
    lr = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    output = network(lr, method.taps)
    *cuts, last = method._levels(output.feats)
    at = [block / blocks for block in theirs]
    assert all(map(torch.equal, cuts, (network(lr, at).feats[tap] for tap in at)))
    assert torch.equal((network.tail(last) + network.mean) / 255, output.sr)  # the upsampler's input


def test_skip_compares_the_upsamplers_input() -> None:
    method = registry.build("fakd", {"fakd": {"weight": 20.0, "skip": True}})
    terms, levels, _, _ = losses(method)
    head, first, second, body = (levels[tap] for tap in (HEAD, 1 / 3, 2 / 3, BODY))
    third = head[0] + body[0], head[1] + body[1]
    by_loops = 20 * sum(loss_by_loops(*level) for level in (first, second, third))
    assert terms["fakd"].item() == pytest.approx(by_loops, rel=1e-6)


def test_levels_out_of_order_are_rejected() -> None:
    for first, second in ((0.6, 0.5), (0.5, 0.5), (0.5, 1.0)):
        with pytest.raises(SrkdError, match=r"^params\.fakd: first \(0\.\d\) must be less than second"):
            registry.build("fakd", {"fakd": {"first": first, "second": second}})


def test_the_srs_are_compared_by_mse_by_default() -> None:
    terms, _, student, teacher = losses(registry.build("fakd", {"fakd": {"response": 3.0}}))
    assert terms["response"].item() == pytest.approx(3 * (student - teacher).square().mean().item())
    terms, _, student, teacher = losses(registry.build("fakd", {"fakd": {"response": 3.0}}, "l1"))
    assert terms["response"].item() == pytest.approx(3 * (student - teacher).abs().mean().item())


def test_affinities_are_invariant_to_the_length_of_pixel_vectors() -> None:
    guided, hint = features(5, 0), features(6, 1)
    loss = affinity_loss(guided, hint).item()
    lengths = 0.1 + features(1, 2).abs()
    assert affinity_loss(255 * lengths * guided, hint).item() == pytest.approx(loss)


def test_the_loss_is_zero_where_the_affinities_are_equal() -> None:
    hint = features(6, 1)
    assert affinity_loss(hint.flip(1), hint).item() == pytest.approx(0, abs=1e-12)


def test_a_pixel_of_zeros_gives_a_finite_gradient() -> None:
    guided = features(5, 0).float()
    guided[:, :, 0, 0] = 0
    guided.requires_grad_()
    (grad,) = torch.autograd.grad(affinity_loss(guided, features(6, 1).float()), guided)
    assert grad.isfinite().all()


def test_the_gradient_is_that_of_the_formula() -> None:
    hint = features(6, 1)
    assert torch.autograd.gradcheck(
        lambda guided: affinity_loss(guided, hint), features(5, 0).requires_grad_()
    )


def test_no_matrix_exceeds_the_number_of_positions() -> None:
    chosen = torch.tensor([7, 2, 11])
    guided, hint = features(5, 0), features(6, 1)
    assert affinity(guided, chosen).shape == (2, 3, 3)
    whole = affinity(guided)[:, chosen][:, :, chosen]
    torch.testing.assert_close(affinity(guided, chosen), whole)
    expected = (whole - affinity(hint)[:, chosen][:, :, chosen]).abs().mean()
    torch.testing.assert_close(affinity_loss(guided, hint, chosen), expected)


def test_positions_are_drawn_with_the_methods_generator_only_if_needed() -> None:
    whole, few = FAKD(positions=12), FAKD(positions=5)
    assert losses(whole, 0)[0]["fakd"] == losses(whole, 1)[0]["fakd"]
    assert losses(few, 0)[0]["fakd"] == losses(few, 0)[0]["fakd"]
    assert losses(few, 0)[0]["fakd"] != losses(few, 1)[0]["fakd"]
    mean = sum(losses(few, seed)[0]["fakd"].item() for seed in range(400)) / 400
    # The diagonal's zeros are a fifth of the entries instead of a twelfth.
    assert mean == pytest.approx(losses(whole)[0]["fakd"].item() * (1 - 1 / 5) / (1 - 1 / 12), rel=0.03)
