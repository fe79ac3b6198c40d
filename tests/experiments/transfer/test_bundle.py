import copy
import errno
import gzip
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from srkd_bench.cli.output import err
from srkd_bench.config.artifacts import Weights
from srkd_bench.config.network import ModelSpec
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.experiments.executors import serial
from srkd_bench.experiments.planning import planner
from srkd_bench.experiments.transfer import tar as tar_module
from srkd_bench.experiments.transfer.bundle import export, take_in
from srkd_bench.networks.loading import build, to_safetensors
from srkd_bench.store import workspace
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import MANIFEST
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished store of the tiny suite, and its export."""
    folder = tmp_path_factory.mktemp("finished")
    store, display = ArtifactStore(folder / "home"), Display(err)
    plan = planner.plan(load_suite(str(tiny_suite(folder))), store, display)
    place = workspace.Workplace(store, display)
    assert serial.do_all(plan, place) == []
    places = [str(path.parent.relative_to(store.home)) for path in store.home.glob(f"[rs]*/*/{MANIFEST}")]
    export(store, places, folder / "tiny.tar", display)
    return folder


@pytest.fixture
def srkd(srkd: Srkd, finished: Path, tmp_path: Path) -> Srkd:
    """Call the command in a folder with an export and an empty store, `away`."""
    shutil.copy(finished / "tiny.tar", tmp_path)
    tiny_suite(tmp_path)
    ArtifactStore(tmp_path / "away").begin()
    return srkd


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished / "home", tmp_path / "home"))


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def kept(home: Path) -> Files:
    """All files of runs, weights and scores."""
    return {
        name: content
        for name, content in everything(home).items()
        if content is not None and name.startswith(("runs", "weights", "scores"))
    }


@pytest.mark.usefixtures("home")
def test_an_import_equals_the_export_and_gives_the_same_table(srkd: Srkd, tmp_path: Path) -> None:
    code, text, messages = srkd("store", "export", "tiny.yaml", "-o", "moved.tar")
    assert (code, text) == (0, "")
    assert messages.startswith("Wrote moved.tar: 3 runs, 4 sets of scores, ")
    code, _, messages = srkd("store", "import", "moved.tar", "--home", "away")
    assert (code, messages) == (
        0,
        "moved.tar: 3 runs, 4 sets of scores: 7 new, 0 were already in the store\n",
    )
    assert kept(tmp_path / "away") == kept(tmp_path / "home")
    table = srkd("report", "tiny.yaml")[1]
    assert srkd("report", "tiny.yaml", "--home", "away")[1] == table
    assert "HKD" in table
    assert "not trained yet" not in table
    code, again, messages = srkd("run", "tiny.yaml", "--home", "away")
    assert (code, again) == (0, table)
    assert "3 of 3 networks are in the store" in messages
    assert "training" not in messages
    assert srkd("store", "verify", "--home", "away")[0] == 0


@pytest.mark.usefixtures("home")
def test_the_same_artifacts_give_the_same_tar_without_time_or_owner(srkd: Srkd, finished: Path) -> None:
    for path in Path("home").rglob("*"):
        os.utime(path, (1, 1))
    srkd("store", "export", "tiny.yaml", "-o", "again.tar")
    assert Path("again.tar").read_bytes() == (finished / "tiny.tar").read_bytes()
    with tarfile.open("again.tar", "r:") as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == sorted(kept(Path("home")))
    assert {(entry.type, entry.mtime, entry.uid, entry.gid, entry.uname) for entry in entries} == {
        (tarfile.REGTYPE, 0, 0, 0, "")
    }


@pytest.mark.usefixtures("home")
def test_a_run_is_exported_by_its_id_prefix_with_its_scores(srkd: Srkd) -> None:
    name = min(path.name for path in Path("home/runs").iterdir())
    digest = hashlib.sha256(canonical(key_of(Path("home/runs") / name))).hexdigest()
    (score,) = (path for path in Path("home/scores").iterdir() if key_of(path)["network"] == digest)
    code, text, _ = srkd("store", "export", name[:6], "-o", "one.tar", "--json")
    assert code == 0
    told = json.loads(text)
    assert told["holds"] == [f"runs/{name}", f"scores/{score.name}"]
    assert told["bytes"] == Path("one.tar").stat().st_size
    assert (
        json.loads(srkd("store", "import", "one.tar", "--home", "away", "--json")[1])["new"] == told["holds"]
    )
    _, _, messages = srkd("store", "import", "tiny.tar", "--home", "away")
    assert "5 new, 2 were already in the store" in messages


def canonical(key: Any) -> bytes:
    return json.dumps(key, sort_keys=True, separators=(",", ":")).encode()


def key_of(folder: Path) -> dict[str, Any]:
    key: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["key"]
    return key


@pytest.mark.usefixtures("home")
def test_imported_weights_are_exported_with_their_suite(srkd: Srkd, tmp_path: Path) -> None:
    (tmp_path / "teacher.safetensors").write_bytes(
        to_safetensors(build(ModelSpec(n_feats=5, n_resblocks=4), 0))
    )
    own = ["--set", "teacher.weights=teacher.safetensors", "--set", "name=own"]
    srkd("run", "tiny.yaml", *own)
    tiny_suite(tmp_path, "own", teacher={"weights": "teacher.safetensors", "model": None, "train": None})
    table = srkd("report", "own.yaml")[1]
    assert "1 loaded network," in srkd("store", "export", "own.yaml", "-o", "own.tar")[2]
    assert srkd("store", "import", "own.tar", "--home", "away")[0] == 0
    assert srkd("report", "own.yaml", "--home", "away")[1] == table


@pytest.mark.usefixtures("home")
def test_an_existing_file_is_replaced_only_with_force(srkd: Srkd) -> None:
    Path("mine.tar").write_text("mine", encoding="utf-8")
    code, _, messages = srkd("store", "export", "tiny.yaml", "-o", "mine.tar")
    assert code == 1
    assert "hint: --force overwrites it" in messages
    assert Path("mine.tar").read_text(encoding="utf-8") == "mine"
    assert srkd("store", "export", "tiny.yaml", "-o", "mine.tar", "--force")[0] == 0
    assert srkd("store", "import", "mine.tar", "--home", "away")[0] == 0


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("file", ["weights.safetensors", MANIFEST, "card.json"])
def test_corrupted_artifacts_are_never_exported(srkd: Srkd, file: str) -> None:
    run = min(Path("home/runs").iterdir())
    content = (run / file).read_bytes()
    at = content.index(b'"seed": 0') + 8 if file == MANIFEST else len(content) // 2
    (run / file).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    code, _, messages = srkd("store", "export", run.name, "-o", "bad.tar")
    assert code == 4
    assert f"{file} is corrupted" in " ".join(messages.split())
    (run / file).unlink()
    assert srkd("store", "export", "tiny.yaml", "-o", "bad.tar")[0] in (
        0,
        4,
    )  # 0: that run is deleted
    assert not Path("bad.tar.part").exists()
    assert file == MANIFEST or not Path("bad.tar").exists()


@pytest.mark.usefixtures("home")
def test_a_full_disk_leaves_no_partial_tar(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        code, _, messages = srkd("store", "export", "tiny.yaml", "-o", "big.tar")
    assert code == 1
    assert re.search(r"cannot write big.tar: No space left on device, \d+ kB needed", messages)
    assert not list(Path().glob("big*"))


def test_an_import_names_the_data_sets_that_a_report_needs(srkd: Srkd) -> None:
    files = as_files(Path("tiny.tar"))
    score = next(name for name in files if name.endswith("scores.json"))
    old = score.rpartition("/")[0]
    read = json.loads(files[score])
    one = next(iter(read["images"].values()))
    changed = json.dumps({"dataset": "set5", "images": dict.fromkeys("abcde", one)}).encode()
    signed = sign(files, old, {"scores.json": changed})
    write(Path("set5.tar"), {name: signed[name] for name in signed if name.startswith("scores")})
    code, _, messages = srkd("store", "import", "set5.tar", "--home", "away")
    assert code == 0
    assert "A report also needs their images: srkd download set5" in messages


# Malicious tars: each is rejected, and leaves no files.


def as_files(path: Path) -> Files:
    with tarfile.open(path, "r:") as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: Any) -> bytes:
    header = tarfile.TarInfo(name)
    header.type, header.size = kind, len(content)
    for field, value in more.items():
        setattr(header, field, value)
    block = header.tobuf(tarfile.GNU_FORMAT, "utf-8")
    return block + content + bytes(-len(content) % 512)


def write(path: Path, files: Files, *more: bytes, end: bytes = bytes(1024)) -> None:
    path.write_bytes(b"".join([*(entry(name, files[name]) for name in files), *more, end]))


def sign(files: Files, place: str, changed: Files, key: Any = None) -> Files:
    """The files with an artifact changed, its manifest and the folder's name made to fit."""
    kind = place.partition("/")[0]
    own = {name.rpartition("/")[2]: content for name, content in files.items() if name.startswith(place)}
    own |= changed
    manifest = json.loads(own.pop(MANIFEST))
    key = manifest["key"] if key is None else key
    listed = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in own.items()
    }
    own[MANIFEST] = json.dumps({"key": key, "files": listed}, indent=1).encode()
    target = f"{kind}/{hashlib.sha256(canonical(key)).hexdigest()[:20]}"
    rest = {name: content for name, content in files.items() if not name.startswith(place)}
    return rest | {f"{target}/{name}": content for name, content in own.items()}


