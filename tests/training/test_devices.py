import pytest
import torch

from srkd_bench.core.errors import SrkdError
from srkd_bench.training.devices import check_device_name, choose_device, choose_devices, default_kind

Machine = tuple[str | None, int]


@pytest.fixture
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Let torch find a number of accelerators of a type."""
    kind, count = request.param
    found = None if kind is None else torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: found)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: count)
    return kind, count


def on(*machines: Machine) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("machine", machines, indirect=True, ids=str)


def names(devices: str, jobs: int | None = None) -> list[str]:
    return [str(device) for device in choose_devices(devices, jobs)]


@on((None, 0), ("cuda", 0), ("mtia", 2))
@pytest.mark.usefixtures("machine")
def test_the_cpu_is_used_without_an_accelerator_that_srkd_supports() -> None:
    assert (default_kind(), names("auto"), names("cpu", 3)) == ("cpu", ["cpu"], ["cpu"] * 3)
    with pytest.raises(SrkdError, match="there is no GPU here") as caught:
        names("all")
    assert caught.value.hint == "--device cpu --jobs 2"
    for name in ("cuda", "mps", "xpu:1"):
        with pytest.raises(SrkdError, match=f"device '{name}' is not available: .* the CPU only") as caught:
            choose_device(name)
        assert caught.value.hint == "--device cpu"


@on(("cuda", 1), ("mps", 1), ("xpu", 1))
def test_one_accelerator_is_used_by_default(machine: Machine) -> None:
    kind, _ = machine
    assert names("auto") == names("all") == names(str(kind)) == [kind]
    assert names("auto", 2) == [kind, kind]
    with pytest.raises(SrkdError, match=f"'{kind}:1' is not available: .* finds 1 × {kind}") as caught:
        choose_device(f"{kind}:1")
    assert caught.value.hint == f"--device {kind}"


@on(("cuda", 2), ("xpu", 2))
def test_several_accelerators_are_used_by_default_and_given_to_processes_in_turn(machine: Machine) -> None:
    kind, _ = machine
    both = [f"{kind}:0", f"{kind}:1"]
    assert names("auto") == names("all") == names(f"{kind}:0, {kind}:1") == both
    assert names("auto", 3) == [*both, both[0]]
    assert names("all", 1) == both[:1]
    assert names(f"cpu,{kind}") == ["cpu", kind]
    with pytest.raises(SrkdError, match="is not available"):
        names(f"{kind}:0,{kind}:2")
    with pytest.raises(SrkdError, match="listed twice"):
        names("cpu,cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:01", "cuda:256", "cpu:0", "meta", "hpu", "", "Cuda"])
def test_other_names_are_refused_with_the_valid_ones(name: str) -> None:
    for check in (check_device_name, choose_device):
        with pytest.raises(SrkdError, match=f"no device named '{name}'") as caught:
            check(name)
        assert caught.value.hint == "--device auto, cpu, cuda, cuda:1, mps or xpu"


@on(("cuda", 2))
@pytest.mark.usefixtures("machine")
def test_each_rank_of_torchrun_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    set_ranks(monkeypatch, 2)
    assert str(choose_device("auto")) == "cuda:1"
    assert str(choose_device("cpu")) == "cpu"
    with pytest.raises(SrkdError, match="ranks need a GPU each"):
        choose_device("cuda:0")
    set_ranks(monkeypatch, 3)
    with pytest.raises(SrkdError, match="3 ranks need a GPU each: 2 are available"):
        choose_device("cuda")


@on(("mps", 1), ("xpu", 2))
def test_torchrun_is_refused_on_other_accelerators(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    set_ranks(monkeypatch, 2)
    with pytest.raises(SrkdError, match=f"not on {machine[0]}") as caught:
        choose_device("auto")
    assert caught.value.hint == "--device cpu"


def set_ranks(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    for name, value in {
        "TORCHELASTIC_RUN_ID": 1,
        "RANK": 1,
        "LOCAL_RANK": 1,
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count,
    }.items():
        monkeypatch.setenv(name, str(value))
