"""Shell and Slurm scripts give the same results as `srkd run`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

# A fake command that records its arguments, waits if told to, and ends with a given exit code.
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
def srkd(srkd: Srkd, tmp_path: Path, six_minutes_a_step: None) -> Srkd:
    """Call the command in a folder with a tiny suite and a fixed forecast."""
    tiny_suite(tmp_path, methods=["none", "hkd", "rkd"], seeds=[0, 3])
    return srkd


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put fake commands that record their arguments first in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("srkd", "sbatch", "scontrol"):
        (folder / name).write_text(FAKE, encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def calls(folder: Path) -> list[list[str]]:
    """Return the recorded arguments of the commands, and clear the record."""
    found = [json.loads(line) for line in (folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()]
    (folder / "calls.jsonl").unlink()
    return found


def bash(*words: str, **env: str) -> int:
    return subprocess.run(["bash", *words], env=os.environ | env, check=False, timeout=60).returncode


def test_the_shell_script_continues_after_failed_runs(srkd: Srkd, fakes: Path, tmp_path: Path) -> None:
    words = ["--home", "a 'store'", "--set", 'methods=["none"]', "--device", "cpu"]
    code, text, _ = srkd("plan", "tiny.yaml", "--format", "shell", *words)
    assert code == 0
    assert not (tmp_path / "a 'store'").exists()
    (tmp_path / "plan.sh").write_text(text, encoding="utf-8")
    assert bash("plan.sh") == 0
    where = [
        str(tmp_path / "tiny.yaml"),
        "--set",
        'methods=["none"]',
        "--home",
        f"{tmp_path}/a 'store'",
    ]
    group = ["srkd", "distill", "--method", "none", *where, "--device", "cpu", "--set"]
    expected = [
        ["srkd", "train-teacher", *where, "--device", "cpu"],
        [*group, "seeds=[0]"],
        [*group, "seeds=[3]"],
        ["srkd", "evaluate", *where, "--device", "cpu"],
    ]
    assert calls(tmp_path) == expected
    assert bash("plan.sh", CODE_OF_DISTILL="6") == 6
    assert calls(tmp_path) == expected
    assert bash("plan.sh", CODE_OF_DISTILL="75") == 75
    assert calls(tmp_path) == expected[:2]
    assert bash("plan.sh", **{"CODE_OF_TRAIN-TEACHER": "6"}) == 6
    assert calls(tmp_path) == expected[:1]


def test_labels_of_a_finished_teacher_are_an_array_of_jobs_and_one_command_of_a_shell_script(
    srkd: Srkd, fakes: Path, tmp_path: Path
) -> None:
    assert srkd("train-teacher", "tiny.yaml")[0] == 0
    labels = ["tiny.yaml", "--set", "teacher.labels=images", "--set", "methods=[none, hkd]", "--jobs", "3"]
    script = srkd("plan", *labels, "--format", "shell")[1]
    assert script.count("train-teacher") == 1
    (tmp_path / "plan.sh").write_text(srkd("plan", *labels, "--format", "slurm")[1], encoding="utf-8")
    assert bash("plan.sh") == 0
    teacher = calls(tmp_path)[0]
    assert (teacher[-1], "--array=0-2%3" in teacher) == ("teacher", True)


def test_slurm_gets_a_teacher_then_an_array_of_groups_then_the_scores(
    srkd: Srkd, fakes: Path, tmp_path: Path
) -> None:
    code, text, _ = srkd("plan", "tiny.yaml", "--format", "slurm", "--jobs", "4")
    assert code == 0
    (tmp_path / "plan.sh").write_text(text, encoding="utf-8")
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
    assert bash("-c", "bash < plan.sh") == 1  # a script that has no file cannot be submitted


def test_slurm_trains_several_teachers_as_an_array(srkd: Srkd, fakes: Path, tmp_path: Path) -> None:
    several = ["--set", "teacher.seeds=paired", "--format", "slurm"]
    (tmp_path / "plan.sh").write_text(srkd("plan", "tiny.yaml", *several)[1], encoding="utf-8")
    assert bash("plan.sh") == 0
    teacher, group, _ = calls(tmp_path)
    assert {"--array=0-1", "--dependency=singleton"} < set(teacher)
    assert "--dependency=singleton,afterok:1" in group
    for stage in ("teacher", "group"):
        assert bash("plan.sh", stage, SLURM_ARRAY_TASK_ID="1", SLURM_JOB_ID="9") == 0
    teacher, group = calls(tmp_path)
    assert (teacher[1], teacher[-1]) == ("train-teacher", "teacher.seeds=[3]")
    assert group[-3:] == ["seeds=[3]", "--set", "teacher.seeds=[3]"]


@pytest.mark.parametrize("state", ["RUNNING", "CANCELLED"])
def test_slurms_signal_writes_a_checkpoint_and_requeues_the_job_unless_cancelled(
    srkd: Srkd, fakes: Path, tmp_path: Path, state: str
) -> None:
    (tmp_path / "plan.sh").write_text(srkd("plan", "tiny.yaml", "--format", "slurm")[1], encoding="utf-8")
    env = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "1"}
    env |= {"WAIT": "1", "STATE": state}
    job = subprocess.Popen(["bash", "plan.sh", "group"], cwd=tmp_path, env=os.environ | env)
    while not (tmp_path / "calls.jsonl").exists():
        time.sleep(0.01)
    for _ in range(2):
        job.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert job.wait(timeout=60) == 75
    assert (tmp_path / "signals").read_text(encoding="utf-8") == "1"
    first, *others = calls(tmp_path)
    assert first[:2] == ["srkd", "distill"]
    requeued = [["scontrol", "requeue", "8_1"]] if state == "RUNNING" else []
    assert others == [["scontrol", "show", "job", "8_1"], *requeued]


def test_finished_tasks_are_not_submitted(srkd: Srkd, fakes: Path, tmp_path: Path) -> None:
    one = ["--set", "methods=[none]"]
    assert srkd("run", "tiny.yaml", *one, "--set", "seeds=[0]")[0] == 0
    (tmp_path / "plan.sh").write_text(
        srkd("plan", "tiny.yaml", *one, "--format", "slurm")[1], encoding="utf-8"
    )
    assert bash("plan.sh") == 0
    found = calls(tmp_path)
    assert [call[-1] for call in found] == ["group", "scores"]
    assert {"--array=0-0", "--dependency=singleton"} < set(found[0])
