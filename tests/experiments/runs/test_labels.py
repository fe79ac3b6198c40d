"""Teacher labels of whole images: what they are, and trainings with them."""

import errno
import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srkd_bench.config.artifacts import Run
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import IntegrityError, SrkdError, Stopped
from srkd_bench.core.files import writable
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import open_set
from srkd_bench.data.labels import (
    LabelDraft,
    LabelReader,
    from_levels,
    label_bytes,
    label_shapes,
    on_grid,
)
from srkd_bench.experiments.executors import serial
from srkd_bench.experiments.planning import planner, tasks
from srkd_bench.experiments.planning.agenda import steps_made
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.runs import labels as labels_module
from srkd_bench.experiments.runs import train
from srkd_bench.experiments.transfer.bundle import export, take_in
from srkd_bench.methods import registry
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.stored import load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import CARD, LEVELS
from srkd_bench.store.locks import held, is_held
from srkd_bench.store.workspace import Workplace
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

Planned = Callable[..., Plan]


@pytest.fixture
def planned(store: ArtifactStore, display: Display, tmp_path: Path) -> Planned:
    """Give the plan of the tiny suite with labels of whole images and some keys changed."""
    suite = tiny_suite(tmp_path)

    def plan(*settings: str) -> Plan:
        return planner.plan(load_suite(str(suite), ["teacher.labels=images", *settings]), store, display)

    return plan


@pytest.fixture
def place(store: ArtifactStore, display: Display) -> Workplace:
    return Workplace(store, display)


def label_task(plan: Plan, store: ArtifactStore) -> tasks.Task:
    (found,) = (task for task in tasks.tasks(plan, store) if task.kind == "labels")
    return found


def with_teacher(plan: Plan, place: Workplace) -> tasks.Task:
    """Train the plan's teacher and return the task that computes its labels."""
    serial.do(tasks.tasks(plan, place.store)[0], plan, place)
    return label_task(plan, place.store)


@pytest.mark.parametrize("how", ["images", "ensemble"])
def test_labels_are_the_teachers_sr_of_whole_images_on_the_grid(
    planned: Planned, place: Workplace, how: str
) -> None:
    plan = planned(f"teacher.labels={how}")
    task = with_teacher(plan, place)
    assert task.labels is not None
    assert serial.do(task, plan, place) == []
    images = open_set(place.store, "photos-test", 2)
    reader, teacher = LabelReader(place.store, task.labels, images), load(plan.teacher, place.store).eval()
    for i in range(len(images)):
        x = torch.from_numpy(images.lr(i).copy()).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            sr = teacher(x).sr
            if how == "ensemble":
                turned = [(x.rot90(k, (2, 3)), k, False) for k in range(4)]
                turned += [(x.flip(3).rot90(k, (2, 3)), k, True) for k in range(4)]
                back = [(teacher(view).sr.rot90(-k, (2, 3)), flip) for view, k, flip in turned]
                sr = torch.stack([one.flip(3) if flip else one for one, flip in back]).mean(0)
        found = from_levels(torch.from_numpy(np.array(reader[i]))).permute(2, 0, 1)
        assert (found - on_grid(sr[0])).abs().max() <= 2**-15
    card = json.loads((place.store.path(task.labels) / CARD).read_text(encoding="utf-8"))
    assert card["dataset"] == "photos-test"
    assert {"machine", "device", "torch"} <= card.keys()


def test_labels_are_known_by_what_decides_them(planned: Planned) -> None:
    def key(*settings: str) -> str:
        run = planned(*settings).students[1]
        assert run.teacher_labels is not None
        return run.teacher_labels.digest

    plain = key()
    assert (
        key("seeds=[7]")
        == key("train.steps=9", "teacher.train.steps=12")
        == key("student.n_feats=3")
        == plain
    )
    others = [
        key("teacher.labels=ensemble"),
        key("train.precision=bf16", "teacher.train.precision=fp32"),
        key("data.scale=3"),
        key("data.train=photos", "teacher.train.steps=12"),
        key("teacher.train.steps=11"),
    ]
    assert len({plain, *others}) == 6


