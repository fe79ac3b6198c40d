from pathlib import Path

import pytest

from docs_generators import traits
from srkd_bench.config.artifacts import Run
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.progress import Display
from srkd_bench.experiments.analysis import step_costs as module
from srkd_bench.experiments.analysis.step_costs import step_costs
from srkd_bench.experiments.planning import planner
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.store.artifact_store import ArtifactStore
from tests.support.tiny_suite import tiny_suite

OWN = '''"""Own: the features of two images, compared."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

from srkd_bench.method import Losses, Method, Step


@dataclass(frozen=True)
class Own(Method):
    """Own."""

    kind = "feature"
    source = "test"

    def losses(self, step: Step, adapter: nn.Module) -> Losses:
        """Return `rec` and `own`."""
        again = step.see(step.lr).sr
        return {"rec": step.rec, "own": F.mse_loss(again, step.teacher.sr)PROBLEM}
'''


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods that are counted, not read from a file."""
    names: list[str] = []
    count = module._counted

    def watched(run: Run) -> float | None:
        names.append(run.method)
        return count(run)

    monkeypatch.setattr(module, "_counted", watched)
    return names


def plan_of(folder: Path, store: ArtifactStore, display: Display, *methods: str) -> Plan:
    return planner.plan(load_suite(str(tiny_suite(folder, methods=["none", *methods]))), store, display)


def test_what_was_counted_is_kept_in_the_store(
    tmp_path: Path, store: ArtifactStore, display: Display, counted: list[str]
) -> None:
    store.begin()
    plan = plan_of(tmp_path, store, display, "hkd", "crosskd", "rkd+crosskd")
    first = step_costs(plan, store)
    assert first["crosskd"] == first["rkd+crosskd"] > first["hkd"] > first["none"] == 1
    assert counted == ["rkd+crosskd", "crosskd"]  # the others compute nothing beside the teacher's pass
    assert step_costs(plan, store) == first
    assert len(counted) == 2
    file = store.home / "step-costs.json"
    file.write_text(file.read_text(encoding="utf-8").replace(":", ": ", 1), encoding="utf-8")
    assert step_costs(plan, store) == first  # a changed file is not used
    assert len(counted) == 4


@pytest.mark.parametrize(
    ("problem", "known"), [("", True), (" * step.hr.sum().item()", False), (" / step.nothing", False)]
)
def test_an_own_method_is_counted_if_it_runs_without_values(
    problem: str,
    known: bool,
    tmp_path: Path,
    store: ArtifactStore,
    display: Display,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SRKD_TRUST", "1")
    (tmp_path / "own.py").write_text(OWN.replace("PROBLEM", problem), encoding="utf-8")
    plan = plan_of(tmp_path, store, display, "hkd", str(tmp_path / "own.py"))
    costs = step_costs(plan, store)
    assert ("own" in costs) == known
    if known:
        assert costs["own"] == pytest.approx(costs["hkd"] + 1, abs=0.01)  # a second pass of the student


def test_the_shipped_counts_are_those_of_the_code(store: ArtifactStore, display: Display) -> None:
    """If this fails, run `python -m docs_generators.traits`."""
    shipped = module._shipped()
    wanted = {module._key(run) for run in module.counted_runs(traits.plans_of_cpu_suites(store))}
    assert wanted == shipped.keys()
    run = module._runs(planner.plan(load_suite("bsds-more"), store, display, scored=True))["crosskd"]
    assert shipped[module._key(run)] == module._counted(run)


def test_the_published_cost_of_crosskd_includes_the_teachers_tail(
    store: ArtifactStore, display: Display
) -> None:
    plan = planner.plan(load_suite("bsds-more"), store, display, scored=True)
    costs = step_costs(plan, store)
    assert (round(costs["hkd"], 2), round(costs["crosskd"], 2)) == (10.05, 12.61)
