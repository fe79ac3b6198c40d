import json
import math
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.config.network import ModelSpec
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.evaluation.power import detectable, seeds_needed
from srkd_bench.experiments.planning import planner
from srkd_bench.methods import sources
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.support.finished_runs import keep_scores
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
    dry = srkd("run", "tiny.yaml", "--dry-run", "--jobs", "2")[1]
    assert text.removeprefix(dry).startswith("Detectable difference: ")


def test_a_plan_states_the_difference_that_its_seeds_detect_and_the_seeds_that_a_difference_needs(
    srkd: Srkd,
) -> None:
    settings = ["--set", "seeds=[0,1,2,3,4,5]"]
    power = planned(srkd, *settings, "--detect", "0.02")["power"]
    assert power == {
        "deviation": 0.028,
        "source": "published study",
        "seeds": 6,
        "unit": "seed",
        "methods": 2,
        "detectable": detectable(0.028, 6, 2),
        "difference": 0.02,
        "seeds_needed": seeds_needed(0.02, 0.028, 2),
    }
    code, text, _ = srkd("plan", "tiny.yaml", *settings, "--detect", "0.02")
    assert code == 0
    assert text.endswith(
        f"Detectable difference: {power['detectable']:.3f} dB on all data sets with 80 % power (6 seeds, 2 methods;"
        " standard deviation 0.028 dB, from the published study)\n"
        f"Seeds needed to detect 0.02 dB: {power['seeds_needed']}\n"
    )
    assert planned(srkd)["power"]["seeds_needed"] is None
    text = srkd("plan", "tiny.yaml", "--detect", "0.0001")[1]
    assert text.endswith("Seeds needed to detect 0.0001 dB: more than 10,000\n")


def test_finished_runs_give_the_standard_deviation(srkd: Srkd, tmp_path: Path, display: Display) -> None:
    store = ArtifactStore(tmp_path / "home")
    plan = planner.plan(load_suite(str(tmp_path / "tiny.yaml"), ["seeds=[0,5]"]), store, display)
    gains = {("hkd", 0): 0.10, ("hkd", 5): 0.14}
    for run in plan.students:
        if run.method != "rkd":
            keep_scores(store, run, gains.get((run.method, run.seed), 0.0))
    power = planned(srkd, "--set", "seeds=[0,5]")["power"]
    # Two values that differ by 0.04 have a variance of 0.0008, and chi-squared with one degree a median of 0.4549.
    assert power["deviation"] == pytest.approx(math.sqrt(0.0008 / 0.4549), rel=1e-3)
    assert (power["source"], power["seeds"], power["methods"]) == ("finished runs", 2, 2)
    assert "dB, from the finished runs)" in srkd("plan", "tiny.yaml", "--set", "seeds=[0,5]")[1]


def test_one_seed_or_no_comparison_detects_nothing(srkd: Srkd) -> None:
    text = srkd("plan", "tiny.yaml", "--set", "seeds=[0]", "--detect", "0.1")[1]
    assert "Detectable difference: none with one seed (2 methods; standard deviation 0.028 dB" in text
    assert "Seeds needed to detect 0.1 dB: 4\n" in text
    for methods in ("[none]", "[hkd, rkd]"):
        words = ["--set", f"methods={methods}"]
        assert planned(srkd, *words)["power"] is None
        assert "Detectable" not in srkd("plan", "tiny.yaml", *words)[1]
        code, _, messages = srkd("plan", "tiny.yaml", *words, "--detect", "0.1")
        assert code == 1
        assert "compares no method with none" in messages
        assert "hint: name both: --set 'methods=[none, hkd]'" in messages


@pytest.mark.parametrize("value", ["0", "-0.02", "nan", "inf", "101"])
def test_a_difference_to_detect_is_above_zero(srkd: Srkd, value: str) -> None:
    code, text, messages = srkd("plan", "tiny.yaml", "--detect", value)
    assert (code, text) == (1, "")
    assert "not a difference above 0 and up to 100 dB" in messages
    assert "hint: --detect 0.02" in messages


def test_a_difference_to_detect_is_a_number_and_is_not_for_scripts(srkd: Srkd) -> None:
    code, _, messages = srkd("plan", "tiny.yaml", "--detect", "little")
    assert code == 2
    assert "'little'" in messages
    code, text, messages = srkd("plan", "tiny.yaml", "--detect", "0.02", "--format", "shell")
    assert (code, text) == (1, "")
    assert "--detect cannot be combined with --format shell" in messages


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