def test_labels_are_part_of_a_runs_identity_only_where_they_are_used(planned: Planned) -> None:
    methods = "methods=[none, hkd, fitnet, dml, crosskd, fakd, rkd+hkd]"
    plain, stored = planned(methods, "teacher.labels=patches"), planned(methods)
    alike = {run.method: run == other for run, other in zip(plain.students, stored.students, strict=True)}
    assert alike == {
        "none": True, "hkd": False, "fitnet": True, "dml": True, "crosskd": False, "fakd": False, "rkd+hkd": False,
    }  # fmt: skip
    assert "labels" not in plain.suite.model_dump(mode="json")["teacher"]
    assert [stored.is_live(run) for run in stored.students] == [False, False, True, False, False, True, False]


def test_students_of_fewer_images_use_the_labels_of_all(planned: Planned, place: Workplace) -> None:
    whole, part = planned("methods=[hkd]"), planned("methods=[hkd]", "data.images=2")
    assert part.students[0].teacher_labels == whole.students[0].teacher_labels
    assert serial.do_all(whole, place) == []
    assert [task.kind for task in tasks.tasks(part, place.store)] == ["group", "scores"]
    assert serial.do_all(part, place) == []
    results = [load(plan.students[0], place.store).state_dict() for plan in (whole, part)]
    assert not all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_labels_of_fewer_images_cost_less(planned: Planned) -> None:
    whole, part = planned().shares.labels, planned("data.images=1").shares.labels
    assert whole is not None
    assert part == pytest.approx(whole / 3, rel=1e-4)


