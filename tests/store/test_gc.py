import json
import os
import random
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srkd_bench.cli.output import err
from srkd_bench.config.artifacts import Measurement, Pack
from srkd_bench.config.base import Artifact
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.files import put
from srkd_bench.core.progress import Display
from srkd_bench.data import ingest
from srkd_bench.data.catalog import DATASETS
from srkd_bench.data.image_set import open_set
from srkd_bench.data.packs import pack
from srkd_bench.experiments.executors import serial
from srkd_bench.experiments.planning import planner, requirements
from srkd_bench.store import checkpoints, gc, verify, workspace
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import (
    CARD,
    EVENTS,
    FAILED,
    INDEX,
    MANIFEST,
    SCORES,
    SHA256,
    WEIGHTS,
    beside,
    lock_of,
)
from srkd_bench.store.manifest import stamp
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

UNFINISHED = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A store with the finished tiny suite, an unfinished run and two downloads, created once."""
    home = tmp_path_factory.mktemp("finished") / "home"
    store, display = ArtifactStore(home), Display(err)
    plan = planner.plan(load_suite(str(tiny_suite(home.parent))), store, display)
    place = workspace.Workplace(store, display)
    assert serial.do_all(plan, place) == []
    checkpoints.write(home / "work" / UNFINISHED, 7, random.Random(0).randbytes(5000))
    downloaded(home, "images.zip")
    return home


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> ArtifactStore:
    shutil.copytree(finished, tmp_path / "home")
    return ArtifactStore(tmp_path / "home")


@pytest.fixture
def srkd(srkd: Srkd, tmp_path: Path) -> Srkd:
    tiny_suite(tmp_path)
    return srkd


def downloaded(home: Path, name: str) -> Path:
    path = home / "downloads" / name
    put(path, random.Random(name).randbytes(3000))
    put(beside(path, SHA256), f"{stamp(path)['sha256']}  {name}\n")
    return path


def contents(home: Path) -> dict[str, bytes]:
    """All files except locks."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and path.parent.name != "locks" and path.suffix != ".lock"
    }


def broken(store: ArtifactStore, display: Display) -> dict[str, str]:
    found = verify.verify(store, display)
    return {str(fault.path.relative_to(store.home)): fault.problem for fault in found.faults}


