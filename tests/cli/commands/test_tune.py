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


def test_a_search_is_kept_and_a_suite_takes_its_best(srkd: Srkd, tmp_path: Path) -> None:
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
    assert any("the best of 3 trials a method by PSNR-Y on photos-valid" in note for note in results["notes"])
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
    assert (code, "there are: hkd 4, ckd 3" in messages) == (3, True)
    (hint,) = (line for line in messages.splitlines() if line.startswith("hint: "))
    assert hint == "hint: srkd tune tiny.yaml --method ckd --trials 4"
    assert srkd(*shlex.split(hint)[2:])[0] == 0
    assert srkd("run", "tiny.yaml")[0] == 0


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
        (["--method", "none"], "method 'none' has no weight to search"),
        (["--set", "methods=[none]"], "no method of suite tiny has a weight to search"),
        (["--method", "ckdd"], "no method named 'ckdd'"),
    ],
)
def test_a_search_that_would_be_wrong_is_refused_at_once(srkd: Srkd, words: list[str], message: str) -> None:
    code, _, messages = srkd("tune", "tiny.yaml", *words)
    assert code == 1
    assert message in messages
    assert "hint: " in messages


def test_tuned_weights_need_validation_images(srkd: Srkd) -> None:
    code, _, messages = srkd("run", "tiny.yaml", "--set", "tuned=true", "--set", "data.validation=null")
    assert (code, "tuned weights need validation images" in messages) == (1, True)


def test_a_dry_run_of_a_search_tells_what_it_would_train(srkd: Srkd, tmp_path: Path) -> None:
    code, text, _ = srkd("tune", "tiny.yaml", "-m", "hkd", "--trials", "2", "--dry-run", "--json")
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


def test_the_search_avoids_the_seeds_that_are_given(srkd: Srkd) -> None:
    code, text, messages = srkd(
        "tune", "tiny.yaml", "--method", "hkd", "--seeds", "1000000-1000001", "--trials", "2"
    )
    assert code == 0, messages
    assert "seed 1000002" in text
    assert "srkd run tiny.yaml --set 'seeds=[1000000,1000001]' --set tuned=true" in messages
