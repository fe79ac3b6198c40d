import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srkd_bench.config.network import ModelSpec
from srkd_bench.networks.loading import build
from tests.conftest import Srkd
from tests.data.test_folders import make
from tests.support import architectures
from tests.support.weight_files import released

DATA = os.environ.get("SRKD_TEST_DATA", "")


def test_bicubic_is_measured_without_a_suite(srkd: Srkd) -> None:
    code, text, _ = srkd("evaluate", "--model", "bicubic", "--datasets", "photos-test", "--json")
    assert code == 0
    result = json.loads(text)
    assert (result["schema"], result["protocol"]) == (3, "y@1")
    rows = {row["metric"]: row for row in result["scores"]}
    assert set(rows) == {"psnr_y", "ssim_y", "psnr_rgb"}
    assert rows["psnr_y"]["n"] == 3
    assert set(rows["psnr_y"]["images"]) == {"camera", "chelsea", "coffee"}
    assert rows["psnr_y"]["mean"] == pytest.approx(32.351, abs=0.002)


def test_a_folder_of_sr_images_is_measured_by_file_name(srkd: Srkd, tmp_path: Path) -> None:
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
def test_the_command_reproduces_the_golden_scores(srkd: Srkd) -> None:
    for name in ("set5", "set14"):
        assert srkd("download", name, "--from", f"{DATA}/{name}")[0] == 0
    golden = json.loads((Path(DATA) / "golden" / "scores.json").read_text(encoding="utf-8"))
    bicubic = srkd("evaluate", "--model", "bicubic", "--datasets", "set5,set14", "--json")
    edsr = srkd(
        "evaluate", "--weights", f"{DATA}/weights/edsr_r8f64_x2.pt", "--datasets", "set5,set14", "--json"
    )
    for model, (code, text, _) in {"bicubic": bicubic, "edsr_r8f64": edsr}.items():
        assert code == 0
        for row in json.loads(text)["scores"]:
            near = 0.0001 if row["metric"] == "ssim_y" else 0.002
            assert row["mean"] == pytest.approx(golden[f"{model}/{row['dataset']}"][row["metric"]], abs=near)


def test_a_folder_of_own_images_is_a_data_set(srkd: Srkd, tmp_path: Path) -> None:
    make(tmp_path / "mine", 32, 40)
    words = ("evaluate", "--model", "bicubic", "--datasets", "./mine,photos-test", "--json")
    code, text, messages = srkd(*words)
    assert code == 0
    assert "./mine: images packed as 'mine'" in messages
    result = json.loads(text)
    assert {row["dataset"] for row in result["scores"]} == {"mine", "photos-test"}
    assert any(note.startswith("mine: 2 own images") for note in result["notes"])
    again = srkd("evaluate", "--model", "bicubic", "--datasets", "mine")
    assert again[0] == 0
    assert "mine" in again[1]
    code, _, messages = srkd("evaluate", "--model", "bicubic", "--datasets", "./gone")
    assert code == 3
    assert "no folder './gone'" in messages


def test_an_unknown_copy_is_marked_in_every_table(srkd: Srkd, tmp_path: Path) -> None:
    make(tmp_path / "mine", 32, 40, 50, 60, 70)
    assert srkd("download", "set5", "--from", "mine")[0] == 0
    code, text, _ = srkd("evaluate", "--model", "bicubic", "--datasets", "set5")
    assert code == 0
    assert len(re.findall(r"^Set5@[0-9a-f]{6} ", text, re.MULTILINE)) == 3  # a table for each metric
    assert "a copy of set5 that srkd does not know" in text


def test_sr_that_equals_hr_is_reported(srkd: Srkd, tmp_path: Path) -> None:
    from srkd_bench.data.image_set import open_set
    from srkd_bench.store.artifact_store import ArtifactStore

    images = open_set(ArtifactStore(tmp_path / "home"), "photos-test", 2)
    (tmp_path / "sr").mkdir()
    for i, name in enumerate(images.names):
        sr = images.hr(i) if name == "coffee" else np.minimum(images.hr(i), 254) + 1
        Image.fromarray(sr).save(tmp_path / "sr" / f"{name}.png")
    code, text, _ = srkd("evaluate", "--sr-dir", "sr", "--datasets", "photos-test", "--json")
    assert code == 0
    assert json.loads(text)["notes"] == ["photos-test: SR equals HR for 1 of 3 images (coffee): is it HR?"]


@pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA is not set")
def test_both_copies_of_bsd100_have_their_golden_number_and_their_name(srkd: Srkd) -> None:
    for folder in (f"{DATA}/bsd100", f"{DATA}/edsr_archive"):
        assert srkd("download", "bsd100", "--from", folder)[0] == 0
    code, text, _ = srkd("evaluate", "--model", "bicubic", "--datasets", "bsd100,bsd100@edsr", "--json")
    assert code == 0
    means = {row["dataset"]: row["mean"] for row in json.loads(text)["scores"] if row["metric"] == "psnr_y"}
    assert means["bsd100"] == pytest.approx(29.5599, abs=0.0002)
    assert means["bsd100@edsr"] == pytest.approx(29.5531, abs=0.0002)


HERE = "tests.support.architectures:"


@pytest.fixture
def teacher_file(tmp_path: Path) -> Path:
    torch.save(released(build(ModelSpec(n_feats=4, n_resblocks=1), 0)), tmp_path / "edsr.pt")
    return tmp_path / "edsr.pt"


def test_a_network_is_read_by_its_class_and_its_range(srkd: Srkd, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = architectures.Distiller(width=4)
    torch.save(
        {"model": {f"module.{key}": one for key, one in network.state_dict().items()}}, tmp_path / "x.pt"
    )
    words = ["--weights", "x.pt", "--datasets", "photos-test", "--json"]
    means = []
    for model in (f"{HERE}Distiller", f"{{arch: '{HERE}Distiller', params: {{width: 4}}}}"):
        code, out, messages = srkd("evaluate", "--model", model, *words)
        means.append((code, json.loads(out)["scores"][0]["mean"] if code == 0 else messages))
    assert means[0][0] == 1
    assert "does not fit Distiller" in str(means[0][1])
    code, out, messages = srkd("evaluate", "--model", model, "--range", "255", *words)
    assert code == 0, messages
    assert json.loads(out)["scores"][0]["mean"] != means[1][1]


def test_options_that_contradict_a_file_are_refused(srkd: Srkd, teacher_file: Path) -> None:
    words = ["evaluate", "--weights", "edsr.pt", "--datasets", "photos-test"]
    assert "enlarges by 2, not by 4" in srkd(*words, "--scale", "4")[2]
    assert "for values up to 255" in srkd(*words, "--range", "1")[2]
    assert "does not fit EDSR 8×1" in srkd(*words, "--model", "{n_feats: 8, n_resblocks: 1}")[2]
    assert "names no class" in srkd(*words, "--model", "resnet")[2]
    assert "need --weights" in srkd("evaluate", "--model", "bicubic", "--range", "1")[2]


def test_a_network_below_bicubic_is_flagged_with_likely_causes(srkd: Srkd, teacher_file: Path) -> None:
    words = ["evaluate", "--weights", "edsr.pt", "--datasets", "photos-test", "--json"]
    code, out, messages = srkd(*words)
    assert code == 0, messages
    (note,) = json.loads(out)["notes"]
    assert "below bicubic interpolation on photos-test" in note
    assert "--res-scale" in note
    first = json.loads(out)["scores"][0]["mean"]
    assert json.loads(srkd(*words, "--res-scale", "0.5")[1])["scores"][0]["mean"] != first
