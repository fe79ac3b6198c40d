"""Fixtures of the tests of commands."""

from pathlib import Path

import pytest

from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.experiments.planning import planner
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd
from tests.support.finished_runs import keep_scores
from tests.support.tiny_suite import tiny_suite

GAINS = {"none": 0.0, "hkd": 0.2, "rkd+hkd": -0.1}


@pytest.fixture
def srkd(srkd: Srkd, tmp_path: Path) -> Srkd:
    """Call the command in a folder with a tiny suite."""
    tiny_suite(tmp_path, methods=["none", "hkd", "rkd+hkd"])
    return srkd


@pytest.fixture
def kept(srkd: Srkd, tmp_path: Path, display: Display) -> list[str]:
    """Store runs of six seeds with made-up scores; return the ids of the first seed's runs."""
    store = ArtifactStore(tmp_path / "home")
    suite = load_suite(str(tmp_path / "tiny.yaml"), ["seeds=[0,1,2,3,4,5]"])
    plan = planner.plan(suite, store, display)
    for run in plan.students:
        keep_scores(store, run, GAINS[run.method])
    return [run.digest[:12] for run in plan.students[:3]]
