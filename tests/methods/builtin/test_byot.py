import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Step, TeacherView
from srkd_bench.methods.builtin.byot import Exits
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from tests.methods import unseen

TAPS = (0.25, 0.5, 0.75)


def never(lr: Tensor) -> Output:
    raise AssertionError("a teacher is used")


class Fixed(nn.Module):
    """Exits of given SRs."""

    def __init__(self, *levels: float) -> None:
        super().__init__()
        self.levels = nn.ParameterList(torch.full((1, 3, 2, 2), level) for level in levels)

    def forward(self, lr: Tensor, feats: list[Tensor]) -> list[Tensor]:
        return list(self.levels)


def shown(student: Tensor, hr: Tensor) -> Step:
    feats = dict.fromkeys(TAPS, torch.zeros(1, 4, 1, 1))
    lr, rec = torch.zeros(1, 3, 1, 1), F.mse_loss(student, hr)
    return Step(lr, hr, Output(student, feats), TeacherView(never, lr), rec, 0.5, torch.Generator(), unseen)


def losses(student: Tensor, exits: nn.Module, hr: Tensor, **params: float | str) -> Losses:
    return registry.build("byot", {"byot": params}).losses(shown(student, hr), exits)


def test_byot_is_as_worked_by_hand() -> None:
    hr, student = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.1)
    exits = Fixed(0.3, 0.2, 0.1)
    # Against HR .09 + .04 + .01, against the student's SR .04 + .01 + 0.
    cases: list[tuple[dict[str, float | str], float, float]] = [
        ({}, 1.0, 0.3),
        ({"weight": 2.0, "alpha": 0.5}, 2.0, 0.5),
    ]
    for params, weight, alpha in cases:
        terms = {name: term.item() for name, term in losses(student, exits, hr, **params).items()}
        expected = {"rec": 0.01, "exits": weight * (1 - alpha) * 0.14, "byot": weight * alpha * 0.05}
        assert terms == pytest.approx(expected)
    # In L1, against the student's SR .2 + .1 + 0.
    assert losses(student, exits, hr, loss="l1")["byot"].item() == pytest.approx(0.3 * 0.3)


def test_the_deepest_output_gets_no_gradient_from_exits() -> None:
    student, exits = torch.full((1, 3, 2, 2), 0.1, requires_grad=True), Fixed(0.3, 0.2, 0.1)
    terms = losses(student, exits, torch.zeros(1, 3, 2, 2))
    (of_student,) = torch.autograd.grad(terms["byot"], student, retain_graph=True, allow_unused=True)
    assert of_student is None
    gradients = torch.autograd.grad(terms["byot"], list(exits.parameters()))
    # 0.3 · 2 (E - S) over 12 pixels.
    assert [one.sum().item() for one in gradients] == pytest.approx([0.12, 0.06, 0.0])


def test_the_exits_use_the_suites_loss_against_hr() -> None:
    step = shown(torch.full((1, 3, 2, 2), 0.1), torch.zeros(1, 3, 2, 2))
    step = Step(**vars(step) | {"loss": F.l1_loss})
    terms = registry.build("byot", {}).losses(step, Fixed(0.3, 0.2, 0.1))
    assert terms["exits"].item() == pytest.approx(0.7 * 0.6)


def test_an_exit_adds_its_convolution_to_the_enlarged_image() -> None:
    exits = Exits([1], 2)
    tail = exits.tails[0]
    assert isinstance(tail, nn.Conv2d)
    assert tail.bias is not None
    with torch.no_grad():
        tail.weight.zero_()
        tail.bias.copy_(255 * torch.arange(12) / 100)  # 4 pixels for red, 4 for green, 4 for blue
    lr = torch.full((1, 3, 2, 2), 0.5)
    (sr,) = exits(lr, [torch.zeros(1, 1, 2, 2)])
    assert sr.shape == (1, 3, 4, 4)
    expected = torch.tensor([[0.5, 0.51], [0.52, 0.53]]).repeat(2, 2)
    torch.testing.assert_close(sr[0], torch.stack([expected, expected + 0.04, expected + 0.08]))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_exits_have_the_size_of_hr_at_every_scale(scale: int) -> None:
    student = build(ModelSpec.model_validate({"n_feats": 5, "n_resblocks": 4, "scale": scale}), 0)
    lr = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    adapter = registry.build("byot", {}).adapter(None, student, lr)
    output = student(lr, TAPS)
    exits = adapter(lr, [output.feats[tap] for tap in TAPS])
    assert [one.shape for one in exits] == [output.sr.shape] * 3
    light = sum(weight.numel() for weight in adapter.parameters())
    assert light == 3 * (9 * 5 + 1) * 3 * scale**2


def test_an_exit_trains_only_the_blocks_before_it() -> None:
    student = build(ModelSpec(n_feats=4, n_resblocks=4), 0)
    lr = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    adapter = registry.build("byot", {}).adapter(None, student, lr)
    feats = student(lr, TAPS).feats
    firsts = [student.get_parameter(f"body.{block}.body.0.weight") for block in range(4)]
    for depth, sr in enumerate(adapter(lr, [feats[tap] for tap in TAPS]), start=1):
        grads = torch.autograd.grad(sr.square().sum(), firsts, retain_graph=True, allow_unused=True)
        assert [grad is not None for grad in grads] == [block < depth for block in range(4)]
