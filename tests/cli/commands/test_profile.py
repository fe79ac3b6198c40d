import json
import shutil
from pathlib import Path

import pytest
import torch

from srkd_bench.evaluation.inference import profile
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.support.finished_runs import pair


def test_student_and_teacher_are_profiled_together(
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


@pytest.mark.parametrize("size", ["0x5", "5", "axb", "5x99999", "-1x4"])
def test_an_invalid_size_is_rejected(srkd: Srkd, size: str) -> None:
    code, _, messages = srkd("profile", "0123", f"--size={size}")
    assert code == 1
    assert "is not a size" in messages