def test_no_teacher_is_loaded_for_a_second_seed_or_a_second_method(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert serial.do_all(planned("methods=[hkd]"), place) == []
    loaded = list[Any]()

    def counted(key: Any, store: ArtifactStore) -> Architecture:
        loaded.append(key)
        return load(key, store)

    monkeypatch.setattr(train, "load", counted)
    monkeypatch.setattr(labels_module, "load", counted)
    plan = planned("methods=[none, hkd, ckd, rkd+hkd]", "seeds=[0, 1]")
    assert serial.do_all(plan, place) == []
    assert all(place.store.has(run) for run in plan.students)
    assert loaded == []
    assert serial.do_all(planned("methods=[crosskd]"), place) == []  # it resumes the teacher
    assert loaded == [plan.teacher]


def test_crosskd_makes_no_forward_pass_of_the_teacher_while_it_trains(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned("methods=[crosskd, fakd]")
    serial.do(with_teacher(plan, place), plan, place)
    passes = list[int]()

    def watched(key: Any, store: ArtifactStore) -> Architecture:
        network = load(key, store)
        network.register_forward_hook(lambda module, given, output: passes.append(len(given[0])))
        return network

    monkeypatch.setattr(train, "load", watched)
    images = open_set(place.store, "photos-test", 2)
    crosskd, fakd = plan.students
    assert train.ensure_students([crosskd], plan, images, place) == []
    assert passes == [1, 1]  # whether it can be resumed, and its number of channels
    assert train.ensure_students([fakd], plan, images, place) == []
    assert passes == [1, 1, *[4] * 10]


def test_a_student_learns_from_the_crops_of_the_labels(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels that equal HR make HKD the training against HR alone, with twice the gradient."""
    plan = planned()
    task = with_teacher(plan, place)
    images = open_set(place.store, "photos-test", 2)
    names = {name: i for i, name in enumerate(images.names)}

    def truth(lr: Any, name: str, *words: Any) -> Any:
        return ((images.hr(names[name]) / 255 - 0.5) * 2**15).round().astype(np.int16)

    monkeypatch.setattr(labels_module, "labels_of", truth)
    assert serial.do(task, plan, place) == []
    assert train.ensure_students([plan.students[1]], plan, images, place) == []
    lines = (place.store.path(plan.students[1]) / "events.jsonl").read_text(encoding="utf-8").splitlines()
    for event in map(json.loads, lines):
        assert event["terms"]["hkd"] == pytest.approx(event["terms"]["rec"], rel=1e-3)


def test_a_method_that_uses_more_than_it_says_is_told_so(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned("methods=[fakd]")
    serial.do(with_teacher(plan, place), plan, place)
    monkeypatch.setattr(registry.find("fakd"), "needs", ("sr",))
    images = open_set(place.store, "photos-test", 2)
    with pytest.raises(SrkdError, match="more of the teacher than its class attribute `needs` names"):
        train.ensure_students(list(plan.students), plan, images, place)


@pytest.mark.parametrize(
    ("method", "declared", "lacking"),
    [("crosskd", (), "teacher"), ("mipkd", ("student",), "teacher"), ("mipkd", ("teacher",), "student")],
)
def test_a_method_that_resumes_a_network_undeclared_is_told_so(
    method: str,
    declared: tuple[str, ...],
    lacking: str,
    planned: Planned,
    place: Workplace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = planned(f"methods=[{method}]")
    serial.do(with_teacher(plan, place), plan, place)
    monkeypatch.setattr(registry.find(method), "resumes", declared)
    images = open_set(place.store, "photos-test", 2)
    refused = f"^a method resumes the {lacking}, which its class attribute `resumes` does not name$"
    with pytest.raises(SrkdError, match=refused) as caught:
        train.ensure_students(list(plan.students), plan, images, place)
    assert caught.value.hint.startswith(f"write resumes = {(*declared, lacking)}; ")


def test_an_interruption_keeps_the_finished_images(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    task = with_teacher(plan, place)
    assert task.labels is not None
    computed, plain = list[str](), labels_module.labels_of

    def interrupted(lr: Any, name: str, *words: Any) -> Any:
        computed.append(name)
        if len(computed) == 3:
            signal.raise_signal(signal.SIGINT)
        return plain(lr, name, *words)

    monkeypatch.setattr(labels_module, "labels_of", interrupted)
    with pytest.raises(Stopped, match=r"teacher labels of 2 of \d images are kept"):
        serial.do(task, plan, place)
    assert not place.store.has(task.labels)
    assert steps_made(task, place.store) == 2
    images = open_set(place.store, "photos-test", 2)
    assert serial.do(task, plan, place) == []
    assert computed == [*images.names[:3], *images.names[2:]]
    assert place.store.has(task.labels)
    assert tasks.tasks(plan, place.store)[0].kind == "group"


def test_processes_that_compute_the_same_labels_share_the_images(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    task = with_teacher(plan, place)
    assert task.labels is not None
    images = open_set(place.store, "photos-test", 2)
    computed, key = list[str](), task.labels
    numbers = {name: i for i, name in enumerate(images.names)}
    whole = [np.full(shape, i, np.int16) for i, shape in enumerate(label_shapes(images))]

    def beside(lr: Any, name: str, *words: Any) -> Any:
        """Let another process finish image 1 meanwhile, and leave a wrong checksum of image 2."""
        computed.append(name)
        if len(computed) == 1:
            other = LabelDraft(place.store.work(key), images)
            other.write(1, whole[1])
            other.write(2, whole[2])
            content = bytearray((place.store.work(key) / LEVELS).read_bytes())
            content[-1] ^= 1
            (place.store.work(key) / LEVELS).write_bytes(content)
        assert is_held(place.store.home / "locks" / f"{key.lock}-{numbers[name]}")
        return whole[numbers[name]]

    monkeypatch.setattr(labels_module, "labels_of", beside)
    assert serial.do(task, plan, place) == []
    assert computed == [images.names[0], images.names[2]]  # the damaged one at last
    reader = LabelReader(place.store, key, images)
    assert all(np.array_equal(reader[i], one) for i, one in enumerate(whole))
    assert not list((place.store.home / "locks").glob(f"{key.lock}-*"))
    assert not place.store.work(key).exists()


def test_the_image_of_a_process_that_dies_is_computed_by_another(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    task = with_teacher(plan, place)
    assert task.labels is not None
    names = open_set(place.store, "photos-test", 2).names
    lock = place.store.home / "locks" / f"{task.labels.lock}-1"
    computed, plain, other = list[str](), labels_module.labels_of, ExitStack()
    other.enter_context(held(lock))

    def watched(lr: Any, name: str, *words: Any) -> Any:
        computed.append(name)
        if name == names[2]:
            other.close()
        return plain(lr, name, *words)

    monkeypatch.setattr(labels_module, "labels_of", watched)
    assert serial.do(task, plan, place) == []
    assert computed == [names[0], names[2], names[1]]


def test_a_disk_that_fills_keeps_the_finished_images(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    task = with_teacher(plan, place)
    assert task.labels is not None
    names, write = open_set(place.store, "photos-test", 2).names, LabelDraft.write
    computed, plain = list[str](), labels_module.labels_of

    def watched(lr: Any, name: str, *words: Any) -> Any:
        computed.append(name)
        return plain(lr, name, *words)

    def full(draft: LabelDraft, i: int, levels: Any) -> None:
        if i == 2:
            with writable(place.store.home, levels.nbytes):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(draft, i, levels)

    monkeypatch.setattr(labels_module, "labels_of", watched)
    with monkeypatch.context() as patch:
        patch.setattr(LabelDraft, "write", full)
        with pytest.raises(SrkdError, match=r"No space left on device, .* needed, .* free") as caught:
            serial.do(task, plan, place)
    assert "finished work is kept; run the same command to resume" in caught.value.hint
    assert (steps_made(task, place.store), place.store.has(task.labels)) == (2, False)
    assert serial.do(task, plan, place) == []
    assert computed == [*names, names[2]]


def test_a_disk_without_room_is_told_before_work_starts(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    task = with_teacher(plan, place)
    needed = label_bytes(open_set(place.store, "photos-test", 2))
    monkeypatch.setattr("srkd_bench.core.files.free", lambda path: needed - 1)
    monkeypatch.setattr(labels_module, "load", lambda key, store: pytest.fail("work was started"))
    with pytest.raises(SrkdError, match="not enough space in"):
        serial.do(task, plan, place)


def test_labels_of_other_images_are_not_computed_under_the_same_key(
    planned: Planned, place: Workplace
) -> None:
    plan = planned()
    task = with_teacher(plan, place)
    other = open_set(place.store, "photos-valid", 2)
    assert task.labels is not None
    with pytest.raises(SrkdError, match="the images of 'photos-valid' have changed"):
        labels_module.ensure_labels(task.labels, plan.teacher, plan.suite.train, other, place)


def test_sr_that_is_not_finite_is_no_label(
    planned: Planned, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    task = with_teacher(plan, place)

    def broken(key: Any, store: ArtifactStore) -> Architecture:
        network = load(key, store)
        with torch.no_grad():
            next(network.parameters()).fill_(float("nan"))
        return network

    monkeypatch.setattr(labels_module, "load", broken)
    with pytest.raises(SrkdError, match=r"the teacher's SR of training image '.*' is not finite"):
        serial.do(task, plan, place)


@pytest.mark.parametrize("name", [LEVELS, "index.json", "artifact.json"])
def test_damaged_labels_are_recomputed(srkd: Srkd, tmp_path: Path, name: str) -> None:
    tiny_suite(tmp_path, teacher={"labels": "images"}, methods=["hkd"])
    assert srkd("run", "tiny.yaml")[0] == 0
    (folder,) = (tmp_path / "home" / "labels").iterdir()
    whole, path = (folder / LEVELS).read_bytes(), folder / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, _, messages = srkd("run", "tiny.yaml", "--seeds", "2")
    assert code == 0, messages
    assert f"{name} is corrupted: recomputing the teacher labels" in messages
    assert messages.count("Computing teacher labels of") == 1
    assert (folder / LEVELS).read_bytes() == whole
    assert srkd("store", "verify")[0] == 0
    assert "Computing" not in srkd("run", "tiny.yaml", "--seeds", "3")[2]


def test_a_suite_with_labels_runs_in_two_processes_and_is_moved_to_another_machine(
    srkd: Srkd, tmp_path: Path
) -> None:
    tiny_suite(tmp_path, teacher={"labels": "ensemble"}, methods=["none", "hkd", "crosskd"], seeds=[0, 1])
    code, text, messages = srkd("run", "tiny.yaml", "--jobs", "2", "--device", "cpu")
    assert code == 0, messages
    assert messages.count("Computing teacher labels of") == 1
    assert srkd("train-teacher", "tiny.yaml", "--device", "cpu", "--home", "single")[0] == 0
    (one,), (other,) = ((tmp_path / home / "labels").iterdir() for home in ("home", "single"))
    assert (one / LEVELS).read_bytes() == (other / LEVELS).read_bytes()
    assert "Teacher labels: crops of the teacher's SR of whole training images, mean over" in " ".join(
        text.split()
    )
    assert list((tmp_path / "home" / "work").iterdir()) == []
    assert "nothing to delete" in srkd("store", "gc", "--keep", "tiny.yaml")[1]
    counts = {one["what"]: one["count"] for one in json.loads(srkd("store", "du", "--json")[1])["places"]}
    assert counts["labels"] == 1
    tiny_suite(tmp_path, "plain", methods=["none"])
    assert (
        "labels of training images by none seed 0, EDSR 6×4 (self-ensemble)"
        in srkd("store", "gc", "--keep", "plain.yaml")[1]
    )

    code, _, messages = srkd("store", "export", "tiny.yaml", "-o", "moved.tar")
    assert (code, "1 set of teacher labels" in messages) == (0, True)
    code, _, messages = srkd("store", "import", "moved.tar", "--home", "away")
    assert code == 0, messages
    assert srkd("store", "verify", "--home", "away")[0] == 0
    code, text, _ = srkd("run", "tiny.yaml", "--home", "away", "--seeds", "3", "--dry-run", "--json")
    jobs = {job["what"]: job["state"] for job in json.loads(text)["jobs"]}
    assert (jobs["teacher"], jobs["teacher labels"], jobs["seed 2: none, hkd, crosskd"]) == (
        "cached",
        "cached",
        "to do",
    )
    srkd("store", "export", "tiny.yaml", "-o", "small.tar", "--no-labels")
    assert (tmp_path / "small.tar").stat().st_size < (tmp_path / "moved.tar").stat().st_size / 10


def test_labels_whose_index_does_not_fit_are_not_imported(
    planned: Planned, place: Workplace, tmp_path: Path, display: Display
) -> None:
    plan = planned()
    task = with_teacher(plan, place)
    serial.do(task, plan, place)
    assert task.labels is not None
    folder = place.store.path(task.labels)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    index["images"][0]["height"] += 1
    files = {one.name: one.read_bytes() for one in folder.iterdir() if one.name != "artifact.json"}
    with place.store.writing(task.labels) as draft:
        for name, content in files.items():
            (draft / name).write_bytes(content)
        (draft / "index.json").write_text(json.dumps(index), encoding="utf-8")
    export(place.store, [task.labels.place], tmp_path / "wrong.tar", display)
    with pytest.raises(IntegrityError, match=r"index\.json does not describe labels\.i16"):
        take_in(ArtifactStore(tmp_path / "away"), tmp_path / "wrong.tar", display)


def test_training_is_left_out_where_its_labels_are_missing(planned: Planned, place: Workplace) -> None:
    plan = planned()
    with_teacher(plan, place)
    (group,) = (task for task in tasks.tasks(plan, place.store) if task.kind == "group")
    assert group.needs == ("teacher labels",)
    run = plan.students[1]
    with pytest.raises(SrkdError):
        serial.do(replace(group, networks=(run,)), plan, place)
    assert isinstance(run, Run)
    assert not place.store.has(run)