def refused(srkd: Srkd, tmp_path: Path, message: str) -> None:
    before = everything(tmp_path / "away")
    code, text, messages = srkd("store", "import", "bad.tar", "--home", "away")
    assert (code, text) == (4, "")
    assert message in messages
    assert messages.startswith("error: nothing was imported from bad.tar: ")
    assert "\x1b" not in messages
    assert "Traceback" not in messages
    assert everything(tmp_path / "away") == before
    assert not list(tmp_path.rglob("evil*"))


RUN = 20 * "0"
SPARSE = tarfile.GNUTYPE_SPARSE


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (entry(f"runs/{RUN}/card.json", kind=tarfile.SYMTYPE, linkname="/etc/passwd"), "is not a plain file"),
        (entry(f"runs/{RUN}/card.json", kind=tarfile.LNKTYPE, linkname="../evil"), "is not a plain file"),
        (entry(f"runs/{RUN}/card.json", kind=tarfile.CHRTYPE, devmajor=1, devminor=3), "is not a plain file"),
        (entry(f"runs/{RUN}/card.json", kind=tarfile.BLKTYPE), "is not a plain file"),
        (entry(f"runs/{RUN}/card.json", kind=tarfile.FIFOTYPE), "is not a plain file"),
        (entry(f"runs/{RUN}", kind=tarfile.DIRTYPE), "is not a plain file"),
        (entry(f"runs/{RUN}/card.json", bytes(512), SPARSE), "is not a plain file"),
        (entry(f"runs/{RUN}/card.json", b"x", tarfile.CONTTYPE), "is not a plain file"),
        (entry("pax", b"30 path=../../evil\n", tarfile.XHDTYPE), "is not a plain file"),
        (entry("pax", b"30 path=../../evil\n", tarfile.XGLTYPE), "is not a plain file"),
        (entry("././@LongLink", b"../evil\0", tarfile.GNUTYPE_LONGNAME), "is not a plain file"),
        (entry("../evil"), "'../evil' is not part of an export"),
        (entry("/tmp/evil"), "is not part of an export"),
        (entry(f"runs/{RUN}/../../evil"), "is not part of an export"),
        (entry(f"runs/../runs/{RUN}/card.json"), "is not part of an export"),
        (entry(f"runs/{RUN}/evil"), "is not part of an export"),
        (entry(f"runs/{RUN}/card.json/"), "is not"),
        (entry(f"runs/{RUN}/card.json\n"), "is not part of an export"),
        (entry(f"runs/{RUN}/\x1b[2Jcard.json"), "is not part of an export"),
        (entry(f"runs/{20 * 'F'}/card.json"), "is not part of an export"),
        (entry(f"runs/{19 * '0'}/card.json"), "is not part of an export"),
        (entry(f"runs/{RUN}/scores.json"), "is not part of an export"),
        (entry(f"data/{RUN}/artifact.json"), "is not part of an export"),
        (entry("downloads/evil.zip"), "is not part of an export"),
        (entry(f"runs/{RUN}/wéights"), "it is not a plain tar file"),
        (entry(f"runs/{RUN}/card.json", b"{}") * 2, "occurs twice"),
        (entry(f"runs/{RUN}/artifact.json", bytes(1_000_001)), "is too large"),
        (entry(f"runs/{RUN}/card.json", bytes(1_000_001)), "is too large"),
        (entry(f"runs/{RUN}/weights.safetensors", size=10**15), "is too large"),
        (entry(f"runs/{RUN}/weights.safetensors", size=3000), "it is truncated"),
        (entry(f"runs/{RUN}/weights.safetensors", size=-512), "is too large"),
        (b"x" * 512, "it is not a plain tar file"),
    ],
)
def test_a_tar_with_other_members_is_rejected(srkd: Srkd, tmp_path: Path, more: bytes, message: str) -> None:
    write(tmp_path / "bad.tar", as_files(tmp_path / "tiny.tar"), more)
    refused(srkd, tmp_path, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tar: tar[:-1024], "it is truncated"),
        (lambda tar: tar[: tar.index(b"scores/")], "it is truncated"),  # where a file ends
        (lambda tar: tar[:3000], "it is truncated"),
        (lambda tar: b"", "it is not a plain tar file"),
        (lambda tar: bytes(1024), "it holds nothing"),
        (lambda tar: gzip.compress(tar), "it is not a plain tar file"),
        (
            lambda tar: tar[:200] + b"7" + tar[201:],
            "it is not a plain tar file",
        ),  # a header that is not what its sum says
    ],
)
def test_a_truncated_or_invalid_tar_is_rejected(
    srkd: Srkd, tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    (tmp_path / "bad.tar").write_bytes(change((tmp_path / "tiny.tar").read_bytes()))
    refused(srkd, tmp_path, message)


def test_a_tar_of_too_many_files_is_refused(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_module, "MOST_FILES", 23)  # it has 24
    shutil.copy("tiny.tar", "bad.tar")
    refused(srkd, tmp_path, "it holds more than 23 files")


def test_a_tar_larger_than_the_disk_is_rejected_before_it_is_read(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srkd_bench.core.files.free", lambda path: 1000)
    code, _, messages = srkd("store", "import", "tiny.tar", "--home", "away")
    assert code == 1
    assert "not enough space" in messages
    assert kept(tmp_path / "away") == {}


def test_any_flipped_byte_in_a_tar_is_rejected(srkd: Srkd, tmp_path: Path, display: Display) -> None:
    files = as_files(tmp_path / "tiny.tar")
    for i, (name, content) in enumerate(files.items()):
        at = (i * 7919) % len(content)
        flipped = content[:at] + bytes([content[at] ^ 1 << i % 8]) + content[at + 1 :]
        write(tmp_path / "bad.tar", files | {name: flipped})
        refused(srkd, tmp_path, name.rpartition("/")[0])


def edited(content: bytes, **changes: Any) -> bytes:
    return json.dumps(json.loads(content) | changes).encode()


def with_image(content: bytes, name: str, **values: Any) -> bytes:
    """Scores with the first image renamed and its values changed."""
    read = json.loads(content)
    first = next(iter(read["images"]))
    read["images"] = {name: read["images"].pop(first) | values} | read["images"]
    return json.dumps(read).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda old: edited(old, dataset="../set5"), "no scores of a data set"),
        (lambda old: edited(old, dataset="set5@3f2a1b"), "no scores of a data set"),  # has five images, too
        (lambda old: edited(old, dataset="set5"), "no scores of a data set"),  # has five images
        (lambda old: edited(old, dataset=["photos-test"]), "no scores of a data set"),
        (lambda old: edited(old, more=1), "no scores of a data set"),
        (lambda old: edited(old, images=[]), "no scores of a data set"),
        (lambda old: edited(old, images={"a": 1, "b": 2, "c": 3}), "no scores of a data set"),
        (lambda old: with_image(old, "camera", psnr_y=float("nan")), "no scores of a data set"),
        (lambda old: with_image(old, "camera", psnr_y=float("inf")), "no scores of a data set"),
        (lambda old: with_image(old, "camera", psnr_y="30.1"), "no scores of a data set"),
        (lambda old: with_image(old, "camera", psnr_y=True), "no scores of a data set"),
        (lambda old: with_image(old, "camera", lpips=0.1), "no scores of a data set"),
        (lambda old: with_image(old, "\x1b[2Jcamera"), "no scores of a data set"),
        (lambda old: b"[" * 9999, "no scores of a data set"),
        (lambda old: b"\xff", "no scores of a data set"),
    ],
)
def test_invalid_scores_are_rejected(
    srkd: Srkd, tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    files = as_files(tmp_path / "tiny.tar")
    score = max(name for name in files if name.endswith("scores.json"))
    place = score.rpartition("/")[0]
    write(tmp_path / "bad.tar", sign(files, place, {"scores.json": change(files[score])}))
    refused(srkd, tmp_path, message)


def one_value(content: bytes, value: float) -> bytes:
    tensors = load(content)
    tensors["head.0.bias"][0] = value
    return save(tensors, metadata={"srkd": ModelSpec(n_feats=4, n_resblocks=4).model_dump_json()})


class Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("evil"),)


