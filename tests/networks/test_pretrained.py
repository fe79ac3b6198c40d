"""Teachers given by a weights file."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from srkd_bench.config.artifacts import Weights
from srkd_bench.config.network import ForeignSpec, ModelSpec
from srkd_bench.config.suite import TeacherSpec
from srkd_bench.networks import loading, pretrained
from srkd_bench.networks.loading import build
from srkd_bench.store import downloads
from tests.conftest import Srkd
from tests.support import architectures
from tests.support.commands import printed_without_torch
from tests.support.weight_files import released

SUITE = """
name: tiny
data: {train: photos, test: [photos-test], scale: 2}
teacher: {weights: teacher.pt}
student: {n_feats: 2, n_resblocks: 4}
train: {batch: 4, patch: 8, steps: 2}
methods: [none, hkd]
seeds: [0, 1]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    torch.save(released(build(ModelSpec(n_feats=4, n_resblocks=4), 0)), tmp_path / "teacher.pt")
    (tmp_path / "tiny.yaml").write_text(SUITE, encoding="utf-8")
    return tmp_path / "tiny.yaml"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often `teacher.pt` is loaded and hashed."""
    counts: Counter[str] = Counter()
    load, digest = loading.load_weights, downloads.checksum_of

    def counting_load(path: Path, *words: Any) -> object:
        counts["loaded"] += path.name == "teacher.pt"
        return load(path, *words)

    def counting_digest(path: Path, *words: Any) -> str:
        counts["hashed"] += path.name == "teacher.pt"
        return digest(path, *words)

    monkeypatch.setattr(loading, "load_weights", counting_load)
    monkeypatch.setattr(downloads, "checksum_of", counting_digest)
    return counts


def new_command(counted: Counter[str]) -> None:
    """Clear the caches of a process."""
    counted.clear()
    pretrained._checksum.cache_clear()
    loading.network_of.cache_clear()


def test_a_teachers_file_is_loaded_and_hashed_once_per_command(
    srkd: Srkd, suite: Path, counted: Counter[str]
) -> None:
    code, _, messages = srkd("run", "tiny.yaml")
    assert code == 0, messages
    assert counted == {"loaded": 1, "hashed": 1}
    for command in (["run", "tiny.yaml"], ["report", "tiny.yaml"], ["plan", "tiny.yaml"]):
        new_command(counted)
        code, text, messages = srkd(*command)
        assert code == 0, messages
        assert counted == {"hashed": 1}, command
    assert "cached" in text


def test_a_replaced_file_is_another_teacher(srkd: Srkd, suite: Path, counted: Counter[str]) -> None:
    assert srkd("run", "tiny.yaml")[0] == 0
    torch.save(released(build(ModelSpec(n_feats=4, n_resblocks=5), 0)), suite.with_name("teacher.pt"))
    counted.clear()
    code, text, messages = srkd("plan", "tiny.yaml")
    assert code == 0, messages
    assert counted["loaded"] >= 1
    assert "EDSR 4×5" in text


def test_a_teacher_that_is_known_is_reported_without_torch(srkd: Srkd, suite: Path, tmp_path: Path) -> None:
    assert srkd("run", "tiny.yaml")[0] == 0
    home = Path(os.environ["SRKD_HOME"])
    text = printed_without_torch("report", "tiny.yaml", "--home", str(home))
    assert "EDSR 4×4" in text


def test_a_teachers_weights_need_its_class(srkd: Srkd, tmp_path: Path) -> None:
    network = architectures.Distiller(width=4)
    torch.save(network.state_dict(), tmp_path / "x.pt")
    teacher = "{model: {arch: 'tests.support.architectures:Distiller', params: {width: 4}}, weights: x.pt}"
    (tmp_path / "s.yaml").write_text(SUITE.replace("{weights: teacher.pt}", teacher), encoding="utf-8")
    code, text, messages = srkd("plan", "s.yaml")
    assert code == 0, messages
    assert "Distiller (width=4)" in text
    (tmp_path / "s.yaml").write_text(
        SUITE.replace("{weights: teacher.pt}", teacher.replace("width: 4", "width: 6")), encoding="utf-8"
    )
    assert "does not fit Distiller (width=6)" in srkd("plan", "s.yaml")[2]


def test_weights_on_the_command_line_replace_a_teacher_that_would_be_trained(srkd: Srkd, suite: Path) -> None:
    model = "{model: {n_feats: 6, n_resblocks: 4}, train: {steps: 1}}"
    suite.write_text(SUITE.replace("{weights: teacher.pt}", model), encoding="utf-8")
    code, text, messages = srkd("plan", "tiny.yaml", "--teacher", "teacher.pt")
    assert code == 0, messages
    assert "EDSR 4×4" in text
    both = model.replace("{model", "{weights: teacher.pt, model")
    suite.write_text(SUITE.replace("{weights: teacher.pt}", both), encoding="utf-8")
    assert "is not trained" in srkd("plan", "tiny.yaml")[2]
    suite.write_text(
        SUITE.replace("{weights: teacher.pt}", both.replace(", train: {steps: 1}", "")), encoding="utf-8"
    )
    assert "does not fit EDSR 6×4" in srkd("plan", "tiny.yaml")[2]


def test_new_keys_do_not_change_digests(tmp_path: Path) -> None:
    key = Weights(sha256="0" * 64, model=ModelSpec(n_feats=4, n_resblocks=4))
    assert set(key.model_dump()) == {"sha256", "model"}
    assert set(TeacherSpec(weights="x").model_dump()) == {"model", "train", "weights", "blocks", "overlap"}
    assert "range" not in ForeignSpec(arch="a:B").model_dump()
    assert key.model_copy(update={"range": 1}).digest != key.digest
