import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from srkd_bench.config.artifacts import Measurement
from srkd_bench.core import files
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.store import artifact_store
from srkd_bench.store.artifact_store import ArtifactStore

KEY = Measurement(network="bicubic", pixels="0", scale=2)


def test_an_artifact_is_complete_or_absent(store: ArtifactStore) -> None:
    store.work(KEY).mkdir(parents=True)
    (store.work(KEY) / "checkpoint.pt").write_text("half", encoding="utf-8")

    def fail() -> None:
        with store.writing(KEY) as folder:
            (folder / "scores.json").write_text("{}", encoding="utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not store.has(KEY)
    assert store.work(KEY).is_dir()
    assert not list((store.home / "tmp").iterdir())
    with store.writing(KEY) as folder:
        (folder / "scores.json").write_text("{}", encoding="utf-8")
        assert not store.has(KEY)
    assert store.file(KEY, "scores.json").read_text(encoding="utf-8") == "{}"
    assert not store.work(KEY).exists()


def test_a_changed_or_missing_file_is_never_used(store: ArtifactStore) -> None:
    with pytest.raises(MissingError):
        store.file(KEY, "scores.json")
    with store.writing(KEY) as folder:
        (folder / "scores.json").write_text("{}", encoding="utf-8")
    (store.path(KEY) / "scores.json").write_text("{]", encoding="utf-8")
    with pytest.raises(IntegrityError, match="is corrupted"):
        store.file(KEY, "scores.json")
    (store.path(KEY) / "scores.json").unlink()
    with pytest.raises(IntegrityError):
        store.file(KEY, "scores.json")


@pytest.mark.parametrize("found", ["1", "3", "", "\x1b[2J"])
def test_a_store_of_another_format_is_refused(store: ArtifactStore, found: str) -> None:
    store.begin()
    (store.home / "format").write_text(f"{found}\n", encoding="utf-8")
    with pytest.raises(SrkdError) as caught:
        ArtifactStore(store.home)
    assert caught.value.message == f"store {store.home} has format {found!r}, this srkd reads 2"
    assert caught.value.hint == "install the srkd that made it, or choose another --home"
    assert (store.home / "format").read_text(encoding="utf-8") == f"{found}\n"


def test_several_processes_can_create_a_store_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    together = Barrier(4)

    def slowly(path: Path, content: str) -> None:
        written.append(path)
        time.sleep(0.2)
        files.put(path, content)

    def begin(number: int) -> None:
        own = ArtifactStore(tmp_path / "home")
        together.wait()
        own.begin()

    monkeypatch.setattr(artifact_store, "put", slowly)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(begin, range(4)))
    assert written == [tmp_path / "home" / "format"]
    assert (tmp_path / "home" / "format").read_text(encoding="utf-8") == "2\n"


def test_a_read_only_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SrkdError, match=r"cannot write .*file"):
        ArtifactStore(tmp_path / "file").begin()


def test_a_lock_excludes_other_processes_until_its_holder_ends(store: ArtifactStore) -> None:
    code = f"""
import pathlib, sys
from srkd_bench.store.artifact_store import ArtifactStore
with ArtifactStore(pathlib.Path({str(store.home)!r})).locked(["a", "b"]):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    with pytest.raises(subprocess.TimeoutExpired):
        other.wait(1.5)
    holder.kill()
    assert other.communicate(timeout=20)[0] == "held\n"
    holder.communicate()
