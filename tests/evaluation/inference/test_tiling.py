"""Tiles are used only if memory runs out."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.evaluation.inference import profile
from srkd_bench.evaluation.inference.tiling import Tiled, is_out_of_memory
from srkd_bench.networks.loading import build
from srkd_bench.networks.stored import Chosen, load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.support.finished_runs import pair

SHORT = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can\u0027t allocate memory:"
        " you tried to allocate 9000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError(
        "MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB). Tried to allocate"
    ),
    torch.OutOfMemoryError("XPU out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("could not create a primitive"),
]
WRONG = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: misaligned address"),
    RuntimeError("Expected a tensor in channels_last memory format"),
    RuntimeError(
        "unsupported operation: some elements of the input tensor refer to a single memory location"
    ),
    RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive"),
    ValueError("memory"),
]


@pytest.mark.parametrize("error", [*SHORT, *WRONG], ids=lambda error: str(error)[:40])
def test_only_out_of_memory_messages_are_recognised(error: Exception) -> None:
    assert is_out_of_memory(error) == (error in SHORT)


def test_torchs_out_of_memory_messages_are_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)


def test_other_errors_are_not_retried_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    model, card = build(ModelSpec(n_feats=2, n_resblocks=1), 0), dict[str, object]()
    passes: list[int] = []

    def fail(lr: torch.Tensor) -> None:
        passes.append(1)
        raise WRONG[0]

    monkeypatch.setattr(model, "forward", fail)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        Tiled(model, card)(torch.zeros(1, 3, 64, 64))
    assert (len(passes), card) == (1, {})


@pytest.mark.parametrize(("error", "raised"), [(SHORT[1], SrkdError), (WRONG[0], RuntimeError)])
def test_profile_distinguishes_out_of_memory_from_other_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception]
) -> None:
    student, _ = pair(tmp_path)
    store = ArtifactStore(tmp_path)
    chosen = Chosen(student, load(student, store), "student")

    def fail(*words: object) -> None:
        raise error

    monkeypatch.setattr(profile, "rounds", fail)
    with pytest.raises(raised) as caught:
        profile.profile({"student": chosen}, (8, 8), 1, Workplace(store, Display(Console())))
    assert type(caught.value) is raised
