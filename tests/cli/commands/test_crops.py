from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from srkd_bench.cli import app
from srkd_bench.config.artifacts import Run
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.progress import Display
from srkd_bench.experiments.analysis import crops
from srkd_bench.experiments.analysis.crops import Gallery
from srkd_bench.experiments.planning.planner import Plan, plan
from srkd_bench.store.artifact_store import ArtifactStore
from tests.support.finished_runs import finish
from tests.support.tiny_suite import tiny_suite


@pytest.fixture
def tiny_plan(store: ArtifactStore, display: Display, tmp_path: Path) -> Plan:
    """Finish all networks of a suite without training, and return its plan."""
    suite = tiny_suite(tmp_path, methods=["none", "hkd", "rkd"], seeds=[3, 0])
    found = plan(load_suite(str(suite)), store, display)
    assert isinstance(found.teacher, Run)
    for run in (found.teacher, *found.students):
        finish(run, store)
    return found


@pytest.fixture
def call(tiny_plan: Plan, store: ArtifactStore, tmp_path: Path) -> Callable[..., None]:
    """Call the command; its errors are raised."""

    def call(*words: str) -> None:
        options = [str(tmp_path / "tiny.yaml"), "--home", str(store.home)]
        CliRunner().invoke(
            app.app, ["crops", *options, *words], catch_exceptions=False, standalone_mode=False
        )

    return call


@pytest.mark.parametrize("suffix", [".pdf", ".png", ".SVG"])
def test_the_command_draws_by_suffix(suffix: str, call: Callable[..., None], tmp_path: Path) -> None:
    start = {".pdf": b"%PDF", ".png": b"\x89PNG", ".SVG": b"<svg"}[suffix]
    path = tmp_path / f"sheet{suffix}"
    call("--crop", "camera:0,0,32,32", "-o", str(path))
    assert path.read_bytes().startswith(start)


def test_a_wrong_suffix_is_refused_before_any_work(
    call: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "Gallery", None)
    with pytest.raises(SrkdError, match=r"no image format for 'a\.docx'"):
        call("-o", str(tmp_path / "a.docx"))


def test_named_runs_are_shown_alone_if_they_have_one_seed(
    call: Callable[..., None], tmp_path: Path, tiny_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries: list[Gallery] = []
    monkeypatch.setattr(crops, "panels", lambda gallery, regions: galleries.append(gallery))
    monkeypatch.setattr("srkd_bench.report.figures.crop_sheet.sheet", lambda panels: None)
    monkeypatch.setattr("srkd_bench.report.figures.registry.save", lambda figure, path: None)
    named = [run for run in tiny_plan.students if run.seed == 0 and run.method != "rkd"]
    call(*(run.digest[:10] for run in named), "--crop", "camera:0,0,8,8", "-o", str(tmp_path / "a.pdf"))
    assert (galleries[0].seed, galleries[0].methods) == (0, ["none", "hkd"])
    others = [tiny_plan.students[0].digest, named[0].digest]
    with pytest.raises(SrkdError, match="these runs have different seeds: 0, 3"):
        call(*others, "-o", str(tmp_path / "a.pdf"))
    with pytest.raises(SrkdError, match="suite tiny has no run 'zzz'"):
        call("zzz", "-o", str(tmp_path / "a.pdf"))
