"""Disk failures during a command: full, limited, read-only, removed."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srkd_bench.core.errors import SrkdError
from srkd_bench.core.files import put, replacing
from srkd_bench.store import checkpoints
from tests.support.tiny_suite import tiny_suite

PHOTOS = {"train": "photos"}  # its pack is larger than the 3 MB that a file may have
RUN = [sys.executable, "-m", "srkd_bench", "run", "tiny.yaml"]
Finished = subprocess.CompletedProcess[str]


def mounts() -> bool:
    """Return whether a small disk can be mounted here, in its own namespace."""
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    return (
        shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0
    )


needs_mounts = pytest.mark.skipif(not mounts(), reason="no right to mount a disk in a namespace")


@pytest.fixture(autouse=True)
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_suite(tmp_path, data=PHOTOS)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the result of a run on a healthy disk."""
    folder = tmp_path_factory.mktemp("whole")
    tiny_suite(folder, data=PHOTOS)
    subprocess.run([*RUN, "--home", "store"], cwd=folder, check=True, capture_output=True)
    return numbers(folder / "store")


def run(*more: str, before: Callable[[], None] | None = None) -> Finished:
    return subprocess.run([*RUN, *more], capture_output=True, text=True, preexec_fn=before, check=False)


def told_once(finished: Finished, *parts: str) -> None:
    """Check that there is one clear error, and nothing on stdout."""
    message = " ".join(finished.stderr.split())
    assert finished.returncode == 1, message
    assert finished.stdout == ""
    assert message.count("error: ") == message.count("hint: ") == 1, message
    assert "Traceback" not in message
    for part in parts:
        assert part in message


def numbers(home: Path) -> dict[str, bytes]:
    names = ("weights.safetensors", "scores.json")
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.name in names}


def test_a_file_size_limit_is_reported_and_work_resumes_without_it(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    limited = run(
        "--home", "store", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
    )
    told_once(limited, f"cannot write {tmp_path}/store/tmp/", "File too large", " needed", "ulimit -f")
    assert not list((tmp_path / "store" / "tmp").iterdir())
    assert run("--home", "store").returncode == 0
    assert numbers(tmp_path / "store") == whole


@needs_mounts
def test_a_full_disk_is_reported_and_the_same_command_resumes_afterwards(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    (tmp_path / "disk").mkdir()
    script = f"""
mount -t tmpfs -o size=16m none disk
"$@" --home disk/store --set seeds=[1] >first 2>first.err; echo $? >first.code
head -c 100m /dev/zero >disk/filler 2>/dev/null
"$@" --home disk/store >full 2>full.err; echo $? >full.code
ls disk/store/tmp >left
rm disk/filler
"$@" --home disk/store >last 2>last.err; echo $? >last.code
cp -r disk/store {tmp_path}/after
"""
    subprocess.run(["unshare", "-Urm", "bash", "-c", script, "-", *RUN], check=True)
    read = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("f*") if path.is_file()}
    assert read["first.code"] == "0\n", read["first.err"]
    told_once(
        Finished([], int(read["full.code"]), read["full"], read["full.err"]),
        "not enough space in",
        " needed, ",
        " free",
    )
    assert (tmp_path / "left").read_text(encoding="utf-8") == ""
    assert (tmp_path / "last.code").read_text(encoding="utf-8") == "0\n"
    assert "1 of 3 networks are in the store" in read["full.err"]
    after = numbers(tmp_path / "after")
    assert {name: after[name] for name in whole} == whole


@needs_mounts
def test_a_read_only_store_can_be_read_and_reports_failed_writes(tmp_path: Path) -> None:
    assert run("--home", "store").returncode == 0
    script = """
mount --bind store store && mount -o remount,ro,bind store
"$@" --home store >same 2>same.err; echo $? >same.code
"$@" --home store --set seeds=[1] >other 2>other.err; echo $? >other.code
"""
    subprocess.run(["unshare", "-Urm", "bash", "-c", script, "-", *RUN], check=True)
    assert (tmp_path / "same.code").read_text(encoding="utf-8") == "0\n", (tmp_path / "same.err").read_text(
        encoding="utf-8"
    )
    other = [(tmp_path / f"other{suffix}").read_text(encoding="utf-8") for suffix in (".code", "", ".err")]
    told_once(
        Finished([], int(other[0]), *other[1:]), f"cannot write {tmp_path}/store", "Read-only file system"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_store_without_write_permission_is_reported(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    told_once(run("--home", "locked/store"), f"cannot write {tmp_path}/locked/store", "Permission denied")


def test_a_store_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    told_once(run("--home", "store"), f"cannot write {tmp_path}/store")


def test_a_store_that_disappears_is_reported_and_not_recreated(tmp_path: Path) -> None:
    command = [*RUN, "--home", "store", "--set", "train.steps=100000", "--checkpoint-seconds", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("store/work/*/step-*.pt")):
        time.sleep(0.02)
    (tmp_path / "store").rename(tmp_path / "away")
    out, err = process.communicate(timeout=60)
    told_once(
        Finished([], process.returncode, out, err), f"cannot write {tmp_path}/store/work/", "No such file"
    )
    assert not (tmp_path / "store").exists()


def test_many_threads_can_write_the_same_file_at_once(tmp_path: Path) -> None:
    contents = [bytes([number]) * 5000 for number in range(8)]

    def put_often(content: bytes) -> None:
        for _ in range(50):
            put(tmp_path / "file", content)
            assert (tmp_path / "file").read_bytes() in contents  # whole

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put_often, contents))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["file", "tiny.yaml"]


def test_an_unfinished_write_keeps_the_old_file(tmp_path: Path) -> None:
    put(tmp_path / "file", "old")

    def fail() -> None:
        with replacing(tmp_path / "file", 3) as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "old"
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_deleted_after_a_checkpoint_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    checkpoints.write(folder, 1, b"old")

    def put_and_lose(path: Path, content: bytes) -> None:
        put(path, content)
        glob = list(folder.glob("step-1-*"))
        monkeypatch.setattr(Path, "glob", lambda self, pattern: glob)
        folder.rename(tmp_path / "away")

    monkeypatch.setattr(checkpoints, "put", put_and_lose)
    with pytest.raises(SrkdError, match=f"^cannot write {folder}: No such file"):
        checkpoints.write(folder, 2, b"new")
