"""Several teachers (`teachers`) and the network that fuses them: planned, trained, measured and labelled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.network import FusionSpec, ModelSpec
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.analysis import collect
from srkd_bench.experiments.executors import serial, torchrun
from srkd_bench.experiments.planning import planner, requirements, tasks
from srkd_bench.experiments.planning.parts import of_seeds, of_teachers, part
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.runs.preflight import check_precision
from srkd_bench.experiments.runs.train import initial_state
from srkd_bench.experiments.transfer import bundle
from srkd_bench.networks.loading import build, to_safetensors
from srkd_bench.networks.stored import load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite

Planned = Callable[..., Plan]
A, B = ({"model": {"n_feats": n_feats, "n_resblocks": 2}, "train": {"steps": 6}} for n_feats in (6, 8))
FUSION = {"n_feats": 4, "n_resblocks": 1, "train": {"steps": 5}}


def several(folder: Path, name: str = "tiny", **changes: Any) -> Path:
    suite = {"teachers": [A, B], "fusion": FUSION, "methods": ["none", "hkd", "mtkd"]} | changes
    plain = json.loads(json.dumps({"teacher": None} | suite))  # the same value twice would become an alias
    return tiny_suite(folder, name, **plain)


@pytest.fixture
def planned(store: ArtifactStore, display: Display, tmp_path: Path) -> Planned:
    """Give the plan of the tiny suite with two teachers, with some keys changed."""
    store.begin()

    def plan(*settings: str, **changes: Any) -> Plan:
        return planner.plan(load_suite(str(several(tmp_path, **changes)), settings), store, display)

    return plan


def needs(plan: Plan, store: ArtifactStore, slots: int = 1) -> dict[str, tuple[str, ...]]:
    return {task.name: task.needs for task in tasks.tasks(plan, store, slots) if task.kind != "scores"}


def test_methods_learn_from_the_first_teacher_and_mtkd_from_the_fusion(
    planned: Planned, store: ArtifactStore
) -> None:
    plan = planned("seeds=[0, 1]")
    assert list(map(plan.title, plan.all_teachers)) == ["teacher 1", "teacher 2", "fusion of 2 teachers"]
    assert plan.networks[:3] == plan.all_teachers
    assert plan.teachers == plan.all_teachers[:1]
    assert plan.fusion is not None
    assert plan.fusion.fused == plan.all_teachers[:2]
    assert {plan.column(run): run.teacher for run in plan.students} == {
        "none": None, "hkd": plan.teacher, "mtkd": plan.fusion,
    }  # fmt: skip
    assert needs(plan, store) == {
        "teacher 1": (),
        "teacher 2": (),
        "fusion of 2 teachers": ("teacher 1", "teacher 2"),
        "seed 0: none, hkd": ("teacher 1",),
        "seed 0: mtkd": ("fusion of 2 teachers",),
        "seed 1: none, hkd": ("teacher 1",),
        "seed 1: mtkd": ("fusion of 2 teachers",),
    }
    fusion = tasks.tasks(plan, store)[2]
    own = plan.fusion.model.multiply_adds - plan.fusion.model.frozen_multiply_adds  # type: ignore[union-attr]
    passes = 3 * own + sum(one.model.multiply_adds for one in plan.fusion.fused)
    assert fusion.flops == 2 * passes * 5 * 4 * 8**2


def test_the_fusion_depends_on_its_teachers_and_on_its_training(planned: Planned) -> None:
    plan = planned()
    single = planned(teacher=A, teachers=None, fusion=None, methods=["none", "hkd"])
    assert plan.teacher == single.teacher  # the identity of a teacher does not depend on the others
    assert {run.digest for run in single.students} < {run.digest for run in plan.students}
    digests = {
        one.fusion.digest
        for one in (
            plan,
            planned(teachers=[B, A]),
            planned(teachers=[A, B | {"train": {"steps": 7}}]),
            planned(fusion=FUSION | {"n_resblocks": 2}),
            planned(fusion=FUSION | {"train": {"steps": 5, "loss": "l1"}}),
        )
        if one.fusion is not None
    }
    assert len(digests) == 5
    assert Run.model_validate(json.loads(plan.students[-1].model_dump_json())) == plan.students[-1]
    assert "fused" not in plan.teacher.model_dump()


def test_without_further_settings_the_fusion_is_trained_as_the_students(planned: Planned) -> None:
    plan = planned("train.steps=9", fusion=None)
    assert plan.fusion is not None
    assert plan.fusion.train == plan.suite.train
    assert isinstance(plan.fusion.model, FusionSpec)
    assert (plan.fusion.model.n_feats, plan.fusion.model.n_resblocks) == (64, 8)


def test_several_teachers_are_trained_fused_measured_and_reported_once(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    plan, place = planned("seeds=[0, 1]"), Workplace(store, display)
    assert serial.do_all(plan, place) == []
    made = {path: path.stat().st_mtime_ns for path in store.home.glob("[rs]*/*/*")}
    assert len(list((store.home / "runs").iterdir())) == 3 + 2 * 3
    assert serial.do_all(plan, place) == []
    assert {path: path.stat().st_mtime_ns for path in store.home.glob("[rs]*/*/*")} == made
    assert plan.fusion is not None
    fusion, before = load(plan.fusion, store), build(plan.fusion.model, 0)
    changed = {
        name
        for name, value in fusion.state_dict().items()
        if not torch.equal(value, before.state_dict()[name])
    }
    assert "tail.1.weight" in changed  # it was trained
    for name, value in initial_state(plan.fusion, store).items():  # the teachers in it were not
        assert torch.equal(fusion.state_dict()[name], value)
    notes = collect.results(plan, store).notes
    assert any(
        note == "teachers: EDSR 6×2, EDSR 8×2; the first is in the table, and mtkd learns from their fusion"
        for note in notes
    )
    assert any(note.startswith("PSNR-Y of the teachers on photos-test: ") for note in notes)
    costs = collect.results(plan, store).step_costs
    assert costs["mtkd"] > costs["hkd"] > costs["none"] == 1


def test_labels_of_the_fusion_replace_its_passes(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    labelled = {"teachers": [A | {"labels": "images"}, B | {"labels": "images"}]}
    plan, place = planned(**labelled), Workplace(store, display)
    assert needs(plan, store)["seed 0: mtkd"] == ("fusion of 2 teachers", "labels of fusion of 2 teachers")
    assert "labels of teacher 2" not in needs(plan, store)
    assert not any(task.live for task in tasks.tasks(plan, store))
    assert {one.teacher for one in of_teachers(plan).labels} == {
        plan.teacher.digest,
        plan.all_teachers[2].digest,
    }
    assert serial.do_all(plan, place) == []
    assert len(list((store.home / "labels").iterdir())) == 2


def test_parts_of_a_plan_keep_the_teachers_that_they_need(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    plan = planned("seeds=[0, 1]")
    assert of_seeds(plan, [1]).all_teachers == plan.all_teachers
    fusion = next(task for task in tasks.tasks(plan, store) if task.networks == (plan.fusion,))
    assert part(plan, fusion).students == ()
    assert part(plan, fusion).all_teachers == plan.all_teachers
    needed = {key.digest for key in requirements.needed(store, plan.suite, display)}
    assert {key.digest for key in plan.networks} <= needed


def test_students_are_stacked_by_teacher_and_the_fusion_is_trained_alone(
    planned: Planned, store: ArtifactStore
) -> None:
    plain, plan = planned("seeds=[0, 1]"), planned("seeds=[0, 1]", "train.stacked=true")
    assert plan.all_teachers == plain.all_teachers
    assert [name for name in needs(plan, store) if name.startswith("seed")] == [
        "seeds 0, 1: none, hkd",
        "seeds 0, 1: mtkd",
    ]
    with pytest.raises(SrkdError, match="the fusion is trained alone"):
        planned(fusion=FUSION | {"train": {"stacked": True}})


def test_the_students_of_a_failed_teacher_are_skipped(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    failing = B | {"train": {"steps": 6, "learning_rate": 1.0, "precision": "fp32", "loss": "mse"}}
    plan, place = planned(teachers=[A, failing]), Workplace(store, display)
    fusion = next(task for task in tasks.tasks(plan, store) if task.networks == (plan.fusion,))
    first = tasks.tasks(plan, store)[0]
    assert serial.do(first, plan, place) == []
    assert serial.do(fusion, plan, place) == []  # its second teacher is missing
    assert not store.has(fusion.networks[0])  # type: ignore[arg-type]  # it is the fusion


def test_the_weights_of_each_teacher_are_loaded(
    planned: Planned, store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    files = [tmp_path / f"{n_feats}.safetensors" for n_feats in (6, 8)]
    for path, n_feats in zip(files, (6, 8), strict=True):
        path.write_bytes(to_safetensors(build(ModelSpec(n_feats=n_feats, n_resblocks=2), 0)))
    plan = planned(teachers=[{"weights": str(path)} for path in files], methods=["mtkd"])
    assert all(isinstance(one, Weights) for one in plan.all_teachers[:2])
    assert serial.do_all(plan, Workplace(store, display)) == []
    assert all(map(store.has, plan.networks))


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"teacher": A}, "teacher and teachers cannot both be given", ""),
        ({"teachers": [A]}, "teachers: must have at least 2 entries", "for example teachers="),
        ({"teachers": None, "teacher": A}, "fusion is the network that fuses several teachers", ""),
        ({"teachers": [A | {"seeds": [1, 2]}, B]}, "seeds cannot be given with several teachers", ""),
        ({"teachers": [A | {"labels": "images"}, B]}, "labels must be the same for all teachers", ""),
        ({"teachers": [A, {"model": {"n_feats": 4, "n_resblocks": 2, "scale": 3}}]}, "network's scale is 3", ""),
        ({"teachers": [A, B, A]}, "teachers 1 and 3 are the same network", "leave out one"),
        ({"teachers": [A, {"train": {"steps": 3}}]}, "teachers.1: needs model", ""),
        ({"fusion": {"n_feat": 3}}, "fusion, named 'n_feat'", "'n_feats'"),
        ({"teachers": [A, B | {"train": {"stepz": 3}}]}, "teachers.1.train, named 'stepz'", "'steps'"),
        ({"train": {"steps": 0}}, " train.steps: must be at least 1, not 0", ""),
        ({"student": {"arch": "fusion", "fused": [A["model"], B["model"]], "n_feats": 1, "n_resblocks": 1}},
         "a fusion is trained from the teachers", ""),
    ],
)  # fmt: skip
def test_several_teachers_that_do_not_fit_are_refused(
    changes: dict[str, Any], message: str, hint: str, planned: Planned
) -> None:
    with pytest.raises(SrkdError) as caught:
        planned(**{"student": {"n_feats": 4, "n_resblocks": 4}} | changes)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_weights_of_another_scale_are_refused_before_work(planned: Planned, tmp_path: Path) -> None:
    path = tmp_path / "x3.safetensors"
    path.write_bytes(to_safetensors(build(ModelSpec(n_feats=4, n_resblocks=2, scale=3), 0)))
    with pytest.raises(
        SrkdError, match=r"weights of .*x3\.safetensors are for scale 3, the suite's is 2"
    ) as caught:
        planned(teachers=[A, {"weights": str(path)}])
    assert caught.value.hint == "--set data.scale=3, or other weights"


def test_a_suite_with_one_teacher_has_nothing_to_fuse(
    planned: Planned, store: ArtifactStore, tmp_path: Path
) -> None:
    one = {"teacher": A, "teachers": None, "fusion": None}
    for method in ("mtkd", "mtkd+rkd"):
        with pytest.raises(SrkdError, match=rf"^{method.replace('+', '.')} learns from the fusion") as caught:
            planned(**one, methods=[method])
        assert "teachers: [{weights: A.pt}, {weights: B.pt}]" in caught.value.hint
    assert "mtkd" not in planned(**one, methods="all").methods
    assert "mtkd" in planned(methods="all").methods


def test_the_commands_train_report_and_export_several_teachers(
    srkd: Srkd, display: Display, tmp_path: Path
) -> None:
    several(tmp_path, methods=["none", "mtkd"])
    jobs = json.loads(srkd("run", "tiny.yaml", "--dry-run", "--json")[1])["jobs"]
    assert [job["what"] for job in jobs if job["kind"] == "teacher"] == [
        "teacher 1", "teacher 2", "fusion of 2 teachers",
    ]  # fmt: skip
    steps = json.loads(srkd("plan", "tiny.yaml", "--format", "json")[1])["tasks"]
    assert [(step["kind"], len(step["runs"]), step["needs"]) for step in steps] == [
        ("teacher", 3, []),
        ("group", 2, ["fusion of 2 teachers"]),
        ("scores", 0, [step["name"] for step in steps[:-1]]),
    ]
    for step in steps:  # the commands make exactly the plan's networks
        assert srkd(*step["command"][1:])[0] == 0
        assert all((tmp_path / "home" / "runs" / digest[:20]).is_dir() for digest in step["runs"])
    assert len(list((tmp_path / "home" / "runs").iterdir())) == 3 + 2
    code, text, messages = srkd("run", "tiny.yaml")
    assert (code, "Training" in messages) == (0, False)
    assert "mtkd learns from their fusion" in " ".join(text.split())
    assert srkd("store", "export", "--suite", "tiny.yaml", "-o", "all.tar")[0] == 0
    found = bundle.take_in(ArtifactStore(tmp_path / "other"), tmp_path / "all.tar", display)
    assert sum(place.startswith("runs/") for place in found.new) == 5


def test_distilling_without_a_fusing_method_trains_the_first_teacher_alone(
    srkd: Srkd, tmp_path: Path
) -> None:
    several(tmp_path)
    code, _, messages = srkd("distill", "tiny.yaml", "--method", "hkd")
    assert code == 0, messages
    assert "fusion" not in messages
    assert len(list((tmp_path / "home" / "runs").iterdir())) == 2


def test_torchrun_trains_one_of_several_teachers_at_a_time(
    planned: Planned, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SrkdError, match="torchrun trains one teacher at a time; 3 are missing") as error:
        torchrun.check_ranks(planned(), store)
    assert error.value.hint == "train them without torchrun"


def test_the_labels_of_the_fusion_are_paid_by_the_methods_that_use_them(planned: Planned) -> None:
    labelled = {"teachers": [A | {"labels": "images"}, B | {"labels": "images"}]}
    both = planned("seeds=[0, 1]", **labelled, methods=["none", "hkd", "rkd", "mtkd"]).shares
    single = planned("seeds=[0, 1]", **labelled, methods=["none", "hkd", "rkd"]).shares
    assert both.labels == both.equal == single.labels
    assert both.labels is not None
    assert both.fused == pytest.approx(2 * both.labels)  # one method instead of two


def test_a_precision_of_one_of_several_teachers_is_refused_with_the_key_to_change(planned: Planned) -> None:
    half = B | {"train": {"steps": 6, "precision": "fp16"}}
    with pytest.raises(SrkdError, match="precision fp16 needs a GPU") as caught:
        check_precision(planned(teachers=[A, half]), torch.device("cpu"))
    assert caught.value.hint == "write train: {precision: bf16} for the teachers that have fp16"
