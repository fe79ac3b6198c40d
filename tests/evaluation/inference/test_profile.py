import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from srkd_bench.core.progress import Display
from srkd_bench.evaluation.inference import profile
from srkd_bench.evaluation.inference.profile import WARM_UP, middle, rounds
from srkd_bench.networks.stored import Chosen, load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.conftest import Srkd
from tests.support.finished_runs import pair


def test_student_and_teacher_are_profiled_side_by_side(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = pair(tmp_path / "home")
    monkeypatch.setattr(profile, "_peak", lambda chosen, lr, place: 7)  # it takes seconds to start a process
    words = ("profile", student.digest[:10], "--size", "48x32", "--runs", "2")
    code, text, _ = srkd(*words, "--json")
    assert code == 0
    told = json.loads(text)
    how = {"size": [48, 32], "runs": 2, "device": "cpu", "threads": torch.get_num_threads()}
    assert how.items() <= told.items()
    for run, one in zip((student, teacher), told["networks"], strict=True):
        assert one["run"] == run.digest[:12]
        assert one["parameters"] == run.model.parameters
        assert one["multiply_adds"] == 48 * 32 * run.model.multiply_adds
        low, high = one["seconds"]["quartiles"]
        assert 0 < low <= one["seconds"]["median"] <= high
        assert one["peak_bytes"] == 7
    shutil.rmtree(ArtifactStore(tmp_path / "home").path(teacher))
    code, text, messages = srkd(*words)
    assert code == 0
    assert "teacher is not in the store" in messages
    assert "student" in text


def test_the_peak_of_memory_is_that_of_a_pass(tmp_path: Path) -> None:
    student, _ = pair(tmp_path)
    store = ArtifactStore(tmp_path)
    place = Workplace(store, Display(Console()))
    chosen = Chosen(student, load(student, store), "student")
    peak = profile._peak(chosen, torch.zeros(1, 3, 1000, 500), place)
    sr = 1000 * 500 * 4 * 3 * 4
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


def test_the_middle_is_median_and_quartiles() -> None:
    assert middle([5.0, 1.0, 2.0, 4.0, 3.0]) == (3.0, 2.0, 4.0)
    assert middle([7.0]) == (7.0, 7.0, 7.0)


@pytest.mark.parametrize("size", ["0x5", "5", "axb", "5x99999", "-1x4"])
def test_a_size_that_is_none_is_refused(srkd: Srkd, size: str) -> None:
    code, _, messages = srkd("profile", "0123", f"--size={size}")
    assert code == 1
    assert "is no size" in messages