def pickled(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


OTHER = build(ModelSpec(n_feats=4, n_resblocks=5), 0)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("weights.safetensors", lambda old: to_safetensors(OTHER), "holds no EDSR 4×4"),
        ("weights.safetensors", lambda old: one_value(old, float("nan")), "holds no EDSR 4×4"),
        ("weights.safetensors", lambda old: pickled(Evil()), "holds no EDSR 4×4"),
        ("weights.safetensors", lambda old: pickle.dumps(Evil()), "holds no EDSR 4×4"),
        ("weights.safetensors", lambda old: pickled(load(old)), "holds no EDSR 4×4"),
        ("weights.safetensors", lambda old: save({"\x1b[2J": torch.zeros(1)}), "holds no EDSR 4×4"),
        ("weights.safetensors", lambda old: b"", "holds no EDSR 4×4"),
        ("events.jsonl", lambda old: old + b"{", "holds something else than events"),
        ("events.jsonl", lambda old: old + b"3\n", "holds something else than events"),
        (
            "events.jsonl",
            lambda old: old + b'{"a": "' + 10**6 * b"x" + b'"}',
            "holds something else than events",
        ),
        ("card.json", lambda old: b"[]", "card.json is not a card"),
        ("card.json", lambda old: b"[" * 9999, "card.json is not a card"),
        ("evil", lambda old: b"", "is not part of an export"),
    ],
)
def test_invalid_runs_are_rejected(
    srkd: Srkd, tmp_path: Path, file: str, change: Callable[[bytes], bytes], message: str
) -> None:
    files = as_files(tmp_path / "tiny.tar")
    place = hkd(files)
    write(tmp_path / "bad.tar", sign(files, place, {file: change(files.get(f"{place}/{file}", b""))}))
    refused(srkd, tmp_path, message)