@contextmanager
def process(store: ArtifactStore, held: str) -> Iterator[None]:
    """Another process that holds `with {held}:` of the store."""
    code = f"""
import pathlib, sys
from srkd_bench.store.artifact_store import ArtifactStore
store = ArtifactStore(pathlib.Path({str(store.home)!r}))
with {held} as held:
    if held:
        (held / "half").write_text("x")
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    try:
        yield
    finally:
        holder.kill()
        holder.communicate()


def run_of(store: ArtifactStore, method: str, n_feats: int = 4) -> Path:
    for manifest in (store.home / "runs").glob(f"*/{MANIFEST}"):
        key = json.loads(manifest.read_text(encoding="utf-8"))["key"]
        if (key["method"], key["model"]["n_feats"]) == (method, n_feats):
            return manifest.parent
    raise AssertionError(method)


def leave_behind(store: ArtifactStore) -> list[str]:
    """Create the leftovers of killed processes, one of each kind."""
    home, run = store.home, run_of(store, "hkd").name
    left = ["tmp/killed", f"work/{run}", f"work/{UNFINISHED}/step-9-{20 * '0'}.pt.part", f"runs/{20 * 'f'}"]
    left += ["downloads/images.zip.part", "downloads/images.zip.sha256.part"]
    for name in left:
        path = home / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".part":
            path.write_bytes(bytes(700))
        else:
            path.mkdir()
            (path / "weights.safetensors").write_bytes(bytes(500))
    return sorted(left)


def test_any_flipped_byte_is_found_and_its_artifact_named(store: ArtifactStore, display: Display) -> None:
    chance = random.Random(1)
    things: dict[str, list[Path]] = {}
    for path in sorted(store.home.rglob("*")):
        place = path.relative_to(store.home).parts
        if path.is_file() and place[0] in ("runs", "scores", "data"):
            things.setdefault("/".join(place[:2]), []).append(path)
        elif path.is_file() and place[0] in ("work", "downloads"):
            things.setdefault(str(path.relative_to(store.home)).removesuffix(".sha256"), []).append(path)
    assert {len(files) for files in things.values()} == {
        4,
        3,
        1,
        2,
    }  # run; pack or scores; checkpoint; download
    assert broken(store, display) == {}
    flipped = 0
    for _ in range(30):
        chosen = {thing: chance.choice(files) for thing, files in things.items() if chance.random() < 0.7}
        before = {path: path.read_bytes() for path in chosen.values()}
        for path, content in before.items():
            at = chance.randrange(len(content))
            path.write_bytes(
                content[:at] + bytes([content[at] ^ chance.randrange(1, 256)]) + content[at + 1 :]
            )
            flipped += 1
        found = broken(store, display)
        assert set(found) == set(chosen)
        for thing, path in chosen.items():
            if path.name != MANIFEST and thing.startswith(("runs", "scores", "data")):
                assert found[thing] == f"{path.name} is corrupted"
        for path, content in before.items():
            path.write_bytes(content)
    assert flipped > 200


def test_missing_and_added_files_and_renamed_folders_are_found(
    store: ArtifactStore, display: Display
) -> None:
    teacher, hkd = run_of(store, "none", 6), run_of(store, "hkd")
    (teacher / "events.jsonl").unlink()
    (hkd / "notes.txt").touch()
    (store.home / "data" / "photos-test" / MANIFEST).unlink()
    (store.home / "data" / "photos-test_x2").rename(store.home / "data" / "photos-test_x3")
    score = next((store.home / "scores").iterdir())
    (score / "scores.json").rename(store.home / "elsewhere")
    (score / "scores.json").symlink_to(store.home / "elsewhere")
    assert broken(store, display) == {
        f"runs/{teacher.name}": "events.jsonl is missing",
        f"runs/{hkd.name}": "notes.txt does not belong to it",
        "data/photos-test": "artifact.json is missing",
        "data/photos-test_x3": "artifact.json is corrupted: it belongs to data/photos-test_x2",
        f"scores/{score.name}": "scores.json is corrupted",
    }


def test_a_missing_download_is_found_by_its_checksum(
    store: ArtifactStore, display: Display, srkd: Srkd
) -> None:
    download = next(path for path in (store.home / "downloads").iterdir() if beside(path, SHA256).exists())
    download.unlink()
    part = download.with_name(download.name + ".part")
    part.write_bytes(b"half")
    assert broken(store, display) == {}
    part.unlink()
    name = f"downloads/{beside(download, SHA256).name}"
    assert broken(store, display) == {name: f"{download.name} is missing"}
    assert verify.verify(store, display).unverified == []
    assert srkd("store", "verify", "--repair")[0] == 0
    assert not beside(download, SHA256).exists()
    assert broken(store, display) == {}


def test_files_being_written_are_no_fault(store: ArtifactStore, display: Display) -> None:
    for name in (
        "tmp/abc/half",
        "downloads/next.zip.part",
        "downloads/next.zip.lock",
        f"work/{UNFINISHED}/x.pt.part",
    ):
        (store.home / name).parent.mkdir(exist_ok=True)
        (store.home / name).write_text("half", encoding="utf-8")
    assert broken(store, display) == {}


def test_a_pack_replaced_during_verification_is_no_fault(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, replaced = Pack(dataset="photos-test", scale=1), list[Path]()

    class Busy(Display):
        @contextmanager
        def bar(
            self, title: str, unit: str = "", *, bytes: bool = False
        ) -> Iterator[Callable[[int, int | None], None]]:
            yield self.tick

        def tick(self, done: int, total: int | None) -> None:
            if not replaced and done > 1_000_000:  # the pack's images are being read
                replaced.append(store.path(key))
                with store.writing(key) as folder:
                    (folder / "index.json").write_text("another copy", encoding="utf-8")
                    (folder / "images.u8").write_bytes(bytes(10))

    monkeypatch.setattr(verify, "CHUNK", 1 << 14)
    assert broken(store, Busy(err)) == {}
    assert replaced


def test_an_unreadable_file_is_a_fault(
    store: ArtifactStore, display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = Path.open
    bad = run_of(store, "hkd")

    def fail(path: Path, *words: Any, **more: Any) -> Any:
        if path == bad / "card.json":
            raise OSError(5, "Input/output error")
        return opened(path, *words, **more)

    monkeypatch.setattr(Path, "open", fail)
    assert broken(store, display) == {f"runs/{bad.name}": "cannot be read (Input/output error)"}


def test_empty_failure_files_and_checkpoints_are_found(store: ArtifactStore, display: Display) -> None:
    folder = store.home / "work" / UNFINISHED
    (folder / "failed.json").write_text('{"error": "loss is nan"}', encoding="utf-8")
    assert broken(store, display) == {}
    (folder / "failed.json").write_text('{"error": ', encoding="utf-8")
    (folder / "step-8.pt").write_text("", encoding="utf-8")
    assert set(broken(store, display)) == {f"work/{UNFINISHED}/failed.json", f"work/{UNFINISHED}/step-8.pt"}


def test_a_download_without_a_checksum_is_unverified_and_no_fault(store: ArtifactStore, srkd: Srkd) -> None:
    beside(store.home / "downloads" / "images.zip", SHA256).unlink()
    code, text, _ = srkd("store", "verify")
    assert code == 0
    assert "downloads/images.zip: cannot be verified" in text
    assert json.loads(srkd("store", "verify", "--json")[1])["unverified"] == ["downloads/images.zip"]


def test_verify_needs_no_memory_for_large_files(store: ArtifactStore, display: Display) -> None:
    for path in (store.home / "work" / UNFINISHED / f"step-8-{20 * '0'}.pt", downloaded(store.home, "large")):
        with path.open("wb") as file:
            file.truncate(60_000_000)
    tracemalloc.start()
    assert len(broken(store, display)) == 2
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_verify_ends_with_4_and_the_command_that_repairs(store: ArtifactStore, srkd: Srkd) -> None:
    files = sum(
        path.suffix not in (".lock", ".sha256") for path in store.home.rglob("*/*/*") if path.is_file()
    )
    code, text, messages = srkd("store", "verify")
    assert (code, messages) == (0, "")
    assert text.startswith(f"{files + 1} files, 2 MB verified in ")  # and the download
    assert text.endswith(", 0 corrupted\n")
    (run_of(store, "hkd") / "card.json").write_text("{}", encoding="utf-8")
    before = contents(store.home)
    code, text, messages = srkd("store", "verify")
    assert code == 4
    assert text.splitlines()[0] == f"runs/{run_of(store, 'hkd').name}: card.json is corrupted"
    assert text.endswith(", 1 corrupted\n")
    assert messages.endswith("hint: srkd store verify --repair\n")
    code, text, _ = srkd("store", "verify", "--json")
    assert code == 4
    assert [one["removed"] for one in json.loads(text)["broken"]] == [False]
    assert contents(store.home) == before


def test_repaired_artifacts_are_recreated_bit_identically(store: ArtifactStore, srkd: Srkd) -> None:
    before = contents(store.home)
    hkd = run_of(store, "hkd")
    lost = [run_of(store, "none", 6) / "weights.safetensors", hkd / MANIFEST]
    lost += [next((store.home / "scores").iterdir()) / "scores.json"]
    lost += [store.home / "data" / name / "images.u8" for name in ("photos-test", "photos-test_x2")]
    lost += [store.home / "downloads" / "images.zip", next((store.home / "work" / UNFINISHED).iterdir())]
    for path in lost:
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    code, text, _ = srkd("store", "verify", "--repair")
    assert code == 0
    assert text.count("; deleted: ") == 7
    assert f"runs/{hkd.name}: artifact.json is corrupted; deleted: the next `srkd run`" in text
    assert not any(path.exists() for path in lost)
    assert not beside(lost[5], SHA256).exists()
    assert srkd("store", "verify")[0] == 0
    assert srkd("run", "tiny.yaml")[0] == 0
    after = contents(store.home)
    cards = ("card.json", "events.jsonl", MANIFEST)  # date and seconds
    assert set(before) - set(after) == {
        str(path.relative_to(store.home)) for path in [*lost[5:], beside(lost[5], SHA256)]
    }
    assert [
        name for name in before.keys() & after if before[name] != after[name] and not name.endswith(cards)
    ] == []


def test_repair_keeps_artifacts_of_a_running_process(store: ArtifactStore, srkd: Srkd) -> None:
    run = run_of(store, "hkd")
    (run / "card.json").write_text("{}", encoding="utf-8")
    with process(store, f"store.locked(['run-{run.name}'])"):
        code, text, _ = srkd("store", "verify", "--repair")
    assert code == 4
    assert "not deleted: another process uses it" in text
    assert run.exists()
    assert srkd("store", "verify", "--repair")[0] == 0
    assert not run.exists()


def test_repair_keeps_artifacts_recreated_in_the_meantime(store: ArtifactStore, display: Display) -> None:
    run = run_of(store, "hkd")
    content = (run / "card.json").read_bytes()
    (run / "card.json").write_text("{}", encoding="utf-8")
    (fault,) = verify.verify(store, display).faults
    (run / "card.json").write_bytes(content)
    assert verify.repair(store, fault)
    assert run.exists()


def test_gc_without_yes_changes_nothing(store: ArtifactStore, srkd: Srkd) -> None:
    left = leave_behind(store)
    before, names = contents(store.home), sorted(store.home.rglob("*"))
    code, text, messages = srkd("store", "gc")
    assert code == 0
    assert all(name in text for name in left)
    assert "6 items, 4 kB can be deleted" in text
    assert "3 finished runs are kept; --keep SUITE includes those that SUITE does not need" in messages
    assert messages.endswith("to delete the listed items: srkd store gc --yes\n")
    srkd("store", "gc", "--keep", "tiny.yaml")
    assert contents(store.home) == before
    assert sorted(store.home.rglob("*")) == names


def test_gc_removes_only_leftovers_of_killed_processes(store: ArtifactStore, srkd: Srkd) -> None:
    (store.home / "downloads" / "other.zip.part").write_bytes(
        bytes(9)
    )  # a partial download that can be resumed
    before = contents(store.home)
    left = leave_behind(store)
    removed = json.loads(srkd("store", "gc", "--yes", "--json")[1])
    assert {one["path"] for one in removed["things"]} == set(left)
    assert removed["bytes"] == 3 * 500 + 3 * 700
    assert contents(store.home) == before
    assert srkd("store", "gc", "--yes")[1] == "nothing to delete\n"


def test_gc_removes_partial_small_files_of_killed_processes(store: ArtifactStore, srkd: Srkd) -> None:
    old, new = (store.home / f"methods.json.{number}1234567.part" for number in range(2))
    half = store.home / "downloads" / "images.zip.sha256.01234567.part"
    for path in (old, new, half):
        path.write_bytes(bytes(10))
    os.utime(old, (0, 0))
    things = json.loads(srkd("store", "gc", "--yes", "--json")[1])["things"]
    assert {one["path"] for one in things} == {old.name, f"downloads/{half.name}"}
    assert [path.exists() for path in (old, new, half)] == [False, True, False]


def test_gc_removes_unused_locks(store: ArtifactStore, srkd: Srkd) -> None:
    locks, download = store.home / "locks", store.home / "downloads" / "images.zip.lock"
    download.touch()
    unused = len(list(locks.iterdir())) + 1
    assert unused > 1
    with process(store, "store.locked(['run-abc'])"):
        told = json.loads(srkd("store", "gc", "--json")[1])
        assert told["locks"] == unused
        assert len(list(locks.iterdir())) == unused  # nothing is removed without --yes
        code, text, messages = srkd("store", "gc", "--yes")
        assert (code, text) == (0, "nothing to delete\n")
        assert f"{unused} unused lock files deleted\n" in messages
        assert [path.name for path in locks.iterdir()] == ["run-abc"]
        assert not download.exists()
    assert json.loads(srkd("store", "gc", "--yes", "--json")[1])["locks"] == 1
    assert not list(locks.iterdir())


DAMAGED = [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"[" * 9999, b'{\n "key": {},\n "files": {}\n}']


@pytest.mark.parametrize(
    ("name", "content"),
    [(MANIFEST, content) for content in (*DAMAGED, None)]
    + [
        (name, content)
        for name in (CARD, EVENTS, WEIGHTS, SCORES, INDEX, FAILED)
        for content in (b"[]", None)
    ],
)
def test_a_damaged_artifact_causes_no_traceback(
    store: ArtifactStore, srkd: Srkd, name: str, content: bytes | None
) -> None:
    run, other = run_of(store, "hkd"), run_of(store, "none")
    score = next(path for path in (store.home / "scores").iterdir() if "of hkd" in gc.describe(path))
    damaged = {SCORES: score, INDEX: store.home / "data" / "photos-test"}.get(name, run)
    if name == FAILED:
        damaged = store.home / "work" / run.name
        damaged.mkdir()
        shutil.rmtree(run)
    path = damaged / name
    path.unlink(missing_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    commands = ["ls", "ls methods", "ls datasets", f"show {run.name[:8]}", "report tiny.yaml", "store gc"]
    commands += ["store gc --keep tiny.yaml", f"show {other.name[:8]}", "plan tiny.yaml"]
    for command in commands:
        code, text, messages = srkd(*command.split())
        assert code in (0, 3, 4), command
        assert (code == 0) or messages.count("error: ") == 1
        if code == 4:
            assert messages.endswith("hint: srkd store verify --repair\n")
    code, text, messages = srkd("ls", "--json")
    assert code == 0
    shown = {one["run"] for one in json.loads(text)["runs"]}
    gone = {run.name[:12]} if name in (MANIFEST, FAILED) else set()
    assert shown == {one.name[:12] for one in (store.home / "runs").iterdir()} - gone
    if name == MANIFEST and content is not None:
        said = f"runs/{run.name} is damaged and skipped; for the cause: srkd store verify"
        assert " ".join(messages.split()) == said
        code, _, messages = srkd("show", run.name[:8])
        assert code == 4
        assert f"{MANIFEST} is corrupted" in messages


def test_runs_of_an_unknown_version_are_not_listed(store: ArtifactStore, srkd: Srkd) -> None:
    class Later(Artifact):
        folder, kind = "runs", "run"
        model: dict[str, int]

    with store.writing(Later(model={"depth": 1})) as folder:
        (folder / CARD).write_text("{}", encoding="utf-8")
    code, text, messages = srkd("ls")
    assert (code, len(text.splitlines())) == (0, 4)
    assert messages.count(" is damaged and skipped") == 1


def test_gc_never_removes_files_of_a_live_process(store: ArtifactStore, srkd: Srkd) -> None:
    left = leave_behind(store)
    with process(store, "store.scratch()"):
        (scratch,) = (path for path in (store.home / "tmp").iterdir() if path.name != "killed")
        locks = f"store.locked(['run-{run_of(store, 'hkd').name}', 'run-{UNFINISHED}', 'run-{20 * 'f'}'])"
        with process(store, locks):
            free = {name for name in left if name.startswith(("tmp", "down"))}
            for words in (["--json"], ["--json", "--yes"]):
                things = json.loads(srkd("store", "gc", *words)[1])["things"]
                assert {one["path"] for one in things} == free
        assert (scratch / "half").read_text(encoding="utf-8") == "x"
    assert {one["path"] for one in json.loads(srkd("store", "gc", "--yes", "--json")[1])["things"]} == {
        f"tmp/{scratch.name}",
        *(set(left) - free),
    }


def test_gc_keeps_files_created_or_locked_after_its_scan(store: ArtifactStore) -> None:
    leave_behind(store)
    waste = gc.leftovers(store)
    half = store.home / "runs" / (20 * "f")
    shutil.rmtree(half)
    shutil.copytree(run_of(store, "hkd"), half)
    with process(store, f"store.locked(['run-{UNFINISHED}'])"):
        gone = {one.path: gc.remove(store, one) for one in waste}
    assert half.is_dir()
    assert {path.name for path, removed in gone.items() if not removed} == {
        half.name,
        f"step-9-{20 * '0'}.pt.part",
    }


def test_scratch_folders_are_locked_before_creation(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, seen = Path.mkdir, list[int]()

    def looked_at(path: Path, *words: Any, **more: Any) -> None:
        make(path, *words, **more)
        if path.parent.name == "tmp":
            seen.append(len(gc.leftovers(store)))

    monkeypatch.setattr(Path, "mkdir", looked_at)
    with store.scratch() as folder:
        assert seen == [0]
        lock_of(store.home, folder).unlink()
        assert [one.path for one in gc.leftovers(store)] == [folder]
    assert not list((store.home / "locks").glob("tmp-*"))


def test_gc_keeps_all_artifacts_of_a_suite(store: ArtifactStore, srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path, "less", methods=["none"])
    hkd = run_of(store, "hkd").name
    (score,) = (
        path
        for path in (store.home / "scores").iterdir()
        if gc.describe(path).endswith("hkd seed 0, EDSR 4×4")
    )
    (store.home / "cache").mkdir()
    put(store.home / "cache" / "0.sr", b"of an earlier version")
    removed = json.loads(srkd("store", "gc", "--keep", "less.yaml", "--yes", "--json")[1])
    named = {one["path"]: one["what"] for one in removed["things"]}
    assert named == {
        f"runs/{hkd}": "hkd seed 0, EDSR 4×4",
        f"scores/{score.name}": "scores on photos-test of hkd seed 0, EDSR 4×4",
        f"work/{UNFINISHED}": "unfinished run, 7 steps done",
        "downloads/images.zip": "download",
        "cache/0.sr": "SR of a teacher, kept by an earlier version",
    }
    assert not any((store.home / name).exists() for name in named)
    code, _, messages = srkd("run", "less.yaml")
    assert code == 0
    assert "2 of 2 networks are in the store" in messages
    assert "measuring" not in messages
    assert srkd("store", "gc", "--keep", "less.yaml", "--keep", "tiny.yaml")[1] == "nothing to delete\n"


def test_gc_keeps_the_unfinished_runs_of_a_suite(store: ArtifactStore, srkd: Srkd) -> None:
    hkd = run_of(store, "hkd")
    checkpoints.write(store.home / "work" / hkd.name, 1, b"half")
    shutil.rmtree(hkd)
    things = json.loads(srkd("store", "gc", "--keep", "tiny.yaml", "--json")[1])["things"]
    assert {one["path"] for one in things} == {f"work/{UNFINISHED}", "downloads/images.zip"}


def test_gc_keeps_self_ensemble_scores_of_a_suite(store: ArtifactStore, srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path, "turned", methods=["none"], evaluate={"self_ensemble": True})
    key = Measurement(network=20 * "a", pixels="0", scale=2)
    with store.writing(key) as folder:
        (folder / "scores.json").write_text(json.dumps({"dataset": "set5", "images": {}}), encoding="utf-8")
    things = json.loads(srkd("store", "gc", "--keep", "turned.yaml", "--json")[1])["things"]
    scores = sorted(one["what"] for one in things if one["path"].startswith("scores"))
    assert scores == [
        "scores on photos-test of hkd seed 0, EDSR 4×4",
        "scores on photos-test of none seed 0, EDSR 4×4",
        "scores on photos-test of none seed 0, EDSR 6×4",
        "scores on set5 of a deleted network",
    ]


def test_gc_keeps_the_images_and_downloads_of_a_suite(
    store: ArtifactStore, srkd: Srkd, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    for name, count in {"set5": 5, "set14": 14}.items():
        pack(store, name, ((f"{i}", noise[i % 5] + np.uint8(i)) for i in range(count)))
        open_set(store, name, 2)
    kept = [ingest.kept_at(store, source).name for source in DATASETS["set5"].sources]
    for name in (*kept, "set14.tar"):
        downloaded(store.home, name)
    tiny_suite(tmp_path, "set5", data={"test": ["set5"]})
    things = json.loads(srkd("store", "gc", "--keep", "set5.yaml", "--keep", "tiny.yaml", "--json")[1])[
        "things"
    ]
    assert {one["path"] for one in things} == {
        *("data/set14", "data/set14_x2", "downloads/images.zip", "downloads/set14.tar", f"work/{UNFINISHED}"),
    }


def test_gc_stops_if_needed_artifacts_are_unknown(
    store: ArtifactStore, srkd: Srkd, tmp_path: Path, display: Display
) -> None:
    tiny_suite(tmp_path, "far", data={"test": ["set5"]})
    before = contents(store.home)
    code, text, messages = srkd("store", "gc", "--keep", "tiny.yaml", "--keep", "far.yaml", "--yes")
    assert (code, text) == (3, "")
    assert messages.endswith("hint: srkd download set5\n")
    with pytest.raises(MissingError, match="without its data: set5"):
        requirements.needed(store, load_suite("far.yaml"), display)
    tiny_suite(tmp_path, "less", methods=["none"])
    with process(store, f"store.locked(['run-{run_of(store, 'hkd').name}'])"):
        code, _, messages = srkd("store", "gc", "--keep", "less.yaml", "--yes")
        assert code == 1
        assert "another process works on a suite that is not kept" in messages
        assert contents(store.home) == before
        assert srkd("store", "gc", "--keep", "tiny.yaml", "--yes")[0] == 0
    assert not (store.home / "work" / UNFINISHED).exists()


def test_du_sums_all_files(store: ArtifactStore, srkd: Srkd) -> None:
    leave_behind(store)
    code, text, _ = srkd("store", "du", "--json")
    told = json.loads(text)
    assert code == 0
    assert {one["what"]: one["count"] for one in told["places"]} == {
        "runs": 4,
        "weights": 0,
        "scores": 4,
        "labels": 0,
        "data": 2,
        "downloads": 1,
        "work": 2,
        "cache": 0,
        "peeked": 0,
        "tmp": 1,
        "locks": len(list((store.home / "locks").iterdir())),
    }
    held = {name: len(content) for name, content in contents(store.home).items() if "/" in name}
    assert told["bytes"] == sum(held.values())
    for one in told["places"]:
        assert one["bytes"] == sum(
            count for name, count in held.items() if name.startswith(one["what"] + "/")
        )
    assert 0 < told["free"] <= shutil.disk_usage(store.home).total
    assert "total" in srkd("store", "du")[1]


def test_locks_and_errors_name_their_artifact(tmp_path: Path) -> None:
    for path, lock in {
        f"runs/{UNFINISHED}": f"locks/run-{UNFINISHED}",
        f"work/{UNFINISHED}/step-1.pt": f"locks/run-{UNFINISHED}",
        f"scores/{UNFINISHED}": f"locks/score-{UNFINISHED}",
        f"labels/{UNFINISHED}": f"locks/labels-{UNFINISHED}",
        f"work/labels-{UNFINISHED}/labels.i16": f"locks/labels-{UNFINISHED}",
        "data/photos-test_x2": "locks/data-photos-test",
        "data/photos-test": "locks/data-photos-test",
        "downloads/a.zip": "downloads/a.zip.lock",
        "downloads/a.zip.part": "downloads/a.zip.lock",
        "downloads/a.zip.sha256.part": "downloads/a.zip.lock",
    }.items():
        assert lock_of(tmp_path, tmp_path / path) == tmp_path / lock
    (tmp_path / "locks").touch()
    with pytest.raises(SrkdError, match="cannot write"):
        verify.repair(ArtifactStore(tmp_path), verify.Fault(tmp_path / "runs" / UNFINISHED, ""))
