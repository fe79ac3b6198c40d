from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.methods import registry
from srkd_bench.methods.base import Step, TeacherView
from srkd_bench.methods.builtin.mipkd import Autoencoder, MiPKD, Mixer
from srkd_bench.networks.architectures.edsr import EDSR
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from tests.methods import unseen

STUDENT, TEACHER = ModelSpec(n_feats=4, n_resblocks=3), ModelSpec(n_feats=6, n_resblocks=6)
LR = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))


def two(*values: float) -> Tensor:
    """Return the one-channel features of one image of two pixels."""
    return torch.tensor(values).view(1, 1, 1, 2)


def times(factor: float) -> nn.Sequential:
    """Return an encoder or decoder that multiplies positive features by a factor."""
    layers = [nn.Conv2d(1, 1, 3, padding=1) for _ in range(2)]
    for layer in layers:
        nn.init.dirac_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has one
    layers[1].weight.data *= factor
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Mixer:
    """Return a mixer that draws the student's code for the first pixel and the teacher's for the second.

    Samples of mean 3 and deviation √2, and of mean 10 and deviation √8.
    """
    monkeypatch.setattr(torch, "rand", lambda shape, generator: two(0.2, 0.9).view(shape))
    mixer = Mixer(two(2.0, 4.0), two(8.0, 12.0), 1)
    mixer.student.encoder, mixer.student.decoder = times(2), times(0.5)
    mixer.teacher.encoder, mixer.teacher.decoder = times(4), times(0.75)
    return mixer


