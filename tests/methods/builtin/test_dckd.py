import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.methods import encoders, registry
from srkd_bench.methods.base import Losses, Step, TeacherView
from srkd_bench.methods.builtin import dckd
from srkd_bench.methods.builtin.dckd import divergence, noisy
from srkd_bench.networks.base import Output
from srkd_bench.networks.loading import build
from srkd_bench.training.contract import checks
from tests.conftest import Srkd
from tests.methods import unseen
from tests.support.encoder_files import encoder_file
from tests.support.tiny_suite import tiny_suite


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Doubled(nn.Module):
    """A history whose SR is its LR, each pixel repeated."""

    def forward(self, lr: Tensor) -> Output:
        return Output(F.interpolate(lr, scale_factor=2), {})


def features(images: Tensor) -> tuple[Tensor, ...]:
    """Return two feature maps, and the scores of three codes."""
    return images, F.avg_pool2d(images, 2)[:, :1], 9 * F.avg_pool2d(images, 4)


def losses(student: Tensor, teacher: Tensor, lr: Tensor, **params: Any) -> Losses:
    view = TeacherView(lambda lr: Output(teacher, {}), lr)
    step = Step(lr, teacher, Output(student, {}), view, torch.tensor(0.5), 0.5, seeded(7), unseen)
    return registry.build("dckd", {"dckd": params}, "l1").losses(step, Doubled())


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "load", lambda name, device: features)


def images() -> tuple[Tensor, Tensor, Tensor]:
    student, teacher = torch.rand(2, 2, 3, 8, 8, generator=seeded(0))
    return student.requires_grad_(), teacher, torch.rand(2, 3, 4, 4, generator=seeded(1))


def l1(one: Tensor, other: Tensor) -> float:
    pairs = list(zip(one.flatten().tolist(), other.flatten().tolist(), strict=True))
    return math.fsum(abs(a - b) for a, b in pairs) / len(pairs)


@pytest.mark.usefixtures("by_hand")
def test_dckd_is_equation_10_of_its_paper() -> None:
    student, teacher, lr = images()
    terms = losses(student, teacher, lr, negatives=3, weight=0.1, mapping=0.001, response=2.0)
    assert set(terms) == {"rec", "response", "contrast", "mapping"}
    assert terms["response"].item() == pytest.approx(2 * l1(student, teacher))
    generator = seeded(7)
    negatives = [Doubled()(one).sr for one in (lr, noisy(lr, generator), noisy(lr, generator))]
    contrast = sum(
        weight
        * l1(features(student)[i], features(teacher)[i])
        / sum(l1(features(student)[i], features(one)[i]) for one in negatives)
        for i, weight in enumerate((1 / 4, 1))
    )
    assert terms["contrast"].item() == pytest.approx(0.1 * contrast, rel=1e-5)
    positions = [features(one)[2].permute(0, 2, 3, 1).reshape(-1, 3).tolist() for one in (student, teacher)]
    found = 0.0
    for own, target in zip(*positions, strict=True):
        odds, hint = [math.exp(one) for one in own], [math.exp(one) for one in target]
        shares = [(p / sum(odds), q / sum(hint)) for p, q in zip(odds, hint, strict=True)]
        found += sum(q * math.log(q / p) for p, q in shares) / (2 * 2 * 2)
    assert terms["mapping"].item() == pytest.approx(0.001 * found, rel=1e-5)


@pytest.mark.usefixtures("by_hand")
def test_every_term_has_a_gradient_and_is_zero_for_equal_sr() -> None:
    student, teacher, lr = images()
    for name, term in losses(student, teacher, lr).items():
        if name != "rec":
            (gradient,) = torch.autograd.grad(term, student, retain_graph=True)
            assert gradient.isfinite().all()
            assert gradient.any(), name
    equal = losses(student, student.detach(), lr)
    assert [equal[name].item() for name in ("response", "contrast", "mapping")] == [0, 0, 0]


