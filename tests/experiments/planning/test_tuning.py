import json
import shlex
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
from srkd_bench.evaluation import stored_scores
from srkd_bench.experiments.planning import planner, tuning
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import _fitting
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.layout import FAILED
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite


def write_suite(folder: Path, **changes: Any) -> Path:
    data = {"train": "photos", "validation": "photos-valid"}
    return tiny_suite(folder, data=data, methods=["none", "hkd", "ckd"], **changes)


@pytest.fixture
def srkd(srkd: Srkd, tmp_path: Path) -> Srkd:
    write_suite(tmp_path)
    return srkd


def tuned(srkd: Srkd, *words: str) -> tuple[dict[str, Any], str]:
    code, text, messages = srkd("tune", "--suite", "tiny.yaml", "--json", *words)
    assert code == 0, messages
    return json.loads(text), messages


def test_a_search_is_kept_and_a_suite_takes_its_best(srkd: Srkd, tmp_path: Path) -> None:
    found, messages = tuned(srkd, "--trials", "3")
    assert "training EDSR 4×4, seed 1000000: hkd ×3, ckd ×3\n" in messages
    assert (found["validation"], found["seed"]) == ("photos-valid", 1_000_000)
    rows = found["trials"]
    assert [(row["method"], row["trial"]) for row in rows] == [
        (m, i) for m in ("hkd", "ckd") for i in range(3)
    ]
    best = {row["method"]: row for row in rows if row["best"]}
    for method, row in best.items():
        assert row["psnr_y"] == max(other["psnr_y"] for other in rows if other["method"] == method)
    assert all(row["share"] > 0 for row in rows)

    again, messages = tuned(srkd, "--trials", "3")
    assert (again, "training" in messages) == (found, False)

    code, text, messages = srkd("run", "tiny.yaml", "--set", "params=tuned", "--json")
    assert code == 0, messages
    results = json.loads(text)
    assert any("the best of 3 trials a method by PSNR-Y on photos-valid" in note for note in results["notes"])
    runs = {row["method"]: row["run"] for row in results["scores"] if row["method"]}
    for method, row in best.items():
        (settings,) = (
            json.loads((tmp_path / "home/runs" / runs[method][:20] / "artifact.json").read_text())["key"],
        )
        assert (settings["params"], settings["seed"]) == (row["params"], 0)
        code, shown, _ = srkd("show", runs[method][:12])
        assert "these weights are one of 3 trials with seed 1000000" in shown
    assert "tuning" not in srkd("show", runs["none"][:12])[1]

    code, text, _ = srkd("store", "gc", "--keep", "tiny.yaml")  # as it is, untuned: its trials are waste
    assert text.count("seed 1000000") == 12  # six runs, and the scores of each
    write_suite(tmp_path, params="tuned")
    code, text, _ = srkd("store", "gc", "--keep", "tiny.yaml")
    assert "seed 1000000" not in text

    more, messages = tuned(srkd, "--trials", "4", "--method", "hkd")
    assert "seed 1000000: hkd\n" in messages
    assert more["trials"][:3] == [row | {"best": more["trials"][i]["best"]} for i, row in enumerate(rows[:3])]

    code, _, messages = srkd("run", "tiny.yaml")
    assert (code, "there are: hkd 4, ckd 3" in messages) == (3, True)
    (hint,) = (line for line in messages.splitlines() if line.startswith("hint: "))
    assert hint == "hint: srkd tune --suite tiny.yaml --method ckd --trials 4"
    assert srkd(*shlex.split(hint)[2:])[0] == 0
    assert srkd("run", "tiny.yaml")[0] == 0


