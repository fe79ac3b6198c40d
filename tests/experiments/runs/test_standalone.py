"""Measurements without a suite."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srkd_bench.data.image_set import open_set
from srkd_bench.store.artifact_store import ArtifactStore
from tests.conftest import Srkd


def test_the_working_directory_has_a_name_in_the_table(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_set(ArtifactStore(tmp_path / "home"), "photos-test", 2)
    (tmp_path / "mine").mkdir()
    for i, name in enumerate(images.names):
        Image.fromarray(np.minimum(images.hr(i), 254) + 1).save(tmp_path / "mine" / f"{name}.png")
    monkeypatch.chdir(tmp_path / "mine")
    code, text, said = srkd("evaluate", "--sr-dir", ".", "--datasets", "photos-test", "--json")
    assert code == 0, said
    assert {row["model"] for row in json.loads(text)["scores"]} == {"mine"}