@pytest.mark.usefixtures("by_hand")
def test_without_codes_every_tensor_is_a_feature_map() -> None:
    student, teacher, lr = images()
    terms = losses(student, teacher, lr, mapping=0.0, negatives=2, weight=1.0)
    assert set(terms) == {"rec", "response", "contrast"}
    negatives = [Doubled()(one).sr for one in (lr, noisy(lr, seeded(7)))]
    contrast = sum(
        weight * l1(own, positive) / sum(l1(own, features(one)[i]) for one in negatives)
        for i, (weight, own, positive) in enumerate(
            zip((1 / 8, 1 / 4, 1), features(student), features(teacher), strict=True)
        )
    )
    assert terms["contrast"].item() == pytest.approx(contrast, rel=1e-5)


def test_the_divergence_is_worked_by_hand() -> None:
    def scores(*shares: tuple[float, float]) -> Tensor:  # by position
        return torch.tensor(shares).log().T[None]

    teacher, student = scores((0.75, 0.25), (0.5, 0.5)), scores((0.5, 0.5), (0.5, 0.5))
    first = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert divergence(student, teacher).item() == pytest.approx(first / 2)
    assert divergence(student + 3, teacher).item() == pytest.approx(first / 2)  # softmax ignores the level
    again = 1 / (1 + math.exp(-0.5))  # of the student's (0.75, 0.25)
    expected = 0.75 * math.log(0.75 / again) + 0.25 * math.log(0.25 / (1 - again))
    one = scores((0.75, 0.25))
    assert divergence(one, one).item() == 0
    assert divergence(one, one, twice=True).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("twice", [False, True])
def test_the_gradient_is_that_of_the_authors_cross_entropy(*, twice: bool) -> None:
    student = torch.randn(2, 5, 3, 3, dtype=torch.float64, generator=seeded(0)).requires_grad_()
    teacher = torch.randn(2, 5, 3, 3, dtype=torch.float64, generator=seeded(1))
    rows = [one.permute(0, 2, 3, 1).reshape(-1, 5) for one in (student, teacher)]
    entropy = F.cross_entropy(rows[0].softmax(1) if twice else rows[0], rows[1].softmax(1))
    own = -(rows[1].softmax(1) * rows[1].log_softmax(1)).sum(1).mean()
    ours = divergence(student, teacher, twice=twice)
    torch.testing.assert_close(ours + own, entropy)
    torch.testing.assert_close(*(torch.autograd.grad(one, student)[0] for one in (ours, entropy)))


def test_noise_is_grey_for_half_of_the_images_and_within_its_bounds() -> None:
    lr = torch.full((400, 3, 16, 16), 0.5)
    noise = noisy(lr, seeded(0)) - lr
    grey = (noise == noise[:, :1]).all(dim=(1, 2, 3))
    assert 0.4 < grey.float().mean() < 0.6
    deviations = 255 * noise.std(dim=(1, 2, 3))
    assert 0.8 < deviations.min() < 2
    assert 28 < deviations.max() < 33
    assert deviations.mean() == pytest.approx(15.5, abs=1)
    assert torch.equal(noise, noisy(lr, seeded(0)) - lr)
    bright = noisy(torch.ones(9, 3, 4, 4), seeded(0))
    assert bright.max() == 1
    assert bright.min() < 1


