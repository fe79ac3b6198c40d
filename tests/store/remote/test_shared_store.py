"""Several machines' stores, on a bucket of a real S3-compatible server."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from srkd_bench.config.artifacts import Measurement, Pack
from srkd_bench.core.errors import IntegrityError
from srkd_bench.core.files import put
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.remote import bucket as bucket_module
from srkd_bench.store.remote import leases
from srkd_bench.store.remote.shared_store import Shared
from tests.conftest import Srkd
from tests.support.bucket_server import Server
from tests.support.finished_runs import pair
from tests.support.tiny_suite import tiny_suite

KEY = Measurement(network="bicubic", pixels="0", scale=2)


@pytest.fixture
def one(server: Server, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "one")


@pytest.fixture
def two(server: Server, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "two")


def sharing(store: ArtifactStore) -> Shared:
    assert store.shared is not None
    return store.shared


def write(store: ArtifactStore, scores: str = "{}", card: str = "{}") -> None:
    with store.writing(KEY) as folder:
        put(folder / "scores.json", scores)
        put(folder / "card.json", card)


def gets(server: Server) -> list[str]:
    """Return the files of artifacts that were fetched."""
    paths = [path for method, path in server.asked if method == "GET"]
    return [path.rpartition("-")[2] for path in paths if path.endswith((".json", ".safetensors", ".u8"))]


def test_artifacts_of_one_machine_are_fetched_once_by_another(
    server: Server, one: ArtifactStore, two: ArtifactStore
) -> None:
    assert not two.has(KEY)
    write(one, '{"a": 1}')
    two = ArtifactStore(two.home)
    assert two.has(KEY)
    assert two.keys("scores") == one.keys("scores")
    server.asked.clear()
    assert two.read(KEY.place, "scores.json") == b'{"a": 1}'
    assert two.read(KEY.place, "scores.json") == b'{"a": 1}'
    assert gets(server) == ["scores.json"]
    assert not two.path(KEY).exists()  # only a part of it is local
    assert two.file(KEY, "card.json").read_text(encoding="utf-8") == "{}"
    assert gets(server) == ["scores.json", "card.json"]
    assert two.file(KEY, "scores.json").read_text(encoding="utf-8") == '{"a": 1}'
    assert len(gets(server)) == 2
    assert {path.name for path in two.path(KEY).iterdir()} == {"artifact.json", "scores.json", "card.json"}
    server.wire.down = True
    assert ArtifactStore(two.home).has(KEY)  # local artifacts need no other machine


def test_files_are_uploaded_before_the_manifest(server: Server, one: ArtifactStore) -> None:
    write(one)
    # A worker writes heartbeats.
    kinds = [path.split("/")[3] for method, path in server.asked if method == "PUT"]
    kept = [kind for kind in kinds if kind in ("scores", "manifests")]
    assert kept == ["scores", "scores", "manifests"]


def test_a_finished_run_and_its_scores_take_as_many_requests_as_the_documentation_says(
    server: Server, one: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SRKD_STORE")
    monkeypatch.setattr(leases, "BEAT", 3600.0)  # however slow this machine is
    run, _ = pair(tmp_path / "elsewhere")
    with one.locked(["data-x"]):
        pass  # the first one is the heartbeat
    one.has(KEY), one.has(run)
    server.asked.clear()
    with one.locked([run.lock]), one.writing(run) as folder:
        for name in ("weights.safetensors", "events.jsonl", "card.json"):
            put(folder / name, "")
    assert len(server.asked) == 8
    with one.locked([KEY.lock]):
        write(one)
    assert len(server.asked) == 8 + 7


def test_of_two_concurrent_uploads_one_is_kept_unmixed(
    server: Server, one: ArtifactStore, two: ArtifactStore, tmp_path: Path
) -> None:
    together = threading.Barrier(2)

    def make(store: ArtifactStore, name: str) -> None:
        together.wait()
        write(store, name, name)

    makers = [threading.Thread(target=make, args=(store, store.home.name)) for store in (one, two)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    three = ArtifactStore(tmp_path / "three")
    seen = [
        (store.read(KEY.place, "scores.json"), store.read(KEY.place, "card.json"))
        for store in (one, two, three)
    ]
    assert seen in [[(name, name)] * 3 for name in (b"one", b"two")]
    assert not sharing(one).unsent() + sharing(two).unsent()


def test_a_killed_upload_leaves_nothing_partial_and_is_repeated(
    server: Server, one: ArtifactStore, two: ArtifactStore
) -> None:
    code = f"""
import pathlib, os
from srkd_bench.config.artifacts import Measurement
from srkd_bench.store.artifact_store import ArtifactStore
store = ArtifactStore(pathlib.Path({str(one.home)!r}))
with store.writing(Measurement(network="bicubic", pixels="0", scale=2)) as folder:
    (folder / "card.json").write_text("{{}}")
    (folder / "scores.json").write_bytes(os.urandom(3_000_000))
