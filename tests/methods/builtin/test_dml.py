from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.seeding import seeded
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Method, Step, TeacherView
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from tests.methods import unseen


class Fixed(nn.Module):
    """A peer with constant SR."""

    def __init__(self, sr: Tensor) -> None:
        super().__init__()
        self.sr = nn.Parameter(sr)

    def forward(self, lr: Tensor) -> Output:
        return Output(self.sr, {})


def row(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def never(lr: Tensor) -> Output:
    raise AssertionError("a teacher is used")


def shown(student: Tensor, hr: Tensor) -> Step:
    rec = F.mse_loss(student, hr)
    return Step(hr, hr, Output(student, {}), TeacherView(never, hr), rec, 0.5, torch.Generator(), unseen)


def losses(student: Tensor, peer: nn.Module, hr: Tensor, **params: float | str) -> Losses:
    return registry.build("dml", {"dml": params}).losses(shown(student, hr), peer)


def test_dml_is_as_worked_by_hand() -> None:
    student, peer, hr = row(0.1, 0.2), Fixed(row(0.3, 0.2)), row(0.0, 0.0)
    # Student to HR (.01 + .04)/2, peer to HR (.09 + .04)/2, one to the other (.04 + 0)/2.
    cases: list[tuple[dict[str, float | str], float]] = [({}, 0.4), ({"weight": 3.0}, 3.0)]
    for params, weight in cases:
        terms = {name: term.item() for name, term in losses(student, peer, hr, **params).items()}
        assert terms == pytest.approx({"rec": 0.025, "dml": 0.02 * weight, "peer": 0.065 + 0.02 * weight})
    # In L1, one to the other is (.2 + 0)/2; the peer to HR is still by the step's loss.
    terms = {name: term.item() for name, term in losses(student, peer, hr, loss="l1").items()}
    assert terms == pytest.approx({"rec": 0.025, "dml": 0.4 * 0.1, "peer": 0.065 + 0.4 * 0.1})


def test_each_peer_learns_from_hr_and_the_detached_other() -> None:
    student, peer, hr = row(0.1, 0.2).requires_grad_(), Fixed(row(0.3, 0.2)), row(0.0, 0.0)
    terms = losses(student, peer, hr, weight=1.0)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    # d/dS of the mean of two squares: (S - y) + (S - P), and the same the other way round.
    assert student.grad is not None
    assert peer.sr.grad is not None
    torch.testing.assert_close(student.grad, row(0.1 - 0.2, 0.2))
    torch.testing.assert_close(peer.sr.grad, row(0.3 + 0.2, 0.2))


def test_the_peer_uses_the_suites_loss_against_hr() -> None:
    step = shown(row(0.3, 0.2), row(0.0, 0.0))
    step = Step(**vars(step) | {"loss": F.l1_loss})
    terms = registry.build("dml", {}).losses(step, Fixed(row(0.3, 0.2)))
    assert terms["peer"].item() == pytest.approx(0.25)


def test_the_peer_uses_the_trainings_precision() -> None:
    inside: list[bool] = []

    @contextmanager
    def precision() -> Iterator[None]:
        inside.append(True)
        yield
        inside.append(False)

    class Watched(Fixed):
        def forward(self, lr: Tensor) -> Output:
            assert inside == [True]
            return super().forward(lr)

    step = Step(**vars(shown(row(0.3, 0.2), row(0.0, 0.0))) | {"autocast": precision})
    registry.build("dml", {}).losses(step, Watched(row(0.3, 0.2)))
    assert inside == [True, False]


def peer_of(student: nn.Module, method: Method | None = None) -> nn.Module:
    with seeded("test"):
        return (method or registry.build("dml", {})).adapter(None, student, torch.rand(2, 3, 8, 8))


def test_the_peer_has_other_initial_weights() -> None:
    student = build(ModelSpec(n_feats=4, n_resblocks=4), 0)
    before = [weight.clone() for weight in student.parameters()]
    peer = peer_of(student)
    weights = dict(peer.named_parameters())
    for name, weight in student.named_parameters():
        assert weights[name].shape == weight.shape
        assert not torch.equal(weights[name], weight), name
        if weight.ndim == 4:  # drawn from the same distribution
            assert weights[name].std().item() == pytest.approx(weight.std().item(), rel=0.3), name
    assert all(map(torch.equal, student.parameters(), before))
    again = peer_of(student)
    assert all(map(torch.equal, again.parameters(), peer.parameters()))


def test_a_student_that_cannot_be_reinitialised_is_rejected() -> None:
    with pytest.raises(SrkdError, match="other initial weights") as caught:
        peer_of(Fixed(row(0.1)))
    assert "reset_parameters" in caught.value.hint
