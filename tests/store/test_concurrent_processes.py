"""Several processes at once on one store."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.tiny_suite import tiny_suite


def start(folder: Path, suite: str, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "srkd_bench", "run", suite, "--home", "store", *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def student_has_checkpoint(home: Path) -> bool:
    """Return whether the teacher is finished and another network has a checkpoint."""
    finished = {path.name for path in home.glob("runs/*")}
    return bool(finished) and any(path.parent.name not in finished for path in home.glob("work/*/step-*.pt"))


def test_four_at_once_train_nothing_twice_and_print_the_same_tables(tmp_path: Path) -> None:
    for name, methods in {"one": ["none", "hkd"], "two": ["none", "hkd", "rkd"]}.items():
        tiny_suite(tmp_path, name, teacher={"train": {"steps": 40}}, train={"steps": 20}, methods=methods)
    running = [start(tmp_path, f"{name}.yaml") for name in ("one", "two", "one", "two")]
    ended = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0] * 4, ended
    assert ended[0][0] == ended[2][0]
    assert ended[1][0] == ended[3][0]
    told = [line for _, err in ended for line in err.splitlines() if line.startswith("Trained ")]
    teachers = [line for line in told if line.startswith("Trained teacher ")]
    names = [name for line in told for name in line.partition(": ")[2].partition(" in ")[0].split(", ")]
    assert len(teachers) == 1  # shared by two suites
    assert sorted(filter(None, names)) == ["hkd", "none", "rkd"]
    assert len(list((tmp_path / "store" / "runs").iterdir())) == 4


def test_a_waiting_process_resumes_from_a_killed_ones_checkpoint(tmp_path: Path) -> None:
    tiny_suite(tmp_path, "long", train={"steps": 1500}, methods=["none"])
    first = start(tmp_path, "long.yaml", "--checkpoint-seconds", "0.1")
    while not student_has_checkpoint(tmp_path / "store"):
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # it keeps its locks, and cannot finish while the second starts
    second = start(tmp_path, "long.yaml", "--json")
    assert second.stderr is not None
    lines = [second.stderr.readline() for _ in range(3)]
    assert lines[2].startswith("waiting for another process that works on the same artifact")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    assert ", resumed from step " in err
    assert {row["model"] for row in json.loads(out)["scores"]} == {"bicubic", "teacher", "none"}