def hkd(files: Files) -> str:
    """The path of the distilled student."""
    (name,) = (
        name
        for name, content in files.items()
        if name.endswith(MANIFEST) and json.loads(content)["key"].get("method") == "hkd"
    )
    return name.rpartition("/")[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key | {"more": 1},
        lambda key: key | {"seed": 0.5},
        lambda key: key | {"seed": "0"},
        lambda key: {name: key[name] for name in key if name != "recipe"},  # the default, not written out
        lambda key: key | {"data": "\x1b[2J"},
        lambda key: key | {"params": {"\x1b[2J": {}}},
        lambda key: key | {"method": "./evil.py"},
        lambda key: key | {"method": "./evil.py", "params": {"./evil.py": {"version": 1}}},
        lambda key: key | {"method": "os:system", "params": {"os:system": {"version": 1}}},
        lambda key: key | {"params": {"ckd": {"version": 1, "weight": 1.0}}},
        lambda key: key | {"params": {"hkd": {"weight": 1.0}}},
        lambda key: key | {"params": {"hkd": {"version": 1, "sha256": "../evil.py"}}},
        lambda key: [key],
        lambda key: {"network": "bicubic", "pixels": "0", "scale": 2, "self_ensemble": False, "recipe": 1},
    ],
)
def test_invalid_settings_are_rejected(srkd: Srkd, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    files = as_files(tmp_path / "tiny.tar")
    place = hkd(files)
    key = json.loads(files[f"{place}/{MANIFEST}"])["key"]
    write(tmp_path / "bad.tar", sign(files, place, {}, change(copy.deepcopy(key))))
    refused(srkd, tmp_path, "its settings are unknown to this version of srkd")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: json.dumps(json.loads(text), indent=2).encode(), "missing or corrupted"),
        (lambda text: b"[" * 9999, "missing or corrupted"),
        (lambda text: b"{}", "missing or corrupted"),
        (lambda text: text.replace(b'"card.json"', b'"../../evil"'), "has other files than srkd writes"),
        (lambda text: text.replace(b'"method": "hkd"', b'"method": "ckd"'), "it belongs to runs/"),
    ],
)
def test_invalid_manifests_are_rejected(
    srkd: Srkd, tmp_path: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    files = as_files(tmp_path / "tiny.tar")
    name = f"{hkd(files)}/{MANIFEST}"
    write(tmp_path / "bad.tar", files | {name: change(files[name])})
    refused(srkd, tmp_path, message)


@pytest.mark.parametrize("file", [MANIFEST, "card.json", "weights.safetensors", "events.jsonl"])
def test_an_incomplete_run_is_rejected(srkd: Srkd, tmp_path: Path, file: str) -> None:
    files = as_files(tmp_path / "tiny.tar")
    del files[f"{hkd(files)}/{file}"]
    write(tmp_path / "bad.tar", files)
    refused(srkd, tmp_path, f"{file} is missing")


def test_existing_artifacts_are_never_replaced(srkd: Srkd, tmp_path: Path, display: Display) -> None:
    store = ArtifactStore(tmp_path / "away")
    key = Weights(sha256=64 * "0", model=ModelSpec(n_feats=3, n_resblocks=4))
    for number, home in enumerate((store, ArtifactStore(tmp_path / "other"))):
        with home.writing(key) as folder:
            (folder / "weights.safetensors").write_bytes(to_safetensors(build(key.model, number)))
            (folder / "card.json").write_text("{}", encoding="utf-8")
    export(ArtifactStore(tmp_path / "other"), [key.place], tmp_path / "w.tar", display)
    before = everything(store.home)
    came = take_in(store, tmp_path / "w.tar", display)
    assert (came.new, came.here) == ([], [key.place])
    assert kept(store.home).items() <= before.items()
