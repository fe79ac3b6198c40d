import json
import time
from pathlib import Path
from typing import Any

import pytest

from srkd_bench.config.artifacts import Run
from srkd_bench.experiments.analysis.timing import Pace
from srkd_bench.store.workspace import Workplace
from tests.conftest import Srkd
from tests.data.test_folders import make
from tests.support.tiny_suite import tiny_suite


def digests(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.name in ("weights.safetensors", "scores.json")
    }


def test_a_second_run_trains_nothing_and_prints_the_same_table(srkd: Srkd, tmp_path: Path) -> None:
    code, table, _ = srkd("run", "tiny.yaml")
    assert code == 0
    assert "RKD+HKD" in table
    before = digests(tmp_path / "home")
    assert len(before) == 4 + 5  # teacher and three students; their scores, and bicubic's
    code, again, messages = srkd("run", "tiny.yaml")
    assert (code, again) == (0, table)
    assert "4 of 4 networks are in the store" in messages
    assert "training" not in messages
    assert digests(tmp_path / "home") == before


def test_changing_a_weight_retrains_only_that_method(srkd: Srkd) -> None:
    srkd("run", "tiny.yaml", "--set", "methods=[none, hkd, rkd]")
    _, _, messages = srkd(
        "run", "tiny.yaml", "--set", "methods=[none, hkd, rkd]", "--set", "params.hkd.weight=0.5"
    )
    assert "Training 1 student, seed 0: hkd\n" in messages
    assert messages.count("Training ") == 1


def test_changing_the_teacher_retrains_every_student_that_uses_it(srkd: Srkd) -> None:
    srkd("run", "tiny.yaml")
    _, _, messages = srkd("run", "tiny.yaml", "--set", "teacher.train.steps=13")
    assert "Training teacher EDSR 6×4 (1 of 2)\n" in messages
    assert "Training 2 students, seed 0: hkd, rkd+hkd\n" in messages


def test_dry_run_prints_the_plan_and_trains_nothing(srkd: Srkd, tmp_path: Path) -> None:
    suite = ["tiny.yaml", "--set", "data.train=photos"]
    code, text, _ = srkd("run", *suite, "--dry-run", "--json")
    assert code == 0
    plan = json.loads(text)
    assert [job["state"] for job in plan["jobs"]] == ["here", "here", "to do", "to do", "to do"]
    assert plan["seconds"] >= 0
    assert plan["disk"] > 0
    assert not (tmp_path / "home" / "runs").exists()
    srkd("run", *suite)
    _, text, _ = srkd("run", *suite, "--dry-run")
    assert "to do" not in text


@pytest.mark.parametrize(("busy", "said"), [(2.5, True), (1.0, False)])
def test_dry_run_tells_a_busy_processor(
    srkd: Srkd, monkeypatch: pytest.MonkeyPatch, busy: float, said: bool
) -> None:
    process_time = time.process_time
    monkeypatch.setattr("time.perf_counter", lambda: busy * process_time())
    _, text, _ = srkd("run", "tiny.yaml", "--dry-run")
    assert (f"at present this takes {busy:.1f} times as long\n" in text) is said
    assert json.loads(srkd("run", "tiny.yaml", "--dry-run", "--json")[1])["slowdown"] == busy


@pytest.mark.parametrize(("bf16", "best"), [(0.5, "bf16"), (3.0, "fp32")])
def test_dry_run_times_both_precisions_of_a_cpu_and_names_the_faster_one(
    srkd: Srkd, monkeypatch: pytest.MonkeyPatch, bf16: float, best: str
) -> None:
    def paced(runs: list[Run], validation: str | None, place: Workplace) -> Pace:
        (precision,) = {run.train.precision for run in runs}
        return Pace(
            step=2.0 * {"fp32": 1.0, "bf16": bf16}[precision], event=0.0, validation=0.0, event_bytes=1
        )

    monkeypatch.setattr("srkd_bench.experiments.analysis.forecast.paced", paced)
    monkeypatch.setattr("srkd_bench.experiments.analysis.forecast.has_bf16_arithmetic", lambda: True)
    _, text, _ = srkd("run", "tiny.yaml", "--dry-run")
    line = (
        f"Precision: a step in bf16 takes {bf16:.2f} of a step in fp32 here; faster: train.precision={best}\n"
    )
    assert line in text
    assert json.loads(srkd("run", "tiny.yaml", "--dry-run", "--json")[1])["precisions"] == {
        "fp32": 2.0,
        "bf16": 2 * bf16,
    }
    monkeypatch.setattr("srkd_bench.experiments.analysis.forecast.has_bf16_arithmetic", lambda: False)
    assert "Precision" not in srkd("run", "tiny.yaml", "--dry-run")[1]