@pytest.mark.parametrize("continues", ["student", "teacher"])
def test_mipkd_is_worked_by_hand(by_hand: Mixer, continues: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randint", lambda *size, generator: torch.tensor([continues == "student"]))
    guided, hint = two(3 + 2 * 2**0.5, 3 + 2**0.5), two(10.0, 10 + 3 * 8**0.5)
    # Standardised: (2, 1) and (0, 3). Codes: (4, 2) and (0, 12). Their mixture: (4, 12).
    # Restored by the teacher's decoder: (3, 9), which differs from (0, 3) by 3 and 6: 4.5 on average.
    # The student's auto-encoder restores (2, 1): 0. The teacher's restores (0, 9), which differs by 0 and 6: 3.
    # By the student's decoder the mixture is (2, 6): 3 + √2·(2, 6). By the teacher's 10 + √8·(3, 9).
    resumed: list[tuple[str, float, Tensor]] = []

    def resume(who: str, tap: float, features: Tensor, *lr: Tensor) -> Tensor:
        resumed.append((who, tap, features))
        return torch.full((1, 3, 2, 4), 0.7)

    images, sr = torch.zeros(1, 3, 1, 2), torch.full((1, 3, 2, 4), 0.5)
    view = TeacherView(
        lambda lr: Output(sr, {1.0: hint}), images, resume=lambda *given: resume("teacher", *given)
    )
    output = Output(torch.full((1, 3, 2, 4), 0.2), {1.0: guided})
    step = Step(
        images, images, output, view, torch.tensor(0.25), 0.5, torch.Generator(), unseen,
        resume=lambda *given: resume("student", *given),
    )  # fmt: skip
    weights = {"weight": 2.0, "block": 3.0, "response": 5.0, "levels": 1}
    for loss, power in (("mse", 2), ("l1", 1)):
        terms = registry.build("mipkd", {"mipkd": weights}, loss).losses(step, nn.ModuleList([by_hand]))  # type: ignore[arg-type]
        found = {name: term.item() for name, term in terms.items()}
        wanted = {"rec": 0.25, "response": 5 * 0.3**power, "feature": 2 * 4.5, "autoencoder": 2 * 3.0}
        assert found == pytest.approx(wanted | {"block": 3 * 0.2**power}, rel=1e-5)
        ((who, tap, features),) = resumed
        assert (who, tap) == (continues, 1.0)
        restored = {"student": two(3 + 2 * 2**0.5, 3 + 6 * 2**0.5), "teacher": 10 + 8**0.5 * two(3.0, 9.0)}
        torch.testing.assert_close(features, restored[continues])
        resumed.clear()


def taught(
    seed: int = 0, **params: Any
) -> tuple[EDSR, EDSR, nn.Module, dict[str, Tensor], list[tuple[str, float]]]:
    """Return student, teacher, adapter, the terms of a step, and which networks were resumed and where."""
    student, teacher, resumed = build(STUDENT, 0), build(TEACHER, 1).requires_grad_(False), []
    method = MiPKD(**params)
    adapter = method.adapter(teacher, student, LR)

    def resume(who: str, network: EDSR, tap: float, features: Tensor) -> Tensor:
        resumed.append((who, tap))
        return network.resume(tap, features, LR)

    view = TeacherView(
        lambda lr: teacher(lr, method.taps), LR,
        resume=lambda tap, features, lr: resume("teacher", teacher, tap, features),
    )  # fmt: skip
    output = student(LR, method.taps)
    hr = F.interpolate(LR, scale_factor=2)
    step = Step(
        LR, hr, output, view, F.mse_loss(output.sr, hr), 0.5, torch.Generator().manual_seed(seed), unseen,
        resume=lambda tap, features: resume("student", student, tap, features),
    )  # fmt: skip
    return student, teacher, adapter, method.losses(step, adapter), resumed


def reached(loss: Tensor, network: nn.Module) -> set[str]:
    """Return the names of the weights to which a loss gives a gradient other than zero."""
    names, weights = zip(*network.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return {name for name, grad in zip(names, grads, strict=True) if grad is not None and grad.any()}


def test_every_term_but_the_autoencoders_gives_the_student_a_gradient() -> None:
    student, _, adapter, terms, _ = taught()
    body = {name for name, _ in student.named_parameters() if name.startswith(("head", "body.0", "body.1"))}
    assert body <= reached(terms["response"], student)
    assert reached(terms["feature"], student) == {
        name
        for name, _ in student.named_parameters()
        if name.startswith(("head", *map("body.{}.".format, range(3))))
    }
    assert body <= reached(terms["block"], student)
    assert reached(terms["autoencoder"], student) == set()
    assert reached(terms["autoencoder"], adapter) == {name for name, _ in adapter.named_parameters()}
    assert MiPKD.beside == ("autoencoder",)


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_gradients_flow_through_the_network_that_continues(who: str) -> None:
    seed = next(seed for seed in range(100) if taught(seed)[4] == [(who, tap) for tap in MiPKD.taps])
    student, teacher, adapter, terms, _ = taught(seed)
    names = reached(terms["block"], student)
    assert {"head.0.weight", "body.0.body.0.weight", "body.2.body.2.bias"} <= names
    # The tail of the student is reached if it continues itself.
    assert ("tail.1.weight" in names) == (who == "student")
    assert {name.split(".")[1] for name in reached(terms["block"], adapter) if "decoder" in name} == {who}
    teacher.requires_grad_(True)
    terms["block"].backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is None for weight in teacher.parameters())


def test_the_networks_that_continue_are_drawn_level_by_level() -> None:
    drawn = [tuple(who for who, _ in taught(seed)[4]) for seed in range(40)]
    assert len(set(drawn)) == 8
    for level in zip(*drawn, strict=True):
        assert 8 < level.count("student") < 32


def test_the_mixture_takes_each_element_at_random_alike_for_all_images() -> None:
    guided, hint = torch.randn(4, 3, 20, 20), torch.randn(4, 5, 20, 20)
    mixer = Mixer(guided, hint, 8)
    code = mixer.mixture(guided, hint, 0.25, torch.Generator().manual_seed(0))
    own, other = mixer.student.encoder(guided), mixer.teacher.encoder(hint)
    is_own = code == own
    assert torch.equal(code, torch.where(is_own, own, other))
    assert all(torch.equal(is_own[0], one) for one in is_own)
    assert is_own.float().mean().item() == pytest.approx(0.25, abs=0.03)
    channels = is_own[0].float()
    assert channels.mean((1, 2)).std() < 0.05  # neither whole channels nor whole pixels
    assert 0.05 < channels.mean(0).std() < 0.25
    again = mixer.mixture(guided, hint, 0.25, torch.Generator().manual_seed(0))
    assert torch.equal(code, again)
    assert torch.equal(mixer.mixture(guided, hint, 1.0, torch.Generator()), own)


def test_features_are_standardised_and_restored() -> None:
    sample = 20 * torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(0)) - 4
    coder = Autoencoder(sample, 4)
    deviation, mean = torch.std_mean(coder(sample), dim=(0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(deviation, torch.ones(3), rtol=1e-4, atol=0)
    coder.decoder = nn.Sequential()
    torch.testing.assert_close(coder.restored(coder(sample)), sample, rtol=1e-4, atol=1e-4)


def test_levels_are_at_equal_distances_and_codes_have_the_students_channels() -> None:
    assert [*MiPKD().taps] == [*MiPKD.taps] == [1 / 3, 2 / 3, 1.0]
    assert [*MiPKD(levels=1).taps] == [1.0]
    assert [*MiPKD(levels=4).taps] == [0.25, 0.5, 0.75, 1.0]
    for width, wanted in ((0, 4), (7, 7)):
        _, _, adapter, _, resumed = taught(levels=2, width=width)
        assert [tap for _, tap in resumed] == [0.5, 1.0]
        assert [mixer.student.encoder[-1].out_channels for mixer in adapter] == [wanted] * 2  # type: ignore[attr-defined]
        shapes = {(one.encoder[0].in_channels, one.decoder[-1].out_channels) for one in adapter[0].children()}  # type: ignore[index]
        assert shapes == {(4, 4), (6, 6)}
