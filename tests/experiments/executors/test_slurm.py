"""`srkd plan`: the table, and commands that make the same as `srkd run`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.config.network import ModelSpec
from srkd_bench.experiments.analysis.forecast import Pace
from srkd_bench.methods import sources
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

# A command that writes down what it is called with, waits where it shall, and ends with the code that it shall.
FAKE = f"""#!{sys.executable}
import json, os, pathlib, signal, sys, time
name, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
with open("calls.jsonl", "a") as file:
    file.write(json.dumps([name, *words]) + "\\n")
if words[:2] == ["show", "job"]:
    print("   JobState=" + os.environ["STATE"] + " Reason=None")
if name == "sbatch":
    print(sum(1 for _ in open("calls.jsonl")))
while name == "srkd" and os.environ.get("WAIT") and not stopped:
    time.sleep(0.01)
if stopped:
    time.sleep(0.2)
    with open("signals", "w") as file:
        file.write(str(len(stopped)))
if name == "srkd":
    sys.exit(75 if stopped else int(os.environ.get("CODE_OF_" + words[0].upper(), 0)))
"""


@pytest.fixture
def srkd(srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Srkd:
    """Call the command beside a tiny suite; six minutes are forecast for a step of any group."""
    pace = Pace(step=360.0, event=0.0, validation=0.0, event_bytes=100)
    monkeypatch.setattr(
        "srkd_bench.experiments.analysis.forecast.paced", lambda runs, validation, place: pace
    )
    monkeypatch.setattr(
        "srkd_bench.experiments.analysis.forecast.seconds_a_pixel", lambda spec, scale, place: 0.0
    )
    tiny_suite(tmp_path, methods=["none", "hkd", "rkd"], seeds=[0, 3])
    return srkd


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put commands that write down what they are called with before those of the machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("srkd", "sbatch", "scontrol"):
        (folder / name).write_text(FAKE)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def calls(folder: Path) -> list[list[str]]:
    """Return what the commands were called with, and forget it."""
    found = [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
    (folder / "calls.jsonl").unlink()
    return found


def bash(*words: str, **env: str) -> int:
    return subprocess.run(["bash", *words], env=os.environ | env, check=False, timeout=60).returncode


def planned(srkd: Srkd, *words: str) -> dict[str, Any]:
    code, text, messages = srkd("plan", "tiny.yaml", "--format", "json", *words)
    assert code == 0, messages
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_commands_of_a_plan_make_what_a_run_makes_and_may_be_run_again(
    srkd: Srkd, tmp_path: Path
) -> None:
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


def test_a_table_tells_operations_time_and_what_several_devices_would_take(
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
    assert "in all about 3 h 12 min on cpu" in text
    assert "with 2 such devices about 2 h 12 min\n" in text  # the teacher's 12 steps, then ten of both seeds
    assert srkd("run", "tiny.yaml", "--dry-run", "--jobs", "2")[1] == text


def test_the_shell_script_runs_all_and_goes_on_after_runs_that_failed(
    srkd: Srkd, fakes: Path, tmp_path: Path
) -> None:
    words = ["--home", "a 'store'", "--set", 'methods=["none"]', "--teacher-cache", "0.5", "--device", "cpu"]
    code, text, _ = srkd("plan", "tiny.yaml", "--format", "shell", *words)
    assert code == 0
    assert not (tmp_path / "a 'store'").exists()
    (tmp_path / "plan.sh").write_text(text)
    assert bash("plan.sh") == 0
    where = [
        "--suite",
        str(tmp_path / "tiny.yaml"),
        "--set",
        'methods=["none"]',
        "--home",
        f"{tmp_path}/a 'store'",
    ]
    group = ["srkd", "distill", "--method", "none", *where, "--device", "cpu", "--set"]
    expected = [
        ["srkd", "train-teacher", *where, "--device", "cpu"],
        [*group, "seeds=[0]", "--teacher-cache", "0.5"],
        [*group, "seeds=[3]", "--teacher-cache", "0.5"],
        ["srkd", "evaluate", *where, "--device", "cpu"],
    ]
    assert calls(tmp_path) == expected
    assert bash("plan.sh", CODE_OF_DISTILL="6") == 6
    assert calls(tmp_path) == expected
    assert bash("plan.sh", CODE_OF_DISTILL="75") == 75
    assert calls(tmp_path) == expected[:2]
    assert bash("plan.sh", **{"CODE_OF_TRAIN-TEACHER": "6"}) == 6
    assert calls(tmp_path) == expected[:1]


def test_slurm_gets_a_teacher_then_an_array_of_groups_then_the_scores(
    srkd: Srkd, fakes: Path, tmp_path: Path
) -> None:
    code, text, _ = srkd("plan", "tiny.yaml", "--format", "slurm", "--jobs", "4")
    assert code == 0
    (tmp_path / "plan.sh").write_text(text)
    assert bash("plan.sh", "--gpus=1") == 0
    found = calls(tmp_path)
    assert [call[0] for call in found] == ["sbatch"] * 3
    assert [call[-2:] for call in found] == [
        [str(tmp_path / "plan.sh"), stage] for stage in ("teacher", "group", "scores")
    ]
    for call in found:
        assert {"--parsable", "--requeue", "--signal=B:TERM@120", f"--chdir={tmp_path}", "--gpus=1"} < set(
            call
        )
    dependencies = [word for call in found for word in call if word.startswith(("--dependency", "--array"))]
    assert dependencies == [
        "--dependency=singleton",
        "--dependency=singleton,afterok:1",
        "--array=0-3%4",
        "--dependency=singleton,afterany:2",
    ]
    assert bash("plan.sh", "group", SLURM_ARRAY_TASK_ID="3", SLURM_JOB_ID="9", CODE_OF_DISTILL="6") == 6
    assert bash("plan.sh", "scores", SLURM_JOB_ID="9") == 0
    group, scores = calls(tmp_path)
    assert group[:4] == ["srkd", "distill", "--method", "hkd"]
    assert group[-1] == "seeds=[3]"
    assert scores[:2] == ["srkd", "evaluate"]
    assert bash("-c", "bash < plan.sh") == 1  # a script that has no file can't be submitted


@pytest.mark.parametrize("state", ["RUNNING", "CANCELLED"])
def test_slurms_signal_becomes_a_checkpoint_and_the_job_is_queued_again_unless_it_was_cancelled(
    srkd: Srkd, fakes: Path, tmp_path: Path, state: str
) -> None:
    (tmp_path / "plan.sh").write_text(srkd("plan", "tiny.yaml", "--format", "slurm")[1])
    env = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "1"}
    env |= {"WAIT": "1", "STATE": state}
    job = subprocess.Popen(["bash", "plan.sh", "group"], cwd=tmp_path, env=os.environ | env)
    while not (tmp_path / "calls.jsonl").exists():
        time.sleep(0.01)
    for _ in range(2):
        job.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert job.wait(timeout=60) == 75
    assert (tmp_path / "signals").read_text() == "1"
    first, *others = calls(tmp_path)
    assert first[:2] == ["srkd", "distill"]
    requeued = [["scontrol", "requeue", "8_1"]] if state == "RUNNING" else []
    assert others == [["scontrol", "show", "job", "8_1"], *requeued]


def test_finished_parts_are_no_jobs(srkd: Srkd, fakes: Path, tmp_path: Path) -> None:
    one = ["--set", "methods=[none]"]
    assert srkd("run", "tiny.yaml", *one, "--set", "seeds=[0]")[0] == 0
    (tmp_path / "plan.sh").write_text(srkd("plan", "tiny.yaml", *one, "--format", "slurm")[1])
    assert bash("plan.sh") == 0
    found = calls(tmp_path)
    assert [call[-1] for call in found] == ["group", "scores"]
    assert {"--array=0-0", "--dependency=singleton"} < set(found[0])


def test_own_methods_are_named_by_their_files_and_only_if_the_user_lets_them_run(
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
    assert srkd("evaluate", "--suite", "tiny.yaml", *words[-2:])[0] == 0
    monkeypatch.setenv("SRKD_TRUST", "0")
    sources._SEEN.clear()  # another process
    code, _, messages = srkd(*words)  # the store knows it now, and yet it would be named as an option
    assert code == 1
    assert "error: the suite would run the code in './mine.py'" in messages
