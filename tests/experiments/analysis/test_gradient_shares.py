import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.experiments.analysis import gradient_shares
from srkd_bench.experiments.analysis.gradient_shares import Shares, measure
from srkd_bench.experiments.planning import planner
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.runs import preflight
from srkd_bench.experiments.runs import train as train_module
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.conftest import Srkd
from tests.support.encoder_files import encoder_file
from tests.support.tiny_suite import tiny_suite


def write_suite(folder: Path) -> Path:
    return tiny_suite(folder, data={"train": "photos"}, params={"hkd": {"weight": 2.0}})


@pytest.fixture
def place(store: ArtifactStore, display: Display) -> Workplace:
    return Workplace(store, display)


@pytest.fixture
def plan(place: Workplace, tmp_path: Path) -> Plan:
    found = planner.plan(load_suite(str(write_suite(tmp_path))), place.store, place.display)
    images, _ = preflight.prepare(found, place)
    train_module.ensure_teacher(found, images, place)
    return found


def measured(plan: Plan, place: Workplace, *names: str) -> list[Shares]:
    found = planner.plan(plan.suite, place.store, place.display, names)
    return measure(found, preflight.prepare(found, place)[0], place)


def test_twice_the_weight_has_twice_the_share_on_the_same_student(plan: Plan, place: Workplace) -> None:
    default, suites = measured(plan, place, "hkd")
    assert (default.default, suites.default) == (True, False)
    assert default.params["hkd"]["weight"] == 1.0
    assert suites.params["hkd"]["weight"] == 2.0
    assert list(default.moments) == [0.0, 0.1, 0.25, 1.0]
    for moment, share in default.moments.items():
        assert suites.moments[moment] == pytest.approx(2 * share, rel=1e-4)


def test_a_methods_share_does_not_depend_on_other_methods(plan: Plan, place: Workplace) -> None:
    alone = {one.method: one.moments for name in ("ckd", "rvkd") for one in measured(plan, place, name)}
    together = {one.method: one.moments for one in measured(plan, place, "none", "rvkd", "ckd")}
    assert together.keys() == {"ckd", "rvkd"}
    assert alone == together


def test_a_method_with_an_encoder_is_measured_with_it_and_follows_the_plain_student(
    plan: Plan, place: Workplace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")
    file = str(encoder_file(tmp_path / "encoder.pt2"))
    probes: list[gradient_shares._Probe] = []
    take = gradient_shares._measure

    def spy(lesson: gradient_shares._Lesson, seen: list[gradient_shares._Probe], *rest: object) -> None:
        probes[:] = seen
        take(lesson, seen, *rest)  # type: ignore[arg-type]  # as they came
        moved.append(
            torch.equal(*(one.state_dict()["tail.1.bias"] for one in (seen[0].adapter, lesson.student)))
        )

    moved: list[bool] = []
    monkeypatch.setattr(gradient_shares, "_measure", spy)
    for params, count in (({"encoder": file}, 1), ({"encoder": file, "weight": 1.0}, 2)):
        suite = plan.suite.model_copy(update={"params": {"dckd": params}})
        found = measured(replace(plan, suite=suite), place, "dckd")
        assert [one.default for one in found] == [True, False][:count]
        assert all(share > 0 for one in found for share in one.moments.values())
    assert probes[0].adapter is not probes[1].adapter
    assert moved[0]  # before the first step
    assert not moved[1]


def test_adapters_are_trained_and_the_student_learns_from_hr_only(
    plan: Plan, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons: list[tuple[gradient_shares._Lesson, list[gradient_shares._Probe]]] = []
    take = gradient_shares._measure

    def spy(lesson: gradient_shares._Lesson, probes: list[gradient_shares._Probe], *rest: object) -> None:
        lessons.append((lesson, probes))
        take(lesson, probes, *rest)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(gradient_shares, "_measure", spy)
    students, adapters = [], []
    for name in ("hkd", "rvkd"):
        before = len(lessons)
        measured(plan, place, name)
        lesson, probes = lessons[before]
        students.append([weight.detach().clone() for weight in lesson.student.parameters()])
        adapters.append(probes[0])
    assert all(torch.equal(one, other) for one, other in zip(*students, strict=True))
    fresh = gradient_shares._probe("rvkd", adapters[1].method, lesson, torch.rand(8, 3, 8, 8))
    learnt = [*adapters[1].adapter.parameters()]
    assert learnt
    assert not any(torch.equal(one, other) for one, other in zip(learnt, fresh.adapter.parameters(), strict=True)
                   if one.dim() == 4)  # fmt: skip


@pytest.mark.parametrize(
    ("values", "fit"),
    [
        ((0.0, 0.05, 0.5, 1.0), True),
        ((5.0, 0.0496, 0.5, 1.04), True),
        ((5.1, 0.05, 0.5, 1.0), False),
        ((1.0, 0.04, 0.5, 0.9), False),
        ((1.0, 0.1, 1.06, 0.9), False),
    ],
)
def test_a_share_outside_the_range_at_any_time_is_marked(values: tuple[float, ...], fit: bool) -> None:
    one = Shares(
        "hkd", {"hkd": {"weight": 1.0}}, True, dict(zip(gradient_shares.MOMENTS, values, strict=True))
    )
    assert one.fit is fit
    assert gradient_shares.shown(one)[""] == ("" if fit else "outside")


def test_methods_are_listed_with_their_shares_after_the_teacher_was_trained(
    srkd: Srkd, tmp_path: Path
) -> None:
    write_suite(tmp_path)
    words = ["ls", "methods", "--measure", "tiny.yaml"]
    code, text, messages = srkd(*words, "--json")
    assert code == 0, messages
    assert "Training teacher EDSR 6×4 (1 of 2)\n" in messages
    found = json.loads(text)
    rows = {(row["name"], row["default"]): row for row in found["methods"]}
    assert found["steps"] == 10
    assert {("hkd", True), ("hkd", False), ("rkd", True), ("rvkd", True)} <= rows.keys()
    assert ("none", True) not in rows
    assert [one["progress"] for one in rows["rkd", True]["shares"]] == [0.0, 0.1, 0.25, 1.0]
    code, table, messages = srkd(*words)
    assert (code, "Training teacher EDSR 6×4" in messages) == (0, False)
    share = rows["hkd", False]["shares"][0]["share"]
    assert f"{share:.2g}" in table
    assert "after 0%, 10%, 25%, 100% of 10 steps, mean over 8 batches of photos" in table


def test_only_methods_are_measured(srkd: Srkd) -> None:
    code, _, messages = srkd("ls", "suites", "--measure")
    assert (code, "error: --measure needs `srkd ls methods`, not `srkd ls suites`" in messages) == (1, True)


def test_a_short_suite_is_measured_on_a_short_training(plan: Plan) -> None:
    assert gradient_shares.steps(plan) == 10
    train = plan.suite.train.model_copy(update={"steps": 5000})
    assert (
        gradient_shares.steps(replace(plan, suite=plan.suite.model_copy(update={"train": train})))
        == gradient_shares.STEPS
    )
