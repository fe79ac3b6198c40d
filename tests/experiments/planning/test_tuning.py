import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.config.artifacts import Run
from srkd_bench.config.suite_file import load_suite
from srkd_bench.core.errors import MissingError, SrkdError
from srkd_bench.core.files import put
from srkd_bench.core.progress import Display
from srkd_bench.data.image_set import pixels_of
from srkd_bench.evaluation.scores import measurement
from srkd_bench.experiments.planning import planner, tuning
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import _fitting
from srkd_bench.methods import sources
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import FAILED
from tests.support.tiny_suite import tiny_suite


def write_suite(folder: Path, **changes: Any) -> Path:
    data = {"train": "photos", "validation": "photos-valid"}
    return tiny_suite(folder, data=data, methods=["none", "hkd", "ckd"], **changes)


@pytest.fixture
def plan(store: ArtifactStore, display: Display, tmp_path: Path) -> Plan:
    store.begin()
    return planner.plan(load_suite(str(write_suite(tmp_path))), store, display, ["hkd"])


def scored(
    plan: Plan, store: ArtifactStore, values: list[float | str], column: str = "hkd"
) -> list[tuning.Trial]:
    """Return a search whose trials have these PSNR-Y, or failed for that reason."""
    for run, value in zip(planner.trial_runs(plan, column, len(values)), values, strict=True):
        if isinstance(value, str):
            store.work(run).mkdir(parents=True)
            put(store.work(run) / FAILED, json.dumps({"error": value}))
            continue
        pixels = pixels_of(store, "photos-valid") or ""
        with store.writing(measurement(run, pixels, 2, self_ensemble=False)) as folder:
            images = {"a": {"psnr_y": value - 1}, "b": {"psnr_y": value + 1}}
            put(folder / "scores.json", json.dumps({"dataset": "photos-valid", "images": images}))
    return tuning.trials(plan, column, len(values), store)


def test_an_interior_best_above_the_noise_has_no_warning(plan: Plan, store: ArtifactStore) -> None:
    tried = scored(plan, store, [30.0, 30.1, 29.9, 29.0])  # trial 3 is below trial 1
    assert [one.number for one in tried if one.best] == [1]
    assert [one.psnr_y for one in tried] == [30.0, 30.1, 29.9, 29.0]
    assert tuning.doubts(plan, tried) == []


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        ([30.0, 29.9, 30.1], "best weight, 3.16, is the largest that was tried"),
        ([30.0, 30.1, 29.9], "best weight, 0.316, is the smallest that was tried"),
        ([30.0, 30.03, 29.9, 29.0], "0.030 dB above the default, less than the 0.04 dB"),
        ([30.0, "it blew up", 29.0, 29.5], "1 of 4 trials gave no network: it blew up"),
    ],
)
def test_a_doubtful_best_has_a_warning(
    plan: Plan, store: ArtifactStore, values: list[float | str], doubt: str
) -> None:
    found = tuning.doubts(plan, scored(plan, store, values))
    assert any(doubt in one for one in found), found
    assert len(found) == 1


def test_the_default_as_best_is_not_called_an_edge_or_noise(plan: Plan, store: ArtifactStore) -> None:
    assert tuning.doubts(plan, scored(plan, store, [30.0, 29.9, 29.8])) == []


def test_a_failed_trial_counts_and_is_not_tried_again(
    plan: Plan, store: ArtifactStore, display: Display
) -> None:
    scored(plan, store, [30.0, "it blew up", 30.2])
    assert [run.params["hkd"]["weight"] for run in tuning.search(plan, ["hkd"], 3, store).students] == [
        1.0,
        3.16,
    ]
    suite = plan.suite.model_copy(update={"tuned": True})
    found = planner.plan(suite, store, display, ["hkd"])
    assert [run.params["hkd"]["weight"] for run in found.students] == [3.16]
    assert len(found.trials["hkd"]) == 3


def test_an_interrupted_search_is_not_read_as_a_shorter_one(
    plan: Plan, store: ArtifactStore, display: Display
) -> None:
    scored(plan, store, [30.0])
    suite = plan.suite.model_copy(update={"tuned": True})
    with pytest.raises(MissingError, match=r"hkd 1$") as caught:
        planner.plan(suite, store, display, ["hkd"])
    assert caught.value.hint == "srkd tune tiny --method hkd --trials 7"


def test_a_best_learning_rate_at_the_edge_raises_a_doubt_that_names_its_key(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    store.begin()
    suite = load_suite(str(write_suite(tmp_path)))
    plan = planner.plan(suite, store, display, ["none", "none@2x"])
    beyond = "a better one may lie beyond; more --trials"
    for column, key in {"none": "train.learning_rate", "none@2x": "params.none@2x.learning_rate"}.items():
        found = tuning.doubts(plan, scored(plan, store, [30.0, 29.9, 30.1], column))
        assert [one.partition(", ")[0] for one in found] == [f"{column}: its best learning_rate"]
        assert found[0].endswith(
            f"is the largest that was tried: {beyond}, or begin there: --set {key}=0.002"
        )


def test_a_better_start_of_a_composition_is_named_by_parameters_of_its_own(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    store.begin()
    plan = planner.plan(load_suite(str(write_suite(tmp_path))), store, display, ["rkd+hkd"])
    found = tuning.doubts(plan, scored(plan, store, [30.0, 29.9, 30.1], "rkd+hkd"))
    assert [one.rpartition(" --set ")[2] for one in found] == [
        "params.rkd+hkd.rkd.weight=0.791",
        "params.rkd+hkd.hkd.weight=0.359",
    ]


def test_own_methods_are_searched_by_the_file_that_names_them(
    store: ArtifactStore, display: Display, tmp_path: Path
) -> None:
    hkd = Path(str(sources.__file__)).parent / "builtin" / "hkd.py"
    (tmp_path / "mine.py").write_text(hkd.read_text(encoding="utf-8"), encoding="utf-8")
    own = str(tmp_path / "mine.py")
    plan = planner.plan(load_suite(str(write_suite(tmp_path))), store, display, [own])
    assert tuning.tunable(plan, [own]) == ["mine"]


def test_a_search_never_measures_on_test_images(plan: Plan, store: ArtifactStore) -> None:
    data = tuning.search(plan, ["hkd"], 2, store).suite.data
    assert (data.test, data.train) == (["photos-valid"], "photos")
    with pytest.raises(SrkdError, match="photos-test"):
        tuning.searchable(
            plan.suite.model_copy(update={"data": data.model_copy(update={"validation": "photos-test"})})
        )


def test_trials_are_trained_in_groups_that_fit_into_memory(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Run] = planner.trial_runs(plan, "hkd", 5)
    monkeypatch.setattr("srkd_bench.experiments.planning.tasks.MEMORY", 2.5 * 32 * runs[0].model.parameters)
    assert _fitting(runs) == [runs[:2], runs[2:4], runs[4:]]
    assert replace(plan, students=()).methods == []
