"""Several processes of one command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial
from io import StringIO
from itertools import chain, repeat
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import pytest
import torch
from rich.console import Console

from srkd_bench.core.errors import IntegrityError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.core.worker_progress import Board, News, Relay
from srkd_bench.experiments.executors.processes import Answer, Crew, Worker
from srkd_bench.experiments.planning.agenda import Agenda
from srkd_bench.experiments.planning.tasks import Task
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

LONG = [
    "--jobs",
    "2",
    "--checkpoint-seconds",
    "0.1",
    "--set",
    "methods=[none,dml]",
    "--set",
    "train.steps=1000000",
]


def made(home: Path) -> dict[str, bytes]:
    """Return weights and scores by their place."""
    files = [*home.glob("runs/*/weights.safetensors"), *home.glob("scores/*/scores.json")]
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "srkd_bench", "run", "tiny.yaml", "--home", "store", *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """Return the running worker processes of a command."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    return [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def until_both_have_checkpoints(folder: Path, process: "subprocess.Popen[str]") -> None:
    while len(list(folder.glob("store/work/*/step-*.pt"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_two_processes_give_bit_identical_results(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_suite(tmp_path, methods=["none", "hkd", "rkd"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        code, one, _ = srkd("run", "tiny.yaml", "--home", "one")
        assert code == 0
        code, two, messages = srkd("run", "tiny.yaml", "--home", "two", "--jobs", "2")
    finally:
        torch.set_num_threads(threads)
    assert (code, two) == (0, one)
    assert "Training 1 student, seed 0: none\n" in messages  # the group is split
    assert "Training 2 students, seed 0: hkd, rkd\n" in messages
    assert made(tmp_path / "two") == made(tmp_path / "one")
    assert len(made(tmp_path / "two")) == 4 + 5
    card = next((tmp_path / "two").glob("runs/*/card.json"))
    assert json.loads(card.read_text(encoding="utf-8"))["command"] == "srkd run tiny.yaml --home two --jobs 2"


def test_a_killed_process_resumes_and_a_signal_makes_all_write_checkpoints(
    tmp_path: Path,
) -> None:
    tiny_suite(tmp_path)
    process = start(tmp_path, *LONG)
    until_both_have_checkpoints(tmp_path, process)
    first = workers_of(process)
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    assert process.stderr is not None
    lines = [""]
    while ", resumed from step " not in lines[-1]:
        lines.append(process.stderr.readline())
    assert "was killed by SIGKILL; " in "".join(lines)
    workers = workers_of(process)
    os.kill(workers[0], signal.SIGTERM)  # a batch system may tell all
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (75, "")
    assert err.splitlines()[-2] == "Interrupted by SIGTERM; finished work and checkpoints are kept"
    assert err.splitlines()[-1].startswith("hint: run the same command to resume: srkd run")
    assert "Traceback" not in err
    assert not any(Path(f"/proc/{one}").exists() for one in [*first, *workers])
    assert len(list(tmp_path.glob("store/work/*/step-*.pt"))) == 2


def test_processes_end_with_a_checkpoint_when_the_command_is_killed(tmp_path: Path) -> None:
    tiny_suite(tmp_path)
    process = start(tmp_path, *LONG)
    until_both_have_checkpoints(tmp_path, process)
    workers = workers_of(process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{one}").exists() for one in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def echo(pid: Path, orders: Connection, answers: Connection) -> None:
    """Answer a task with its name."""
    pid.write_text(str(os.getpid()), encoding="utf-8")
    answers.send(orders.recv().name)
    orders.recv()


class Acted:
    """A fake worker with prepared answers to its tasks; None means that it is killed."""

    def __init__(self, name: str, *answers: Answer | None, code: int = -9) -> None:
        self.name, self.code, self.given = name, code, list[str]()
        self._script = list(answers)

    def give(self, task: Task) -> None:
        self.given.append(task.name)
        self.answers, answers = Pipe(duplex=False)
        if (answer := self._script.pop(0)) is not None:
            answers.send(answer)
            self._open = answers
        else:
            answers.close()

    def ended(self) -> int:
        return self.code


def crew_of(display: Display, *workers: Acted, steps: Iterable[int] = ()) -> Crew:
    points = chain(steps, repeat(0))
    todo = [
        Task("teacher", "teacher", ()),
        Task("a", "group", (), ("teacher",)),
        Task("b", "group", ()),
        Task("scores of a", "scores", (), ("a",)),
    ]
    return Crew(cast(list[Worker], workers), Agenda(todo), Board(display), lambda task: next(points))


def test_a_task_starts_on_an_idle_worker_after_its_dependencies(display: Display) -> None:
    one, two = Acted("one", [], [], []), Acted("two", [], [], [])
    crew = crew_of(display, one, two)
    crew.assign()
    assert (one.given, two.given) == (["teacher"], ["b"])
    crew.work()
    assert sorted(one.given + two.given) == ["a", "b", "scores of a", "teacher"]
    assert crew.failures == []


def test_a_task_killed_three_times_at_one_point_fails_and_others_continue(
    display: Display,
) -> None:
    nan = SrkdError("hkd seed 0: loss 'hkd' is nan")
    one = Acted("one", None, [], [nan], None, None, None, [])
    crew = crew_of(display, one)
    crew.work()
    assert one.given == ["teacher", "teacher", "a", "b", "b", "b", "scores of a"]
    assert [failure.message for failure in crew.failures] == [
        nan.message,
        "b: its process was killed by SIGKILL",
    ]
    assert crew.failures[1].hint == "memory may have run out: fewer --jobs"


def test_a_killed_task_restarts_as_long_as_it_makes_progress(display: Display) -> None:
    one = Acted("one", *[None] * 9, [], [], [], [])
    crew = crew_of(display, one, steps=[0, 0, 5, 5, 7, 8, 8, 9, 9])
    crew.work()
    assert one.given == ["teacher"] * 10 + ["a", "b", "scores of a"]
    assert (crew.failures, crew.deaths) == ([], 9)


def test_a_worker_killed_while_idle_is_restarted(tmp_path: Path) -> None:
    worker = Worker("one", partial(echo, tmp_path / "pid"))
    try:
        for _ in range(2):
            worker.give(Task("a", "group", ()))
            assert worker.answers.recv() == "a"
            os.kill(int((tmp_path / "pid").read_text(encoding="utf-8")), signal.SIGKILL)
            while worker.is_alive:
                time.sleep(0.01)
    finally:
        worker.stop()


def test_a_worker_that_ends_by_a_bug_is_not_restarted(display: Display) -> None:
    one = Acted("one", None, [], [], [], code=1)
    crew = crew_of(display, one)
    crew.work()
    assert one.given == ["teacher", "a", "b", "scores of a"]
    assert [failure.message for failure in crew.failures] == ["teacher: its process ended with exit code 1"]


def test_an_error_outside_a_run_stops_all_workers(display: Display) -> None:
    crew = crew_of(display, Acted("one", [], IntegrityError("weights are corrupted")), Acted("two", []))
    with pytest.raises(IntegrityError, match="weights are corrupted"):
        crew.work()


def test_each_worker_has_a_progress_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srkd_bench.core.worker_progress.SEND_SECONDS", 0.0)
    monkeypatch.setattr("srkd_bench.core.progress.QUIET_SECONDS", 0.0)
    sent: list[News] = []
    relay = Relay(sent.append, "seed 0: none, hkd")
    relay.say("training it")
    with relay.training("seed 0", 0, 10) as move:
        move(5, {})
    with relay.bar("measuring it") as tick:
        tick(1, 3)
    assert sent == [News("training it"), News("seed 0: none, hkd", 5, 10), News("measuring it", 1, 3)]
    plain = StringIO()
    board = Board(Display(Console(file=plain)))
    with board.shown():
        for news in sent:
            board.see("cuda:1", news)
    first, second, third = plain.getvalue().splitlines()
    assert first == "training it"
    assert second.startswith("cuda:1: seed 0: none, hkd: 5/10, ")
    assert third.startswith("cuda:1: measuring it: 1/3, ")
    live = StringIO()
    board = Board(Display(Console(file=live, force_terminal=True, width=100)))
    with board.shown():
        board.see("cuda:0", sent[1])
        board.see("cuda:1", sent[2])
        board._bars.refresh()  # type: ignore[union-attr]  # it is there on a terminal
        both = live.getvalue()
        board.clear("cuda:0")
        live.truncate(0)
        board._bars.refresh()  # type: ignore[union-attr]
    assert "cuda:0: seed 0: none, hkd" in both
    assert "cuda:1: measuring it" in both
    assert "cuda:0" not in live.getvalue()
