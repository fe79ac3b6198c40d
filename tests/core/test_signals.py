"""Signals: raised once, and delayed while work must not be interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from srkd_bench.core import signals
from srkd_bench.core.signals import Interrupted, interruptible, shielded
from tests.support.tiny_suite import tiny_suite

pytestmark = pytest.mark.posix  # Windows ends a process that is sent a signal


def send(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def test_a_signal_during_handling_of_the_first_does_not_raise_again() -> None:
    saved = False
    with interruptible():
        with pytest.raises(Interrupted), interruptible():
            send()
        send(signal.SIGINT)  # the outer block's handler is in place again
        saved = True
    assert saved


def test_after_the_outermost_block_the_next_signal_is_a_first_one_again() -> None:
    for number, code in signals.EXIT_CODES.items():
        with pytest.raises(Interrupted) as raised, interruptible():
            send(number)
        assert raised.value.exit_code == code
        assert (
            raised.value.stopped().message
            == f"Interrupted by {number.name}; finished work and checkpoints are kept"
        )


def test_a_shield_delays_the_first_signal() -> None:
    done = []

    @shielded()
    def write() -> None:
        with shielded():
            send()
            send(signal.SIGINT)
        done.append("written")

    with pytest.raises(Interrupted, match="SIGTERM"), interruptible():
        write()
    assert done == ["written"]


def test_a_worker_ignores_signals_after_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_patient", False)
    monkeypatch.setattr(signals, "SAME_SECONDS", 0.0)
    signals.only_once()
    with interruptible():
        with pytest.raises(Interrupted):
            send(signal.SIGINT)
        send()
        send(signal.SIGINT)


INSISTS = """
import os, signal
from srkd_bench.core import signals
signals.SAME_SECONDS = 0.0
with signals.interruptible():
    try:
        with signals.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
    except signals.Interrupted:
        with signals.shielded():
            os.kill(os.getpid(), signal.SIGINT)
            print("saved", flush=True)
        print("never said", flush=True)
"""


def test_a_later_second_signal_ends_the_process_once_the_shield_ends() -> None:
    ended = subprocess.run([sys.executable, "-c", INSISTS], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGINT, "saved\n")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1"])
def test_a_signal_ignored_by_nohup_stays_ignored(name: str) -> None:
    number = signal.Signals[name]
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with interruptible():
            send(number)
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


ON_A_TERMINAL = """
import os, pty, sys
pid, terminal = pty.fork()
if not pid:
    os.execv(sys.executable, [sys.executable, "-m", "srkd_bench", "run", "tiny.yaml", *sys.argv[1:]])
while b"steps/s" not in os.read(terminal, 100_000):
    pass
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_training_whose_terminal_is_closed_writes_a_checkpoint_and_ends_with_75(tmp_path: Path) -> None:
    tiny_suite(tmp_path)
    words = ["--home", "store", "--set", "teacher.train.steps=1000000", "--device", "cpu"]
    ended = subprocess.run(
        [sys.executable, "-c", ON_A_TERMINAL, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("75\n", "")
    assert list(tmp_path.glob("store/work/*/step-*.pt"))