"""
    server.wire.delay = 0.03
    sender = subprocess.Popen([sys.executable, "-c", code])
    while not any("card.json" in path for _, path in server.asked):
        time.sleep(0.01)
        assert sender.poll() is None
    sender.send_signal(signal.SIGKILL)
    sender.wait()
    server.settle()
    assert not ArtifactStore(two.home).has(KEY)
    again = ArtifactStore(one.home)
    assert again.has(KEY)
    again.begin()
    assert two.file(KEY, "scores.json").read_bytes() == one.file(KEY, "scores.json").read_bytes()


def test_work_continues_during_an_outage_and_is_uploaded_afterwards(
    server: Server, one: ArtifactStore, two: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "PATIENCE", 0.3)
    told: list[str] = []
    alone = ArtifactStore(one.home, told.append)
    alone.begin()
    server.wire.down = True
    write(alone)
    assert told == [told[0]]
    assert told[0].startswith(f"cannot reach {os.environ['SRKD_STORE']}: ")
    assert told[0].endswith(f"; {KEY.place} is kept here and uploaded later")
    tries = server.wire.tries
    alone.send()  # not tried again at once
    assert server.wire.tries == tries
    server.settle()
    assert not two.has(KEY)
    ArtifactStore(one.home).begin()
    assert not two.has(KEY)  # it has looked only just now
    two.look_again()
    assert two.has(KEY)
    assert not sharing(one).unsent()


def test_before_work_starts_an_outage_is_an_error_with_a_hint(
    server: Server, srkd: Srkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "PATIENCE", 0.3)
    server.wire.down = True
    status, _, err = srkd("run", "smoke")
    assert status == 1
    assert "error: cannot reach s3://runs/" in err
    assert "hint: is AWS_ENDPOINT_URL right" in err
    monkeypatch.setenv("SRKD_STORE", "s3:/runs")
    assert "error: 's3:/runs' is not an address of a shared store" in srkd("ls", "runs")[2]
    assert srkd("ls", "methods", "--help")[0] == 0
    monkeypatch.setenv("SRKD_STORE", "s3://runs/lab")
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert "hint: python -m pip install '.[s3]'" in srkd("ls", "runs")[2]


def test_corrupted_bytes_on_the_server_are_detected_and_repaired(
    server: Server, one: ArtifactStore, two: ArtifactStore, srkd: Srkd, tmp_path: Path
) -> None:
    write(one)
    (name,) = (name for name in sharing(one).bucket.list(KEY.place) if name.endswith("scores.json"))
    sharing(one).bucket.put(name, b"[]")
    with pytest.raises(IntegrityError, match=r"scores\.json is corrupted") as error:
        two.file(KEY, "scores.json")
    assert error.value.hint == "srkd store verify --shared --repair"
    with pytest.raises(IntegrityError):
        two.read(KEY.place, "scores.json")
    assert not two.path(KEY).exists()
    assert not list((two.home / "tmp").iterdir())
    assert not list((two.home / "peeked").rglob("*scores.json*"))
    status, out, _ = srkd("store", "verify", "--shared")
    assert (status, out.splitlines()[0]) == (4, f"{KEY.place}: scores.json is corrupted")
    assert srkd("store", "verify", "--shared", "--repair", "--home", str(one.home))[0] == 0
    assert two.file(KEY, "scores.json").read_text(encoding="utf-8") == "{}"  # sent again: it was whole here
    assert srkd("store", "verify", "--shared")[1].endswith("0 corrupted\n")


def test_a_manifest_that_is_damaged_or_names_files_elsewhere_is_refused(
    server: Server, one: ArtifactStore, two: ArtifactStore
) -> None:
    write(one)
    manifest = f"manifests/{KEY.place}.json"
    text = (one.path(KEY) / "artifact.json").read_text(encoding="utf-8")
    for changed in (text[:-1], text.replace("scores.json", "../../evil"), text.replace("bicubic", "another")):
        sharing(one).bucket.put(manifest, changed.encode())
        with pytest.raises(IntegrityError, match=f"{manifest} is corrupted"):
            two.file(KEY, "card.json")
        assert not two.path(KEY).exists()
    sharing(one).bucket.delete(manifest)
    with pytest.raises(IntegrityError):
        two.file(KEY, "card.json")


def test_other_images_of_a_data_sets_name_stay_local(
    server: Server, one: ArtifactStore, two: ArtifactStore
) -> None:
    told: list[str] = []
    own, key = ArtifactStore(two.home, told.append), Pack(dataset="set5", scale=1)
    for store, content in ((one, "1"), (own, "2")):
        with store.writing(key) as folder:
            put(folder / "index.json", content)
    assert own.read(key.place, "index.json") == b"2"
    assert one.read(key.place, "index.json") == b"1"
    assert told == [f"{os.environ['SRKD_STORE']} has other images of data/set5; this machine uses its own"]


def test_earlier_finished_work_is_uploaded(
    server: Server, srkd: Srkd, tmp_path: Path, two: ArtifactStore
) -> None:
    address = os.environ.pop("SRKD_STORE")
    student, teacher = pair(tmp_path / "home")
    assert "error: no shared store is named" in srkd("store", "push")[2]
    os.environ["SRKD_STORE"] = address
    assert not two.has(student)
    assert srkd("store", "push")[0] == 0
    fresh = ArtifactStore(two.home)
    assert fresh.has(student)
    assert fresh.has(teacher)
    lists = [srkd("ls", "runs", "--home", str(home), "--json")[1] for home in (two.home, tmp_path / "home")]
    assert sorted(lists[0].splitlines()) == sorted(lists[1].splitlines())
    status, _, err = srkd("store", "export", student.digest[:12], "-o", "one.tar", "--home", str(two.home))
    assert (status, fresh.path(student).is_dir()) == (0, True), err
    assert json.loads(srkd("store", "push", "--json")[1]) == {"schema": 1, "sent": [], "left": []}


def test_nothing_is_shared_offline(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRKD_OFFLINE", "1")
    assert ArtifactStore(tmp_path).shared is None


def start(folder: Path, home: str, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "srkd_bench", "run", "one.yaml", "--home", home, *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_machines_at_once_train_nothing_twice_and_print_the_same(
    server: Server, tmp_path: Path, srkd: Srkd
) -> None:
    tiny_suite(tmp_path, "one", teacher={"train": {"steps": 40}}, train={"steps": 20})
    running = [start(tmp_path, home) for home in ("first", "second")]
    ended = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    told = [line for _, err in ended for line in err.splitlines() if line.startswith("Trained ")]
    groups = [line.partition(": ")[2].partition(" in ")[0] or line.split()[1] for line in told]
    assert sorted(name for group in groups for name in group.split(", ")) == ["hkd", "none", "teacher"]
    server.asked.clear()
    assert srkd("run", "one.yaml", "--home", "third")[1] == ended[0][0]
    assert not any(
        name.endswith((".safetensors", ".u8")) for name in gets(server)
    )  # a table needs scores alone
    # The two workers' last requests, which end their heartbeats, may arrive late.
    assert {method for method, path in server.asked if "/workers/" not in path} == {"GET"}


def test_another_machine_resumes_from_the_checkpoint_bit_identically(
    server: Server, tmp_path: Path, srkd: Srkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_suite(tmp_path, "one", teacher={"train": {"steps": 300}})

    def stop() -> None:
        while not any("/work/" in path for _, path in server.asked):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    assert srkd("run", "one.yaml", "--home", "first", "--checkpoint-seconds", "0.05")[0] == 75
    status, out, err = srkd("run", "one.yaml", "--home", "second")
    assert status == 0
    assert "Training teacher EDSR 6×4 (1 of 2), resumed from step " in err
    bucket = ArtifactStore(tmp_path / "second").shared.bucket  # type: ignore[union-attr]
    assert not bucket.list("work")
    assert not bucket.list("claims")
    monkeypatch.delenv("SRKD_STORE")
    assert srkd("run", "one.yaml", "--home", "calm")[1] == out
    bits = [
        {path.parent.name: path.read_bytes() for path in (tmp_path / home / "runs").glob("*/weights*")}
        for home in ("calm", "second")
    ]
    assert bits[0] == bits[1]


def test_a_training_continues_without_the_bucket_and_is_not_repeated(
    server: Server, tmp_path: Path, srkd: Srkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "PATIENCE", 0.3)
    monkeypatch.setattr(bucket_module, "REST", 0.0)
    monkeypatch.setattr(leases, "BEAT", 0.3)
    tiny_suite(tmp_path, "one", teacher={"train": {"steps": 300}})

    def cut() -> None:
        while not any("/work/" in path for _, path in server.asked):
            time.sleep(0.01)
        server.wire.down = True
        server.wire.cut()

    threading.Thread(target=cut, daemon=True).start()
    status, _, err = srkd("run", "one.yaml", "--checkpoint-seconds", "0.05")
    assert status == 1
    assert "Trained teacher EDSR 6×4 (1 of 2)" in err
    assert "is kept here and uploaded later" in err
    assert "error: cannot reach s3://runs/" in err
    server.settle()
    status, _, err = srkd("run", "one.yaml")
    assert status == 0
    assert "Trained teacher EDSR 6×4" not in err
    assert len(sharing(ArtifactStore(tmp_path / "other")).names("runs")) == 3