def test_what_was_never_tuned_is_refused_with_the_command_that_does_it(srkd: Srkd) -> None:
    code, _, messages = srkd("run", "tiny.yaml", "--set", "params=tuned", "--set", "methods=[none, hkd]")
    assert code == 3
    wanted = (
        "srkd tune --suite tiny.yaml --set params=tuned --set 'methods=[none, hkd]' --method hkd --trials 7"
    )
    assert f"hint: {wanted}" in messages
    assert srkd("run", "tiny.yaml", "--set", "params=tuned", "--set", "methods=[none]", "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "data.validation=null"], "has no validation images"),
        (["--set", "data.validation=photos-test"], "'photos-test': it is what networks are tested on"),
        (["--set", "data.validation=photos"], "'photos': it is what networks are trained on"),
        (["--set", "data.validation=set5"], "'set5': it is what networks are tested on"),
        (["--method", "none"], "method 'none' has no weight to search"),
        (["--set", "methods=[none]"], "no method of suite tiny has a weight to search"),
        (["--method", "ckdd"], "no method named 'ckdd'"),
    ],
)
def test_a_search_that_would_be_wrong_is_refused_at_once(srkd: Srkd, words: list[str], message: str) -> None:
    code, _, messages = srkd("tune", "--suite", "tiny.yaml", *words)
    assert code == 1
    assert message in messages
    assert "hint: " in messages


def test_tuned_weights_need_validation_images(srkd: Srkd) -> None:
    code, _, messages = srkd("run", "tiny.yaml", "--set", "tuned=true", "--set", "data.validation=null")
    assert (code, "tuned weights need validation images" in messages) == (1, True)


def test_a_dry_run_of_a_search_tells_what_it_would_train(srkd: Srkd, tmp_path: Path) -> None:
    code, text, _ = srkd("tune", "--suite", "tiny.yaml", "-m", "hkd", "--trials", "2", "--dry-run", "--json")
    assert code == 0
    jobs = [job["what"] for job in json.loads(text)["jobs"]]
    assert jobs == [
        "data photos",
        "data photos-valid",
        "teacher",
        "seed 1000000: hkd, hkd",
        "scores of 4 networks on photos-valid",
    ]
    assert not (tmp_path / "home" / "runs").exists()


@pytest.fixture
def plan(store: ArtifactStore, display: Display, tmp_path: Path) -> Plan:
    store.begin()
    return planner.plan(load_suite(str(write_suite(tmp_path))), store, display, ["hkd"])


def scored(plan: Plan, store: ArtifactStore, values: list[float | str]) -> list[tuning.Trial]:
    """Return a search whose trials have these PSNR-Y, or failed for that reason."""
    for run, value in zip(planner.trial_runs(plan, "hkd", len(values)), values, strict=True):
        if isinstance(value, str):
            store.work(run).mkdir(parents=True)
            put(store.work(run) / FAILED, json.dumps({"error": value}))
            continue
        pixels = pixels_of(store, "photos-valid") or ""
        with store.writing(stored_scores.measurement(run, pixels, 2, self_ensemble=False)) as folder:
            images = {"a": {"psnr_y": value - 1}, "b": {"psnr_y": value + 1}}
            put(folder / "scores.json", json.dumps({"dataset": "photos-valid", "images": images}))
    return tuning.trials(plan, "hkd", len(values), store)


def test_a_best_that_stands_inside_and_above_the_noise_raises_no_doubt(
    plan: Plan, store: ArtifactStore
) -> None:
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
def test_what_speaks_against_a_best_is_said(
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


def test_a_search_that_was_cut_short_is_not_taken_for_a_shorter_one(
    plan: Plan, store: ArtifactStore, display: Display
) -> None:
    scored(plan, store, [30.0])
    suite = plan.suite.model_copy(update={"tuned": True})
    with pytest.raises(MissingError, match=r"hkd 1$") as caught:
        planner.plan(suite, store, display, ["hkd"])
    assert caught.value.hint == "srkd tune --suite tiny --method hkd --trials 7"


def test_a_search_never_measures_on_test_images(plan: Plan, store: ArtifactStore) -> None:
    data = tuning.search(plan, ["hkd"], 2, store).suite.data
    assert (data.test, data.train) == (["photos-valid"], "photos")
    with pytest.raises(SrkdError, match="photos-test"):
        tuning.searchable(
            plan.suite.model_copy(update={"data": data.model_copy(update={"validation": "photos-test"})})
        )


def test_trials_are_trained_in_groups_that_memory_holds(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Run] = planner.trial_runs(plan, "hkd", 5)
    monkeypatch.setattr("srkd_bench.experiments.planning.tasks.MEMORY", 2.5 * 32 * runs[0].model.parameters)
    assert _fitting(runs) == [runs[:2], runs[2:4], runs[4:]]
    assert replace(plan, students=()).methods == []
