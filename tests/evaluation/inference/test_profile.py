from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from srkd_bench.core.progress import Display
from srkd_bench.evaluation.inference import profile
from srkd_bench.evaluation.inference.profile import WARM_UP, middle, rounds
from srkd_bench.networks.stored import Chosen, load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.support.finished_runs import pair


def test_peak_memory_is_that_of_a_forward_pass(tmp_path: Path) -> None:
    student, _ = pair(tmp_path)
    store = ArtifactStore(tmp_path)
    place = Workplace(store, Display(Console()))
    chosen = Chosen(student, load(student, store), "student")
    peak = profile._peak(chosen, torch.zeros(1, 3, 1000, 500), place)
    sr = 1000 * 500 * 4 * 3 * 4
    assert peak is not None
    assert sr < peak < 20 * sr


def test_networks_take_turns_after_warming_up() -> None:
    order: list[str] = []

    class Told(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, lr: Tensor) -> Tensor:
            order.append(self.name)
            return lr

    seconds = rounds({"a": Told("a"), "b": Told("b")}, torch.zeros(1), 2)
    assert "".join(order) == "ab" * WARM_UP + "baab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_middle_returns_median_and_quartiles() -> None:
    assert middle([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)
    assert middle([7.0]) == (7.0, 7.0, 7.0)
