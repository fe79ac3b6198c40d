import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Step, TeacherView
from srkd_bench.methods.distances import distance
from srkd_bench.networks.base import Output
from tests.methods import unseen


def losses(student: Tensor, teacher: Tensor, hr: Tensor, **params: float | str) -> Losses:
    rec = F.mse_loss(student, hr)
    view = TeacherView(lambda lr: Output(teacher, {}), hr)
    step = Step(hr, hr, Output(student, {}), view, rec, 0.5, torch.Generator(), unseen)
    return registry.build("hkd", {"hkd": params}).losses(step, nn.Module())


def test_hkd_is_the_mean_squared_error_to_the_teacher_times_its_weight() -> None:
    student = torch.tensor([[[[0.1, 0.2]]], [[[0.3, 0.4]]]])
    teacher = torch.tensor([[[[0.1, 0.0]]], [[[0.4, 0.1]]]])
    by_hand = (0 + 0.04 + 0.01 + 0.09) / 4
    terms = losses(student, teacher, student)
    assert list(terms) == ["rec", "hkd"]
    assert terms["hkd"].item() == pytest.approx(by_hand)  # the weight is 1 unless another is given
    assert losses(student, teacher, student, weight=2.5)["hkd"].item() == pytest.approx(2.5 * by_hand)
    by_hand = (0 + 0.2 + 0.1 + 0.3) / 4
    assert losses(student, teacher, student, loss="l1")["hkd"].item() == pytest.approx(by_hand)


@pytest.mark.parametrize("w", [0.5, 1.0, 3.0])
def test_hkd_equals_learning_from_the_mean_of_hr_and_teacher(w: float) -> None:
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=generator) for _ in range(4)]
    first, second, teacher, hr = images
    mixed = (hr + w * teacher) / (1 + w)

    def both(student: Tensor) -> tuple[Tensor, Tensor]:
        student = student.clone().requires_grad_()
        terms = losses(student, teacher, hr, weight=w)
        gap = terms["rec"] + terms["hkd"] - (1 + w) * F.mse_loss(student, mixed)
        (grad,) = torch.autograd.grad(gap, student)
        return gap, grad

    (gap, grad), (same, _) = both(first), both(second)
    assert gap.item() == pytest.approx(same.item(), abs=1e-15)  # constant: it does not depend on the student
    assert gap > 0.01
    assert grad.abs().max() < 1e-15


def test_hkd_in_the_wavelet_domain_is_the_distance_between_coefficients() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.rand(2, 3, 16, 16, generator=generator) for _ in range(2))
    for loss in ("mse", "l1"):
        terms = losses(student, teacher, student, domain="wavelet", loss=loss, weight=0.5)
        expected = 0.5 * distance(student, teacher, loss, "wavelet")
        assert terms["hkd"].item() == pytest.approx(expected.item())
        assert terms["hkd"].item() != pytest.approx(
            losses(student, teacher, student, loss=loss)["hkd"].item()
        )


@pytest.mark.parametrize("domain", ["pixels", "wavelet"])
def test_a_margin_leaves_out_the_border_of_a_patch(domain: str) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher, hr = (torch.rand(2, 3, 12, 12, generator=generator) for _ in range(3))
    method = registry.build("hkd", {"hkd": {"margin": 1, "domain": domain}})
    view = TeacherView(lambda lr: Output(teacher, {}), hr)
    step = Step(
        torch.rand(2, 3, 6, 6), hr, Output(student, {}), view, hr.mean(), 0.5, torch.Generator(), unseen
    )
    inner = student[..., 2:10, 2:10], teacher[..., 2:10, 2:10]
    expected = losses(*inner, inner[0], domain=domain)
    assert torch.equal(method.losses(step, nn.Module())["hkd"], expected["hkd"])
    assert method.min_patch == 3
    assert registry.build("rkd+hkd", {"hkd": {"margin": 2}}).min_patch == 5


def test_hkd_in_pixels_keeps_its_identity_of_before_there_was_a_domain() -> None:
    earlier = {"hkd": {"version": 1, "weight": 1.0}}
    method = registry.build("hkd", {"hkd": {"domain": "pixels"}})
    assert registry.identity(method, "hkd") == earlier
    assert registry.rebuild("hkd", earlier) == method
    wavelet = registry.build("hkd", {"hkd": {"domain": "wavelet"}})
    assert registry.identity(wavelet, "hkd") == {"hkd": earlier["hkd"] | {"domain": "wavelet"}}