def test_the_history_moves_when_the_authors_does(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[int] = []
    method = registry.build("dckd", {})
    monkeypatch.setattr(dckd, "update_average", lambda history, student, decay: moved.append(student))
    for done in range(1, 250_001):
        method.after_step(nn.Module(), done, done, 250_000)  # type: ignore[arg-type]  # to note the step
    assert moved == [
        step for step in range(1, 250_001) if step % (1000, 2000, 3000)[(step - 1) // 100_000] == 0
    ]


def test_the_history_is_a_moving_average_of_the_student() -> None:
    student = build(ModelSpec(n_feats=4, n_resblocks=2), 0)
    method = registry.build("dckd", {"dckd": {"period": 0.5, "decay": 0.25}})
    history = method.adapter(None, student, torch.rand(2, 3, 8, 8))
    first = [weight.clone() for weight in history.parameters()]
    assert all(map(torch.equal, first, student.parameters()))
    assert not any(weight.requires_grad for weight in history.parameters())
    with torch.no_grad():
        for weight in student.parameters():
            weight.add_(1)
        method.after_step(history, student, 1, 4)
        assert all(map(torch.equal, first, history.parameters()))
        method.after_step(history, student, 2, 4)
    for before, after in zip(first, history.parameters(), strict=True):
        torch.testing.assert_close(after, before + 0.75)


def test_the_second_softmax_is_never_zero() -> None:
    assert registry.build("dckd", {}).never_zero == ""
    assert registry.build("dckd", {"dckd": {"softmax": "twice"}}).never_zero
    assert registry.build("dckd", {"dckd": {"softmax": "twice", "mapping": 0.0}}).never_zero == ""
    check = "A student that equals its teacher has zero distillation loss"
    found = checks.CHECKS[check](checks.subject("dckd", {"dckd": {"softmax": "twice"}}))
    assert found.startswith("never zero: ")  # type: ignore[union-attr]


def test_an_encoder_without_codes_is_refused_unless_mapping_is_0() -> None:
    method = registry.build("dckd", {})
    method.check_features(features(torch.rand(2, 3, 8, 8)))
    for wrong in ([torch.rand(2, 3, 8, 8)], [torch.rand(2, 3, 8, 8), torch.rand(2, 1, 4, 4)]):
        with pytest.raises(SrkdError, match="needs an encoder that returns feature maps and then") as caught:
            method.check_features(wrong)
        assert "params.dckd.mapping=0" in caught.value.hint
        registry.build("dckd", {"dckd": {"mapping": 0.0}}).check_features(wrong)


def test_a_suite_trains_with_dckd_only_with_an_encoder_file(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")
    tiny_suite(tmp_path, methods=["dckd"])
    encoder_file(tmp_path / "encoder.pt2")
    encoder_file(tmp_path / "one.pt2", nn.Conv2d(3, 2, 1))
    for settings, message in (
        ([], "dckd needs an encoder file: params.dckd.encoder"),
        (["params.dckd.encoder=none.pt2"], "no encoder file 'none.pt2'"),
        (["params.dckd.encoder=one.pt2"], "dckd needs an encoder that returns feature maps and then"),
        (["methods=[hkd+dckd]"], "hkd+dckd needs an encoder file: params.dckd.encoder"),
    ):
        code, _, messages = srkd("run", "tiny.yaml", *(word for one in settings for word in ("--set", one)))
        assert code != 0
        assert message in messages
    assert not (tmp_path / "home" / "runs").exists()  # all before any work
    words = ("run", "tiny.yaml", "--set", "params.dckd.encoder=encoder.pt2", "--json")
    code, text, messages = srkd(*words)
    assert code == 0, messages
    assert "dckd" in {score["model"] for score in json.loads(text)["scores"]}
    assert "Training" not in srkd(*words)[2]


@pytest.mark.usefixtures("six_minutes_a_step")  # instead of timing a step of every method
def test_all_leaves_out_a_method_without_its_encoder(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")
    encoder_file(tmp_path / "encoder.pt2")
    tiny_suite(tmp_path, methods=["all"])
    code, text, messages = srkd("plan", "tiny.yaml")
    assert (code, "dckd" in text) == (0, False)
    assert "left out of all: dckd, which needs params.dckd.encoder" in messages
    code, text, messages = srkd("plan", "tiny.yaml", "--set", "params.dckd.encoder=encoder.pt2")
    assert (code, "dckd" in text, "dckd" in messages) == (0, True, False)
