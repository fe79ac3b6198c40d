import warnings

import pytest
import torch

from srkd_bench.training import precision
from srkd_bench.training.precision import obstacle

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_a_cpu_trains_in_fp32_and_bf16() -> None:
    assert (obstacle("fp32", CPU), obstacle("bf16", CPU)) == ("", "")
    assert obstacle("fp16", CPU) == "needs a GPU"
    assert obstacle("tf32", CPU) == "needs an NVIDIA GPU with TF32 (Ampere or later)"


@pytest.mark.parametrize(
    ("capability", "hip", "allowed"), [((7, 5), None, False), ((8, 0), None, True), ((9, 4), "6.2", False)]
)
def test_tf32_needs_ampere(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], hip: str | None, allowed: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(precision, "_tried", lambda *words: torch.float32)
    assert (obstacle("tf32", CUDA) == "") == allowed


def test_a_precision_that_autocast_replaces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast without a type computes in float32 with a warning, here simulated on the CPU."""

    def replaced(*words: object) -> torch.autocast:
        warnings.warn("the target dtype is not supported. Disabling autocast.", stacklevel=2)
        return torch.autocast("cpu", enabled=False)

    monkeypatch.setattr(precision, "autocast", replaced)
    assert obstacle("bf16", CPU) == "is not supported on cpu"


def test_a_device_without_the_operations_is_refused_with_torchs_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*words: object, **more: object) -> None:
        raise RuntimeError("no kernel image is available for execution\ndetails")

    monkeypatch.setattr(torch.optim, "Adam", fail)
    assert obstacle("fp32", CPU) == "does not work on cpu: no kernel image is available for execution"
