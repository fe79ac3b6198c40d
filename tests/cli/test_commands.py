import json
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srkd_bench.experiments.analysis.forecast import Pace
from tests.conftest import Srkd

DATA = os.environ.get("SRKD_TEST_DATA", "")
TINY = """
name: tiny
data: {train: photos, test: [photos-test], scale: 2}
teacher: {model: {n_feats: 6, n_resblocks: 4}, train: {steps: 12}}
student: {n_feats: 4, n_resblocks: 4}
train: {batch: 4, patch: 8, steps: 10, learning_rate: 1e-3}
methods: [none, hkd, rkd+hkd]
"""


@pytest.fixture
def srkd(srkd: Srkd, tmp_path: Path) -> Srkd:
    """Call the command beside a tiny suite."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    return srkd


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


def test_changing_a_weight_retrains_that_method_alone(srkd: Srkd) -> None:
    srkd("run", "tiny.yaml", "--set", "methods=[none, hkd, rkd]")
    _, _, messages = srkd(
        "run", "tiny.yaml", "--set", "methods=[none, hkd, rkd]", "--set", "params.hkd.weight=0.5"
    )
    assert "training EDSR 4×4, seed 0: hkd\n" in messages
    assert messages.count("training ") == 1


def test_changing_the_teacher_retrains_every_student_that_looks_at_it(srkd: Srkd) -> None:
    srkd("run", "tiny.yaml")
    _, _, messages = srkd("run", "tiny.yaml", "--set", "teacher.train.steps=13")
    assert "training EDSR 6×4, seed 0: none\n" in messages
    assert "training EDSR 4×4, seed 0: hkd, rkd+hkd\n" in messages


def test_distill_makes_the_chosen_methods_and_the_teacher(srkd: Srkd) -> None:
    code, text, messages = srkd("distill", "--suite", "tiny.yaml", "--method", "ckd", "-m", "none", "--json")
    assert code == 0
    rows = json.loads(text)["scores"]
    assert {row["model"] for row in rows} == {"bicubic", "teacher", "ckd", "none"}
    assert {(row["method"], row["seed"]) for row in rows if row["model"] == "ckd"} == {("ckd", 0)}
    assert "training EDSR 4×4, seed 0: ckd, none" in messages


def test_every_run_keeps_its_events_and_a_card(srkd: Srkd, tmp_path: Path) -> None:
    srkd("distill", "--suite", "tiny.yaml", "--method", "hkd")
    (run,) = [
        path
        for path in (tmp_path / "home" / "runs").iterdir()
        if "hkd" in (path / "artifact.json").read_text()
    ]
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events] == list(range(10))
    assert set(events[3]["terms"]) == {"rec", "hkd"}
    assert 0 < events[3]["share"] < 100
    card = json.loads((run / "card.json").read_text())
    assert {"srkd", "torch", "machine", "command", "seconds"} <= set(card)
    code, shown, _ = srkd("show", run.name[:8])
    assert code == 0
    assert "photos-test" in shown


def test_dry_run_tells_what_would_be_done_and_does_nothing(srkd: Srkd, tmp_path: Path) -> None:
    code, text, _ = srkd("run", "tiny.yaml", "--dry-run", "--json")
    assert code == 0
    plan = json.loads(text)
    assert [job["state"] for job in plan["jobs"]] == ["here", "here", "to do", "to do", "to do"]
    assert plan["seconds"] >= 0
    assert plan["disk"] > 0
    assert not (tmp_path / "home" / "runs").exists()
    srkd("run", "tiny.yaml")
    _, text, _ = srkd("run", "tiny.yaml", "--dry-run")
    assert "to do" not in text


def test_the_paper_suite_can_be_planned_without_its_data(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(step=2.0, event=1.0, validation=0.0, event_bytes=100)
    monkeypatch.setattr(
        "srkd_bench.experiments.analysis.forecast.paced", lambda runs, validation, place: pace
    )
    monkeypatch.setattr(
        "srkd_bench.experiments.analysis.forecast.seconds_a_pixel", lambda spec, scale, place: 1e-6
    )
    code, text, _ = srkd("run", "paper", "--dry-run")
    assert code == 0
    assert "srkd download div2k" in text
    jobs = json.loads(srkd("run", "paper", "--dry-run", "--json")[1])["jobs"]
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


def test_bicubic_is_measured_without_a_suite(srkd: Srkd) -> None:
    code, text, _ = srkd("evaluate", "--model", "bicubic", "--datasets", "photos-test", "--json")
    assert code == 0
    result = json.loads(text)
    assert (result["schema"], result["protocol"]) == (2, "y@1")
    rows = {row["metric"]: row for row in result["scores"]}
    assert set(rows) == {"psnr_y", "ssim_y", "psnr_rgb"}
    assert rows["psnr_y"]["n"] == 3
    assert set(rows["psnr_y"]["images"]) == {"camera", "chelsea", "coffee"}
    assert rows["psnr_y"]["mean"] == pytest.approx(32.351, abs=0.002)


def test_someones_images_are_measured_by_name(srkd: Srkd, tmp_path: Path) -> None:
    from srkd_bench.data.image_set import open_set
    from srkd_bench.store.artifact_store import ArtifactStore

    images = open_set(ArtifactStore(tmp_path / "home"), "photos-test", 2)
    (tmp_path / "sr").mkdir()
    for i, name in enumerate(images.names):
        Image.fromarray(np.minimum(images.hr(i), 254) + 1).save(tmp_path / "sr" / f"{name}_x2_SR.png")
    code, text, _ = srkd("evaluate", "--sr-dir", "sr", "--datasets", "photos-test", "--json")
    assert code == 0
    rows = [row for row in json.loads(text)["scores"] if row["metric"] == "psnr_rgb"]
    assert rows[0]["mean"] == pytest.approx(48.13, abs=0.05)  # every pixel is one grey level off


@pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA is not set")
def test_the_protocols_golden_numbers_come_out_of_the_command(srkd: Srkd) -> None:
    for name in ("set5", "set14"):
        assert srkd("download", name, "--from", f"{DATA}/{name}")[0] == 0
    golden = json.loads((Path(DATA) / "golden" / "scores.json").read_text())
    bicubic = srkd("evaluate", "--model", "bicubic", "--datasets", "set5,set14", "--json")
    edsr = srkd(
        "evaluate", "--weights", f"{DATA}/weights/edsr_r8f64_x2.pt", "--datasets", "set5,set14", "--json"
    )
    for model, (code, text, _) in {"bicubic": bicubic, "edsr_r8f64": edsr}.items():
        assert code == 0
        for row in json.loads(text)["scores"]:
            near = 0.0001 if row["metric"] == "ssim_y" else 0.002
            assert row["mean"] == pytest.approx(golden[f"{model}/{row['dataset']}"][row["metric"]], abs=near)


def test_a_report_is_made_of_an_unfinished_suite_in_every_format(srkd: Srkd, tmp_path: Path) -> None:
    srkd("distill", "--suite", "tiny.yaml", "--method", "none")
    files = ["a.md", "a.tex", "a.csv", "a.json", "a.txt", "a.html"]
    code, text, _ = srkd("report", "--suite", "tiny.yaml", *[word for file in files for word in ("-o", file)])
    assert (code, text) == (0, "")
    assert "hkd: not trained yet (seed 0)" in (tmp_path / "a.txt").read_text()
    assert all((tmp_path / file).stat().st_size > 100 for file in files)
    code, text, _ = srkd("report", "--suite", "tiny.yaml", "--format", "markdown", "--reference")
    assert code == 0
    assert "| photos-test |" in text


def test_a_page_is_a_file_or_on_stdout_with_regions_of_images_or_without(srkd: Srkd, tmp_path: Path) -> None:
    srkd("distill", "--suite", "tiny.yaml", "--method", "hkd")
    code, text, messages = srkd("report", "--suite", "tiny.yaml", "--format", "html", "-o", "a.html")
    assert (code, text) == (0, "")
    assert "looking where the methods differ most" in messages
    page = (tmp_path / "a.html").read_text()
    assert page.count('class="panel"') == 2
    assert "All 2 trainings" in page
    code, text, messages = srkd("report", "--suite", "tiny.yaml", "--format", "html", "--no-crops")
    assert code == 0
    assert text.startswith("<!DOCTYPE html>")
    assert 'class="panel"' not in text
    assert "looking" not in messages
    code, text, _ = srkd("report", "--suite", "tiny.yaml", "-f", "html", "--crop", "coffee:96,64,64,48")
    assert code == 0
    assert text.count('class="panel"') == 1
    code, _, messages = srkd("report", "--suite", "tiny.yaml", "-f", "html", "--crop", "coffee:96,64,64,4800")
    assert code == 1
    assert "coffee" in messages


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("distill --method ckdd", 1, "hint: did you mean 'ckd'?"),
        ("run demmo", 1, "hint: did you mean 'demo'?"),
        ("run --set train.stepps=3", 1, "hint: did you mean 'steps'?"),
        ("run --set params.ckd.wieght=3", 1, "hint: did you mean 'weight'?"),
        (
            "run --set params.ckd.weight=-1",
            1,
            "params.ckd.weight: input should be greater than or equal to 0",
        ),
        ("run --set data.train=bsds50", 1, "hint: did you mean 'bsds500'?"),
        ("run --set data.test=[set55]", 1, "hint: did you mean 'set5'?"),
        ("run bsds", 3, "hint: srkd download bsds500 div2k-valid set5 set14 bsd100 urban100"),
        ("run --set train.batch=1", 1, "ckd compares the images of a batch"),
        ("run --set train.patch=200", 1, "larger than image"),
        ("run --set train.precision=fp16", 1, "hint: --set train.precision=bf16"),
        ("run --set train.precision=tf32", 1, "error: precision tf32 needs a CUDA device"),
        ("run --device cuda:7", 1, "device 'cuda:7' is not here"),
        ("run --set teacher.weights=nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("compare hkd none --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("crops -o crops.png --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("tune --teacher nowhere.pt", 3, "no weights file 'nowhere.pt'"),
        ("run bsds --suite demo", 1, "error: two suites are named: bsds and demo"),
        ("download set55", 1, "hint: did you mean 'set5'?"),
        ("download set5 --from empty", 3, "no images"),
        ("evaluate --model bicubic --datasets set5", 3, "hint: srkd download set5"),
        ("evaluate --model bicubic", 1, "hint: --datasets set5,set14"),
        ("report -o table.pdf", 1, "no report format for 'table.pdf'"),
        ("report -f htm", 1, "hint: did you mean 'html'?"),
        ("show 0123456789", 3, "hint: srkd ls runs"),
        ("distill", 2, "Missing option"),
    ],
)
def test_bad_input_gets_one_clear_error_before_any_work(
    srkd: Srkd, tmp_path: Path, command: str, code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    got, text, messages = srkd(*shlex.split(command))
    assert (got, text) == (code, "")
    assert message in " ".join(messages.split())
    assert "Traceback" not in messages
    assert not (tmp_path / "home" / "runs").exists()


@pytest.mark.parametrize(
    "command", ["train-teacher", "distill -m hkd", "run", "evaluate", "report", "tune", "plan"]
)
def test_a_suite_is_named_as_an_argument_or_by_an_option(srkd: Srkd, command: str) -> None:
    said = [srkd(*shlex.split(command), *words)[2] for words in (["demmo"], ["--suite", "demmo"])]
    assert said[0] == said[1]
    assert "no suite named 'demmo'" in said[0]
    assert srkd(*shlex.split(command), "demmo", "--suite", "demmo")[2] == said[0]


def test_a_loss_that_becomes_nan_fails_that_run_alone(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_teacher_that_fails_ends_the_command_by_name(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    from srkd_bench.methods.builtin.none import NoDistillation

    monkeypatch.setattr(
        NoDistillation, "losses", lambda self, step, adapter: {"rec": step.rec * float("nan")}
    )
    code, _, messages = srkd("train-teacher", "--suite", "tiny.yaml")
    assert code == 6
    assert "error: none seed 0: loss 'rec' is nan at step 0" in messages


def test_lists_are_tables_and_json(srkd: Srkd) -> None:
    for what, name in {"methods": "rvkd", "datasets": "photos-test", "suites": "paper"}.items():
        code, text, _ = srkd("ls", what)
        assert code == 0
        assert name in text
        rows: list[dict[str, Any]] = json.loads(srkd("ls", what, "--json")[1])[what]
        assert name in {row["name"] for row in rows}
        assert len(text.splitlines()) == 1 + len(rows)  # nothing is folded where there is no terminal
    assert srkd("ls")[1] == ""
    assert srkd("download", "--list")[0] == 0


def test_a_suite_is_printed_as_it_can_be_read_again(srkd: Srkd, tmp_path: Path) -> None:
    _, text, _ = srkd("show", "smoke")
    (tmp_path / "mine.yaml").write_text(text)
    assert srkd("report", "--suite", "mine.yaml")[0] == 0
