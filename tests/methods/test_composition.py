from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.seeding import seeded
from srkd_bench.methods import registry
from srkd_bench.methods.base import Losses, Step, TeacherView
from srkd_bench.networks.loading import build
from srkd_bench.training.learner import adapter_groups
from tests.methods import unseen

Params = dict[str, dict[str, float]]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def losses(name: str, params: Params) -> Losses:
    method = registry.build(name, params)
    student, teacher = (build(ModelSpec(n_feats=n, n_resblocks=4), n) for n in (4, 6))
    generator = torch.Generator().manual_seed(0)
    lr, hr = (torch.rand(3, 3, side, side, generator=generator) for side in (8, 16))
    with seeded("test"):
        adapter = method.adapter(teacher, student, lr)
    output = student(lr, method.taps)
    view = TeacherView(lambda lr: teacher(lr, method.taps), lr)
    step = Step(lr, hr, output, view, F.mse_loss(output.sr, hr), 0.5, torch.Generator(), unseen)
    return method.losses(step, adapter)


@pytest.mark.parametrize("params", [{}, {"hkd": {"weight": 0.3}, "rkd": {"weight": 7.0}}])
def test_a_composition_is_the_ground_truth_once_and_the_terms_of_its_parts(params: Params) -> None:
    both, rkd, hkd = (losses(name, params) for name in ("rkd+hkd", "rkd", "hkd"))
    assert list(both) == ["rec", "rkd", "hkd"]
    assert all(torch.equal(loss, (rkd | hkd)[term]) for term, loss in both.items())
    assert both["rkd"] > 0
    assert both["hkd"] > 0


def test_a_composition_resumes_the_networks_of_its_parts() -> None:
    assert registry.build("hkd+crosskd", {}).resumes == ("teacher",)
    assert registry.build("crosskd+mipkd", {}).resumes == ("teacher", "student")
    assert registry.build("rkd+hkd", {}).resumes == ()


@pytest.mark.parametrize("whole", ["rkd+hkd", "hkd+rkd"])
def test_the_own_parameters_of_a_composition_leave_its_parts_alone(whole: str) -> None:
    params: Params = {"hkd": {"weight": 0.3}, whole: {"hkd.weight": 2.0}}
    both, alone = (registry.build(name, params) for name in ("rkd+hkd", "hkd"))
    assert registry.identity(both, "rkd+hkd") == {
        "rkd": {"version": 1, "weight": 0.25},
        "hkd": {"version": 1, "weight": 2.0},
    }
    assert registry.identity(alone, "hkd")["hkd"]["weight"] == 0.3


@pytest.mark.parametrize("key", ["weight", "at.weight", "hkd.", "hkd"])
def test_an_own_parameter_of_a_composition_that_names_no_part_is_refused(key: str) -> None:
    with pytest.raises(SrkdError, match=r"names no parameter of rkd or hkd$") as caught:
        registry.build("rkd+hkd", {"rkd+hkd": {key: 1.0}})
    assert caught.value.hint == "for example --set params.rkd+hkd.rkd.weight=1"


def test_a_composition_has_the_adapter_of_each_part() -> None:
    alone, beside = losses("rvkd", {}), losses("ckd+rvkd", {})
    assert list(beside) == ["rec", "ckd", "rvkd"]
    assert torch.equal(alone["rvkd"], beside["rvkd"])


def test_a_composition_keeps_the_adapter_rate_of_each_part() -> None:
    both = registry.build("hkd+rvkd+fitnet", {"rvkd": {"adapter_rate": 0.1}})
    student, teacher = (build(ModelSpec(n_feats=n, n_resblocks=4), n) for n in (4, 6))
    adapter = both.adapter(teacher, student, torch.rand(3, 3, 8, 8))
    groups = adapter_groups(both, adapter)
    assert groups.keys() == {0.1, 1.0}
    assert set(groups[0.1]) == set(adapter.get_submodule("rvkd").parameters())
    assert set(groups[1.0]) == set(adapter.get_submodule("fitnet").parameters())


def test_a_composition_combines_the_needs_of_its_parts() -> None:
    both = registry.build("hkd+rvkd+ckd", {})
    assert (both.taps, both.looks, both.min_batch) == ((0.25, 0.5, 0.75, 1.0), True, 2)
    assert registry.build("hkd+rvkd", {}).min_batch == 1
    assert registry.build("hkd+ckd", {}).taps == ()


def test_parameters_of_a_composition_are_those_of_its_parts() -> None:
    params = {"rkd": {"weight": 7.0}, "ckd": {"weight": 9.0}}
    assert registry.identity(registry.build("rkd+hkd", params), "rkd+hkd") == {
        "rkd": {"version": 1, "weight": 7.0},
        "hkd": {"version": 1, "weight": 1.0},
    }


def test_an_integer_and_the_same_float_are_the_same_run() -> None:
    whole = registry.identity(registry.build("hkd", {"hkd": {"weight": 1}}), "hkd")
    assert str(whole) == str(registry.identity(registry.build("hkd", {}), "hkd"))


@pytest.mark.parametrize("name", ["hkd+hkd", "rkd+hkd+rkd", "none+hkd", "hkd+none"])
def test_invalid_compositions_are_rejected(name: str) -> None:
    with pytest.raises(SrkdError, match="is not a composition") as caught:
        registry.build(name, {})
    assert caught.value.hint == "join different methods, as in rkd+hkd"


@pytest.mark.parametrize("name", ["ckdd", "rkd+ckdd", "CKD"])
def test_an_unknown_method_gets_the_closest_name(name: str) -> None:
    with pytest.raises(SrkdError, match=f"^no method named '{name.split('+')[-1]}'$") as caught:
        registry.build(name, {})
    assert caught.value.hint == "did you mean 'ckd'?"


@pytest.mark.parametrize("name", ["", "hkd+", "zzz", "../zzz", "__init__"])
def test_a_name_close_to_no_method_gets_the_full_list(name: str) -> None:
    with pytest.raises(SrkdError, match=r"^no method named ") as caught:
        registry.build(name, {})
    assert caught.value.hint == f"known: {', '.join(sorted(registry.names()))}"


@pytest.mark.parametrize("name", ["hkd", "rkd+hkd"])
def test_an_unknown_parameter_gets_the_closest_name(name: str) -> None:
    with pytest.raises(SrkdError, match=r"^no parameter of hkd named 'wieght'$") as caught:
        registry.build(name, {"hkd": {"wieght": 1.0}})
    assert caught.value.hint == "did you mean 'weight'?"
