import json
import shlex
from pathlib import Path
from typing import Any

import pytest

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
    code, text, messages = srkd("tune", "tiny.yaml", "--json", *words)
    assert code == 0, messages
    return json.loads(text), messages


def test_a_search_is_stored_and_a_suite_uses_its_best_weights(srkd: Srkd, tmp_path: Path) -> None:
    found, messages = tuned(srkd, "--trials", "3")
    assert "Training 6 students, seed 1000000: hkd ×3, ckd ×3\n" in messages
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
    assert any(
        "the best of 3 trials per method by PSNR-Y on photos-valid" in note for note in results["notes"]
    )
    runs = {row["method"]: row["run"] for row in results["scores"] if row["method"]}
    for method, row in best.items():
        (settings,) = (
            json.loads(
                (tmp_path / "home/runs" / runs[method][:20] / "artifact.json").read_text(encoding="utf-8")
            )["key"],
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
    assert (code, "available: hkd 4, ckd 3" in messages) == (3, True)
    (hint,) = (line for line in messages.splitlines() if line.startswith("hint: "))
    assert hint == "hint: srkd tune tiny.yaml --method ckd --trials 4"
    assert srkd(*shlex.split(hint)[2:])[0] == 0
    assert srkd("run", "tiny.yaml")[0] == 0


def test_the_learning_rate_of_controls_is_searched_as_weights_are(srkd: Srkd, tmp_path: Path) -> None:
    words = ["--method", "hkd,none@2x,none", "--trials", "3"]
    found, messages = tuned(srkd, *words)
    assert "Training 1 student, seed 1000000: none@2x\n" in messages
    rows = found["trials"]
    assert [(row["method"], row["trial"]) for row in rows] == [
        (m, i) for m in ("hkd", "none@2x", "none") for i in range(3)
    ]
    rates = [{"learning_rate": rate} for rate in (1e-3, 5e-4, 2e-3)]
    assert [row["params"] for row in rows[3:]] == [{m: one} for m in ("none@2x", "none") for one in rates]
    assert [row["weights"] for row in rows[3:6]] == [
        f"learning_rate={one}" for one in ("0.001", "0.0005", "0.002")
    ]
    best = {row["method"]: row for row in rows if row["best"]}
    for method, row in best.items():
        assert row["psnr_y"] == max(other["psnr_y"] for other in rows if other["method"] == method)
    double, plain = (best[name]["params"][name]["learning_rate"] for name in ("none@2x", "none"))
    hint = next(line for line in messages.splitlines() if line.startswith("To use the best learning rates: "))
    settings = ["--set", f"params.none@2x.learning_rate={double}", "--set", f"train.learning_rate={plain}"]
    assert shlex.split(hint.partition(": ")[2]) == ["srkd", "run", "tiny.yaml", *settings]
    assert "To use the best trial of each method: srkd run tiny.yaml --set tuned=true" in messages
    code, text, _ = srkd("tune", "tiny.yaml", *words)
    assert (code, "learning_rate=0.0005" in text) == (0, True)

    chosen = ["--set", "methods=[none, hkd, none@2x]", "--set", "tuned=true", "--set", "params.none@5x={}"]
    code, text, messages = srkd("run", "tiny.yaml", *chosen, "--json")
    assert code == 0, messages
    results = json.loads(text)
    assert f"w/o KD, 2× steps: 20 steps at a learning rate of {double}" in results["notes"]
    assert results["notes"][-1].startswith(
        "weights and the learning rates of w/o KD with more steps are the best of 3"
    )
    assert results["notes"][-1].endswith(f"; none@2x learning_rate={double}")
    trained = {row["model"]: settings_of(tmp_path, row["run"]) for row in results["scores"] if row["method"]}
    assert (trained["none"]["train"]["learning_rate"], trained["none@2x"]["train"]["learning_rate"]) == (
        1e-3,
        double,
    )
    assert trained["none@2x"]["params"] == trained["none"]["params"]
    double_run = next(row["run"] for row in results["scores"] if row["model"] == "none@2x")
    assert "this learning rate is one of 3 trials with seed 1000000" in srkd("show", double_run[:12])[1]

    code, _, messages = srkd("run", "tiny.yaml", *chosen, "--set", "methods=[hkd, none@2x, none@3x]")
    assert (code, "available: hkd 3, none@2x 3, none@3x 0" in messages) == (3, True)
    assert "--method none@3x --trials 3" in messages


def settings_of(folder: Path, run: str) -> dict[str, Any]:
    text = (folder / "home/runs" / run[:20] / "artifact.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["key"])


def test_a_search_of_the_suites_methods_leaves_none_as_it_is(srkd: Srkd) -> None:
    words = ["--set", "methods=[none, hkd, none@equal-cost]", "--trials", "2", "--dry-run", "--json"]
    code, text, _ = srkd("tune", "tiny.yaml", *words)
    assert code == 0
    names = [job["what"] for job in json.loads(text)["jobs"] if job["kind"] == "group"]
    assert names == [
        "seed 1000000: hkd ×2",
        "seed 1000000: none@equal-cost",
        "seed 1000000: none@equal-cost (part 2)",
    ]


def test_what_was_never_tuned_is_refused_with_the_command_that_does_it(srkd: Srkd) -> None:
    code, _, messages = srkd("run", "tiny.yaml", "--set", "params=tuned", "--set", "methods=[none, hkd]")
    assert code == 3
    wanted = "srkd tune tiny.yaml --set params=tuned --set 'methods=[none, hkd]' --method hkd --trials 7"
    assert f"hint: {wanted}" in messages
    assert srkd("run", "tiny.yaml", "--set", "params=tuned", "--set", "methods=[none]", "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "data.validation=null"], "has no validation images"),
        (["--set", "data.validation=photos-test"], "'photos-test': it is what networks are tested on"),
        (["--set", "data.validation=photos"], "'photos': it is what networks are trained on"),
        (["--set", "data.validation=set5"], "'set5': it is what networks are tested on"),
        (["--method", "hkd", "--set", "params.hkd.weight=0"], "method 'hkd' has no weight to search"),
        (["--set", "methods=[none]"], "no method of suite tiny has a weight to search"),
        (["--method", "ckdd"], "no method named 'ckdd'"),
    ],
)
def test_an_invalid_search_is_rejected_before_any_work(srkd: Srkd, words: list[str], message: str) -> None:
    code, _, messages = srkd("tune", "tiny.yaml", *words)
    assert code == 1
    assert message in messages
    assert "hint: " in messages


def test_tuned_weights_need_validation_images(srkd: Srkd) -> None:
    code, _, messages = srkd("run", "tiny.yaml", "--set", "tuned=true", "--set", "data.validation=null")
    assert (code, "tuned weights need validation images" in messages) == (1, True)


def test_a_dry_run_of_a_search_lists_its_trainings(srkd: Srkd, tmp_path: Path) -> None:
    code, text, _ = srkd("tune", "tiny.yaml", "-m", "hkd", "--trials", "2", "--dry-run", "--json")
    assert code == 0
    jobs = [job["what"] for job in json.loads(text)["jobs"]]
    assert jobs == [
        "data photos",
        "data photos-valid",
        "teacher",
        "seed 1000000: hkd ×2",
        "scores of 4 networks on photos-valid",
    ]
    assert not (tmp_path / "home" / "runs").exists()


def test_the_search_avoids_the_seeds_that_are_given(srkd: Srkd) -> None:
    code, text, messages = srkd(
        "tune", "tiny.yaml", "--method", "hkd", "--seeds", "1000000-1000001", "--trials", "2"
    )
    assert code == 0, messages
    assert "seed 1000002" in text
    assert "srkd run tiny.yaml --set 'seeds=[1000000,1000001]' --set tuned=true" in messages
