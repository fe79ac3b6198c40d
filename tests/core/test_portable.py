"""Portability to Windows, simulated by a Python without POSIX modules and with Windows' locking call."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import srkd_bench

PACKAGE = Path(srkd_bench.__file__).parent
SCORES = PACKAGE.parent / "results" / "bsds" / "scores.csv.gz"
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
SIGNALS = (
    "SIGHUP",
    "SIGUSR1",
    "SIGUSR2",
    "SIGKILL",
    "SIGALRM",
    "SIGCHLD",
    "pthread_sigmask",
    "alarm",
    "pause",
)
CALLS = (
    "fork", "forkpty", "getuid", "geteuid", "killpg", "mkfifo", "pread", "pwrite", "setsid", "statvfs", "sync",
    "sysconf", "uname", "wait", "WNOHANG", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "sched_getaffinity",
)  # fmt: skip
WITHOUT = (
    f"""
import fcntl, os, signal, subprocess, sys, types
flock = fcntl.flock

def locking(descriptor, mode, count):  # as Windows: nobody else has the lock, or PermissionError
    try:
        flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if mode else fcntl.LOCK_UN)
    except BlockingIOError:
        raise PermissionError from None

sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=1, LK_UNLCK=0, locking=locking)
for name in {MODULES!r}:
    sys.modules[name] = None
for name in {SIGNALS!r}:
    delattr(signal, name)
"""
    if os.name == "posix"
    else ""
)  # Windows lacks them by itself


def run(code: str, *words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_report_of_published_scores_and_the_help_need_no_posix_call(tmp_path: Path) -> None:
    command = "from srkd_bench.cli.app import main\nmain()"
    asked = run(command, "--help", folder=tmp_path)
    assert (asked.returncode, asked.stderr) == (0, "")
    words = ["report", "bsds", "--from", str(SCORES), "--home", str(tmp_path / "store")]
    found = run(command, *words, folder=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert "PSNR-Y" in found.stdout


IMPORT_ALL = """
import importlib, pkgutil
import srkd_bench
for module in pkgutil.walk_packages(srkd_bench.__path__, "srkd_bench."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def test_every_module_can_be_imported_without_posix_modules(tmp_path: Path) -> None:
    ran = run(IMPORT_ALL, folder=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")


LOCKED = """
from pathlib import Path
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.locks import alone, held, is_held
lock = Path("lock")
with held(lock):
    assert is_held(lock)
    with alone(lock) as mine:
        assert not mine
assert not is_held(lock)
store = ArtifactStore(Path("store"))
with store.locked(["a"]), store.scratch() as folder:
    (folder / "file").write_text("kept")
    store.publish(folder, store.home / "data" / "x")
assert (store.home / "data" / "x" / "file").read_text() == "kept"
from srkd_bench.core.signals import EXIT_CODES
assert {one.name for one in EXIT_CODES} == {"SIGINT", "SIGTERM"}
"""


def test_locks_and_the_store_work_with_the_calls_of_windows(tmp_path: Path) -> None:
    ran = run(LOCKED, folder=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_only_core_uses_calls_that_windows_lacks() -> None:
    found = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "core" and _posix_names(path)]
    assert not found
    assert _posix_names(PACKAGE / "core" / "portable.py")


def _posix_names(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    used = {
        node.attr
        for node in attributes
        if isinstance(node.value, ast.Name) and node.value.id in ("os", "signal")
    }
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return used & {*CALLS, *SIGNALS} | imported & {*MODULES}
