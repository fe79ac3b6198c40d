import pytest
import torch

from srkd_bench.methods import registry
from srkd_bench.methods.base import Step, TeacherView
from srkd_bench.networks.base import Output
from tests.methods import unseen


def test_no_distillation_is_the_loss_against_hr_and_nothing_else() -> None:
    def see(lr: torch.Tensor) -> Output:
        pytest.fail("the control looked at a teacher")

    method = registry.build("none", {})
    lr, hr = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 8, 8)
    rec = torch.tensor(0.25)
    step = Step(lr, hr, Output(hr, {}), TeacherView(see, lr), rec, 0.5, torch.Generator(), unseen)
    adapter = method.adapter(None, torch.nn.Module(), lr)
    terms = method.losses(step, adapter)
    assert list(terms) == ["rec"]
    assert terms["rec"] is rec
    assert list(adapter.parameters()) == []
    assert (method.looks, method.taps, method.min_batch) == (False, (), 1)


def test_no_distillation_is_listed_first_without_parameters() -> None:
    assert registry.names()[0] == "none"
    assert registry.identity(registry.build("none", {}), "none") == {"none": {"version": 1}}
