import json
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.config.network import ModelSpec
from srkd_bench.methods import sources
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite


@pytest.fixture
def srkd(srkd: Srkd, tmp_path: Path, six_minutes_a_step: None) -> Srkd:
    """Call the command in a folder with a tiny suite and a fixed forecast."""
    tiny_suite(tmp_path, methods=["none", "hkd", "rkd"], seeds=[0, 3])
    return srkd


def planned(srkd: Srkd, *words: str) -> dict[str, Any]:
    code, text, messages = srkd("plan", "tiny.yaml", "--format", "json", *words)
    assert code == 0, messages
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_commands_of_a_plan_equal_a_run_and_are_repeatable(srkd: Srkd, tmp_path: Path) -> None:
    settings = ["--set", "methods=[none, hkd, none@equal-cost]", "--set", "seeds=[3]"]
    steps = planned(srkd, *settings, "--jobs", "3")["tasks"]
    assert [(step["name"], step["needs"]) for step in steps[:4]] == [
        ("teacher", []),
        ("seed 3: none", []),
        ("seed 3: hkd", ["teacher"]),
        ("seed 3: none@equal-cost", []),
    ]
    assert steps[-1]["needs"] == [step["name"] for step in steps[:-1]]
    for step in (steps[0], *steps[1:], steps[2]):
        assert step["command"][0] == "srkd"
        code, _, messages = srkd(*step["command"][1:])
        assert code == 0, messages
    runs = {path.name for path in (tmp_path / "home" / "runs").iterdir()}
    assert runs == {run[:20] for step in steps for run in step["runs"]}
    assert len(runs) == 4
    _, _, messages = srkd("run", "tiny.yaml", *settings)
    assert "4 of 4 networks are in the store" in messages
    assert "training" not in messages
    rest = planned(srkd, *settings)
    assert [step["name"] for step in rest["tasks"]] == ["scores"]
    assert {job["state"] for job in rest["jobs"]} == {"here", "cached"}
    assert rest["flops"] == 0


def test_a_plan_shows_operations_time_and_time_on_several_devices(
    srkd: Srkd,
) -> None:
    found = planned(srkd)
    student, teacher = (ModelSpec(n_feats=n, n_resblocks=4).multiply_adds for n in (4, 6))
    # Steps, batch and patch; three students forward and backward, the teacher forward; two for a multiply-add.
    group = 10 * 4 * 8 * 8 * 2 * (9 * student + teacher)
    assert [job["flops"] for job in found["jobs"]] == [0, 12 * 4 * 8 * 8 * 2 * 3 * teacher, group, group, 0]
    assert found["flops"] == sum(job["flops"] for job in found["jobs"])
    code, text, _ = srkd("plan", "tiny.yaml", "--jobs", "2")
    assert code == 0
    assert "Total: about 3 h 12 min on cpu" in text
    assert "With 2 such devices: about 2 h 12 min\n" in text  # the teacher's 12 steps, then ten of both seeds
    assert srkd("run", "tiny.yaml", "--dry-run", "--jobs", "2")[1] == text


def test_own_methods_are_named_by_their_files_only_if_trusted(
    srkd: Srkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRKD_TRUST", "0")
    code, _, messages = srkd("method", "new", "mine")
    assert code == 0, messages
    words = ["plan", "tiny.yaml", "--format", "json", "--set", "methods=[./mine.py, hkd+./mine.py]"]
    assert srkd(*words)[0] == 1
    code, text, _ = srkd("--trust", *words)
    assert code == 0
    command = json.loads(text)["tasks"][1]["command"]
    assert command[:7] == ["srkd", "--trust", "distill", "--method", "./mine.py", "--method", "hkd+./mine.py"]
    assert srkd("evaluate", "tiny.yaml", *words[-2:])[0] == 0
    monkeypatch.setenv("SRKD_TRUST", "0")
    sources._SEEN.clear()  # another process
    code, _, messages = srkd(*words)  # the store knows it now, but a printed option would make it trusted
    assert code == 1
    assert "error: the suite would run the code in './mine.py'" in messages
