"""A teacher that is given by its weights."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from srkd_bench.config.network import ModelSpec
from srkd_bench.networks import loading, pretrained
from srkd_bench.networks.loading import build
from srkd_bench.store import downloads
from tests.conftest import Srkd
from tests.support.commands import printed_without_torch

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
    torch.save(build(ModelSpec(n_feats=4, n_resblocks=4), 0).state_dict(), tmp_path / "teacher.pt")
    (tmp_path / "tiny.yaml").write_text(SUITE)
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
    """Forget what a process keeps in memory."""
    counted.clear()
    pretrained._checksum.cache_clear()
    loading.network_of.cache_clear()


def test_the_file_of_a_teacher_is_loaded_and_hashed_once_a_command(
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


def test_another_file_in_its_place_is_another_teacher(srkd: Srkd, suite: Path, counted: Counter[str]) -> None:
    assert srkd("run", "tiny.yaml")[0] == 0
    torch.save(build(ModelSpec(n_feats=4, n_resblocks=5), 0).state_dict(), suite.with_name("teacher.pt"))
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
