from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Step, TeacherView
from srkd_bench.methods.distances import distance
from srkd_bench.networks.base import Output
from tests.methods import unseen


def losses(student: Tensor, fused: Tensor, hr: Tensor, **params: Any) -> Losses:
    rec = F.l1_loss(student, hr)
    view = TeacherView(lambda lr: Output(fused, {}), hr)
    step = Step(hr, hr, Output(student, {}), view, rec, 0.5, torch.Generator(), unseen)
    return registry.build("mtkd", {"mtkd": params}, "l1").losses(step, nn.Module())


def images() -> Tensor:
    return torch.rand(3, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_mtkd_is_ten_times_the_authors_loss() -> None:
    student, fused, hr = images()
    terms = losses(student, fused, hr)
    assert list(terms) == ["rec", "mtkd"]
    authors = 0.1 * F.l1_loss(student, hr) + F.l1_loss(student, fused)
    assert (terms["rec"] + terms["mtkd"]).item() == pytest.approx(10 * authors.item())
    wavelets = losses(student, fused, hr, domain="wavelet")["mtkd"].item()
    assert wavelets == pytest.approx(10 * distance(student, fused, "l1", "wavelet").item())
    assert losses(student, fused, hr, weight=2.0)["mtkd"].item() == pytest.approx(terms["mtkd"].item() / 5)


def test_mtkd_worked_by_hand() -> None:
    student = torch.zeros(1, 1, 16, 16)
    student[..., 0, 0] = 1.0
    fused = torch.zeros_like(student)
    assert losses(student, fused, fused, weight=1.0)["mtkd"].item() == pytest.approx(1 / 256)
    expected = (
        sum(0.5**k / (16 / 2**k) ** 2 for k in (1, 2, 3, 4)) + 0.5**4
    )  # see tests/methods/test_distances.py
    assert losses(student, fused, fused, weight=1.0, domain="wavelet")["mtkd"].item() == pytest.approx(
        expected
    )


def test_mtkd_uses_the_sr_of_the_fusion_alone() -> None:
    method = registry.build("mtkd", {})
    assert (method.fuses, method.needs, method.taps) == (True, ("sr",), ())
    assert registry.build("mtkd+hkd", {}).fuses
    assert not registry.build("rkd+hkd", {}).fuses
