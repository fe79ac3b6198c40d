"""`student.init`: weights that students start from, from a run or a file, and the labels of reports."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.config.network import ModelSpec, network_spec
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.analysis import collect
from srkd_bench.experiments.executors import serial
from srkd_bench.experiments.planning import planner, requirements
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.networks.loading import build
from srkd_bench.networks.stored import load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace
from tests.support.tiny_suite import tiny_suite
from tests.support.weight_files import released

Planned = Callable[..., Plan]
STUDENT = {"n_feats": 4, "n_resblocks": 4}


@pytest.fixture
def planned(store: ArtifactStore, display: Display, tmp_path: Path) -> Planned:
    """Give the plan of the tiny suite with some keys changed."""
    store.begin()
    suite = tiny_suite(tmp_path)

    def plan(*settings: str) -> Plan:
        return planner.plan(load_suite(str(suite), settings), store, display)

    return plan


def saved(folder: Path, scale: int = 2, **size: int) -> Path:
    path = folder / "start.pt"
    torch.save(released(build(network_spec(STUDENT | size | {"scale": scale}), 9)), path)
    return path


def test_a_file_is_part_of_the_students_identity_by_its_content(planned: Planned, tmp_path: Path) -> None:
    plain, with_file = planned(), planned(f"student.init={saved(tmp_path)}")
    assert all(run.init is None for run in plain.students)
    init = with_file.students[0].init
    assert isinstance(init, Weights)
    assert not {run.digest for run in plain.students} & {run.digest for run in with_file.students}
    assert plain.teacher == with_file.teacher
    assert plain.suite.identity != with_file.suite.identity
    copy = (tmp_path / "start.pt").rename(tmp_path / "copy.pt")
    assert planned(f"student.init={copy}").students == with_file.students
    assert Run.model_validate(with_file.students[0].model_dump(mode="json")) == with_file.students[0]


def test_students_start_from_a_file_and_then_from_a_run(
    planned: Planned, store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    tiny = (
        "train.steps=1",
        "train.learning_rate=1e-8",
        "methods=[none]",
    )  # Adam moves a weight by the rate at most
    place = Workplace(store, display)
    start = build(ModelSpec(n_feats=4, n_resblocks=4), 9)
    from_file = planned(f"student.init={saved(tmp_path)}", *tiny)
    assert serial.do_all(from_file, place) == []
    run = from_file.students[0]
    for ours, theirs in zip(load(run, store).parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-8, rtol=1e-6)
    from_run = planned(f"student.init={run.digest[:12]}", *tiny)
    assert from_run.students[0].init == run
    assert serial.do_all(from_run, place) == []
    for ours, theirs in zip(load(from_run.students[0], store).parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=4e-8, rtol=1e-6)
    needed = {key.digest for key in requirements.needed(store, from_run.suite, place.display)}
    assert run.digest in needed
    notes = collect.results(from_run, store).notes
    assert f"every student starts from {run.digest[:12]} (EDSR 4×4 ×2)" in notes


def test_students_at_x4_may_start_at_x2_and_not_the_other_way_round(planned: Planned, tmp_path: Path) -> None:
    larger = planned(f"student.init={saved(tmp_path)}", "data.scale=4")
    assert larger.students[0].init is not None
    assert larger.students[0].init.model.scale == 2
    with pytest.raises(
        SrkdError, match=r"student\.init is EDSR 4×4 ×4, the students are EDSR 4×4 ×2"
    ) as caught:
        planned(f"student.init={saved(tmp_path, scale=4)}")
    assert (
        caught.value.hint == "students start from a network of their own size, at their scale or at scale 2"
    )


def test_another_size_is_refused_before_any_work(planned: Planned, tmp_path: Path) -> None:
    with pytest.raises(SrkdError, match=r"student\.init is EDSR 5×4 ×2, the students are EDSR 4×4 ×2"):
        planned(f"student.init={saved(tmp_path, n_feats=5)}")
    rcan = "student={arch: rcan, n_resgroups: 2, n_resblocks: 1, n_feats: 4, reduction: 2, init: %s}"
    with pytest.raises(SrkdError, match=r"student\.init is EDSR 4×4 ×2, the students are RCAN 2×1×4 ×2"):
        planned(rcan % saved(tmp_path))


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("nowhere.pt", "no weights file 'nowhere.pt'"),
        ("12345678", "no finished run '12345678'"),
        ("12345e67", "no finished run '12345e67'"),
        ("beef", "no finished run 'beef'"),
    ],
)
def test_a_missing_file_or_run_is_named(planned: Planned, init: str, message: str) -> None:
    with pytest.raises(MissingError) as caught:
        planned(f"student.init={init}")
    assert caught.value.message == message


@pytest.mark.parametrize("settings", ["teacher.model.init=x.pt", "student.init=[1]"])
def test_init_is_a_text_of_the_student_only(planned: Planned, settings: str) -> None:
    with pytest.raises(SrkdError, match=r"\.init|'init'"):
        planned(settings)


def test_the_moving_average_is_what_is_stored(
    planned: Planned, store: ArtifactStore, display: Display
) -> None:
    settings = (
        "train.steps=1",
        "train.learning_rate=0.5",
        "methods=[none]",
    )  # Adam moves a weight by the rate
    start = build(ModelSpec(n_feats=4, n_resblocks=4), 0)
    for more, moved in (((), 0.5), (("train.ema=0.999",), 0.0005)):
        plan = planned(*settings, *more)
        assert serial.do_all(plan, Workplace(store, display)) == []
        pairs = zip(load(plan.students[0], store).parameters(), start.parameters(), strict=True)
        assert max((new - old).abs().max().item() for new, old in pairs) == pytest.approx(moved, rel=0.01)


def test_a_report_states_which_networks_are_moving_averages(planned: Planned, store: ArtifactStore) -> None:
    def notes(*settings: str) -> list[str]:
        found = collect.results(planned(*settings), store).notes
        return [note for note in found if note.startswith("Measured weights")]

    average = "exponential moving average (decay 0.999)"
    assert notes() == []
    assert notes("train.ema=0.999") == [f"Measured weights (EMA): students' {average}, teacher's {average}"]
    mixed = notes("train.ema=0.999", "teacher.train.ema=null")
    assert mixed == [f"Measured weights (EMA): students' {average}, teacher's last step"]