def test_the_paper_suite_can_be_planned_without_its_data(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(step=2.0, event=1.0, validation=0.0, event_bytes=100)
    monkeypatch.setattr(
        "srkd_bench.experiments.analysis.forecast.paced", lambda runs, validation, place: pace
    )
    monkeypatch.setattr(
        "srkd_bench.experiments.analysis.forecast.seconds_a_pixel", lambda spec, scale, place: 1e-6
    )
    code, _, messages = srkd("run", "paper", "--dry-run")
    assert code == 3
    assert "edsr_x2-0edfb8a3.pt is not downloaded yet" in messages
    assert "srkd train-teacher --weights edsr-official downloads it" in messages
    trained = ("--set", "teacher={model: {n_feats: 256, n_resblocks: 32, res_scale: 0.1}}")
    code, text, _ = srkd("run", "paper", "--dry-run", *trained)
    assert code == 0
    assert "srkd download div2k" in text
    jobs = json.loads(srkd("run", "paper", "--dry-run", "--json", *trained)[1])["jobs"]
    students = next(job for job in jobs if job["what"] == "seed 0: none, hkd, ckd, rkd, rvkd, rkd+hkd")
    assert students["seconds"] == 200_000 + 100  # a hundred events
    assert students["disk"] == 6 * 4 * 1_369_859 + 100 * 100  # the teacher's SR would be too large to keep
    assert jobs[-1] == {
        "kind": "scores",
        "what": "scores of 8 networks on urban100",
        "state": "to do",
        "seconds": None,
        "disk": 0,
        "flops": 0,
    }


def test_a_nan_loss_fails_only_its_run(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    from srkd_bench.methods.builtin.hkd import HKD

    def losses(self: HKD, step: Any, adapter: Any) -> dict[str, Any]:
        return {"rec": step.rec, "hkd": step.rec / (0 if step.progress >= 0.5 else 1)}

    with monkeypatch.context() as broken:
        broken.setattr(HKD, "losses", losses)
        code, table, messages = srkd("run", "tiny.yaml", "--set", "methods=[none,hkd]")
    assert code == 6
    assert "error: hkd seed 0: loss 'hkd' is inf at step 5" in messages
    assert "failed (hkd seed 0: loss 'hkd' is inf at step 5)" in " ".join(table.split())
    assert "2 of 3 networks are in the store" in srkd("run", "tiny.yaml", "--set", "methods=[none,hkd]")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "train.patch=4096"], "a patch of 4096 LR pixels is larger than image"),
        (["--set", "teacher.train.patch=4096"], "a patch of 4096 LR pixels is larger than image"),
        (["--set", "train.precision=fp16", "--device", "cpu"], "precision fp16 needs a GPU"),
        (["--device", "gpu"], "no device named 'gpu'"),
    ],
)
@pytest.mark.parametrize(
    "command", [["run"], ["distill", "-m", "hkd"], ["train-teacher"], ["tune", "-m", "hkd"]]
)
def test_a_dry_run_is_rejected_like_the_real_run_before_timing(
    srkd: Srkd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    words: list[str],
    message: str,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("timed")

    monkeypatch.setattr("srkd_bench.experiments.analysis.forecast.paced", never)
    given = [*command, "tiny.yaml", "--set", "data.validation=photos-valid", *words]
    refused = srkd(*given, "--dry-run")
    assert (refused[0], refused[1]) == (1, "")
    assert message in refused[2]
    assert not list((tmp_path / "home").glob("data/*"))
    real = srkd(*given)
    assert (real[0], real[2].splitlines()[-2:]) == (1, refused[2].splitlines()[-2:])


def test_a_plan_is_rejected_if_a_patch_is_larger_than_an_image(srkd: Srkd) -> None:
    code, _, err = srkd("plan", "tiny.yaml", "--set", "train.patch=4096")
    assert (code, "a patch of 4096 LR pixels" in err) == (1, True)
    assert srkd("plan", "tiny.yaml", "--format", "slurm", "--device", "gpu")[0] == 1


def test_a_finished_suite_still_rejects_a_missing_device(srkd: Srkd) -> None:
    assert srkd("run", "tiny.yaml")[0] == 0
    for words in (["run"], ["distill", "-m", "none"], ["evaluate"], ["train-teacher"], ["run", "--dry-run"]):
        for device, message in (("gpu", "--device: no device named 'gpu'"), ("cuda:999", "'cuda:999'")):
            code, out, err = srkd(*words, "tiny.yaml", "--device", device)
            assert (code, out) == (1, ""), (words, device)
            assert message in err.splitlines()[0]
            assert err.splitlines()[1].startswith("hint: --device ")


def test_a_study_on_own_folders_names_them_and_reports_images_that_are_also_trained_on(
    srkd: Srkd, tmp_path: Path
) -> None:
    make(tmp_path / "train", 40, 50, 60)
    make(tmp_path / "mytests", 70, 50)  # image 1 is in both
    words = ("tiny.yaml", "--set", "data={train: ./train, test: [./mytests]}", "--set", "methods=[none]")
    code, text, messages = srkd("run", *words, "--json")
    assert code == 0
    result = json.loads(text)
    assert {row["dataset"] for row in result["scores"]} == {"mytests"}
    said = "mytests: 1 of its images are also in train, trained on: 1"
    assert said in result["notes"]
    assert messages.count(said) == 1
    assert any(note.startswith("mytests: 2 own images") for note in result["notes"])
    assert srkd("report", *words, "-o", "scores.csv")[0] == 0
    assert "none,mytests," in (tmp_path / "scores.csv").read_text(encoding="utf-8")
    assert "mytests" in srkd("report", *words, "--from", "scores.csv", "--home", "empty")[1]


def test_a_grid_is_run_reported_and_written_as_one_score_file(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path, seeds=[0, 1], grid={"train.steps": [4, 8], "data.images": [2, 3]})
    code, table, messages = srkd("run", "tiny.yaml")
    assert code == 0
    assert "Suite tiny (4 cells): 0 of 17 networks are in the store, 17 to train" in messages
    assert messages.count("Training teacher") == 1
    assert all(
        words in table for words in ("4 steps, 2 images", "8 steps, 3 images", "effects of the factors")
    )
    assert srkd("run", "tiny.yaml")[1] == srkd("report", "tiny.yaml")[1] == table
    assert srkd("report", "tiny.yaml", "-o", "scores.csv.gz", "-o", "a.md", "--figures", "figures")[0] == 0
    assert (tmp_path / "figures" / "time-psnr_y.png").exists()
    assert srkd("report", "--from", "scores.csv.gz", "-o", "b.md")[0] == 0
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == (tmp_path / "b.md").read_text(encoding="utf-8")
    assert "teacher  " in srkd("plan", "tiny.yaml")[1]
    assert "to do" not in srkd("plan", "tiny.yaml")[1]
    code, text, _ = srkd("run", "tiny.yaml", "--cell", "train.steps=4 data.images=2", "--json")
    assert (code, json.loads(text)["suite"]) == (0, "tiny")
    code, _, messages = srkd("distill", "tiny.yaml", "--method", "hkd")
    assert (code, "select one: --cell 'train.steps=4 data.images=2'" in messages) == (1, True)


def test_a_report_of_a_grid_states_which_cells_are_missing(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path, grid={"train.steps": [4, 8], "data.images": [2, 3]})
    assert srkd("run", "tiny.yaml", "--set", "train.steps=4")[0] == 0
    code, text, _ = srkd("report", "tiny.yaml", "-f", "markdown")
    assert code == 0
    assert [f"{steps} steps, {images} images: no scores" in text for steps in (4, 8) for images in (2, 3)] == [
        False, False, True, True,
    ]  # fmt: skip
    for words in (["--claims"], ["--fail-if", "hkd.set5 < 1"], ["--cards", "cards.json"]):
        code, _, messages = srkd("report", "tiny.yaml", *words)
        assert (code, "--cell NAME reports one cell" in messages) == (1, True)
    code, _, messages = srkd("plan", "tiny.yaml", "--detect", "0.1")
    assert (code, "--detect needs one cell of grid tiny" in messages) == (1, True)


def test_processes_finish_a_grid_with_the_same_bits(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path, grid={"train.steps": [4, 8], "data.images": [2, 3]})
    assert srkd("run", "tiny.yaml", "--home", "one")[0] == 0
    assert srkd("run", "tiny.yaml", "--home", "two", "--jobs", "2")[0] == 0
    found = [digests(tmp_path / home) for home in ("one", "two")]
    assert found[0] == found[1]
    assert len(found[0]) == 2 * 9 + 1
    cell = ["--cell", "train.steps=8 data.images=2"]
    assert srkd("run", "tiny.yaml", "--home", "three", *cell)[0] == 0
    assert digests(tmp_path / "three").items() <= found[0].items()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_method_trains_an_rcan_at_every_scale(srkd: Srkd, scale: int) -> None:
    short = [f"data={{train: photos-test, test: [photos-test], scale: {scale}}}", "evaluate.metrics=[psnr_y]"]
    short += ["train.steps=2", "teacher.train.steps=2", "train.milestones=[1]", "methods=all"]
    words = [word for one in short for word in ("--set", one)]
    code, out, err = srkd("run", "rcan-demo", *words, "--device", "cpu", "--json")
    assert code == 0, err
    assert {score["model"] for score in json.loads(out)["scores"]} >= {"teacher", "none", "fakd", "augkd"}
