import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from srkd_bench.config.artifacts import Measurement, Pack
from srkd_bench.core import files
from srkd_bench.core.errors import IntegrityError, MissingError, SrkdError
from srkd_bench.data.image_set import open_set
from srkd_bench.store import artifact_store
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.downloads import is_unchanged

KEY = Measurement(network="bicubic", pixels="0", scale=2)


def test_an_artifact_is_complete_or_absent(store: ArtifactStore) -> None:
    store.work(KEY).mkdir(parents=True)
    (store.work(KEY) / "checkpoint.pt").write_text("half")

    def fail() -> None:
        with store.writing(KEY) as folder:
            (folder / "scores.json").write_text("{}")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not store.has(KEY)
    assert store.work(KEY).is_dir()
    assert not list((store.home / "tmp").iterdir())
    with store.writing(KEY) as folder:
        (folder / "scores.json").write_text("{}")
        assert not store.has(KEY)
    assert store.file(KEY, "scores.json").read_text() == "{}"
    assert not store.work(KEY).exists()


def test_a_changed_or_missing_file_is_never_used(store: ArtifactStore) -> None:
    with pytest.raises(MissingError):
        store.file(KEY, "scores.json")
    with store.writing(KEY) as folder:
        (folder / "scores.json").write_text("{}")
    (store.path(KEY) / "scores.json").write_text("{]")
    with pytest.raises(IntegrityError, match="is not what was written"):
        store.file(KEY, "scores.json")
    (store.path(KEY) / "scores.json").unlink()
    with pytest.raises(IntegrityError):
        store.file(KEY, "scores.json")


def test_a_store_of_a_newer_format_is_refused(store: ArtifactStore) -> None:
    store.begin()
    (store.home / "format").write_text("3\n")
    with pytest.raises(SrkdError, match="has format '3'"):
        ArtifactStore(store.home)


def test_a_store_of_format_1_is_brought_up_to_date(store: ArtifactStore) -> None:
    images = open_set(store, "photos-test", 2)
    for pack in ("photos-test", "photos-test_x2"):
        (store.home / "data" / pack / "artifact.json").unlink()
    (store.downloads / "old.tar").write_bytes(b"old")
    (store.home / "format").write_text("1\n")
    with pytest.raises(MissingError):
        store.file(Pack(dataset="photos-test", scale=2), "index.json")
    migrated = ArtifactStore(store.home)
    assert (store.home / "format").read_text() == "2\n"
    assert is_unchanged(store.downloads / "old.tar")
    index = migrated.file(Pack(dataset="photos-test", scale=2), "index.json")
    assert index.is_file()
    before = index.stat().st_mtime_ns
    again = open_set(migrated, "photos-test", 2)
    assert again.pixels == images.pixels
    assert index.stat().st_mtime_ns == before  # found, not packed again


def test_several_may_begin_a_store_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert (tmp_path / "home" / "format").read_text() == "2\n"


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SrkdError, match=r"cannot write .*file"):
        ArtifactStore(tmp_path / "file").begin()


def test_a_lock_keeps_other_processes_out_and_dies_with_its_holder(store: ArtifactStore) -> None:
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
