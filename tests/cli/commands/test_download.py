import json
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Srkd
from tests.data.test_images import random_image

DATA = os.environ.get("SRKD_TEST_DATA", "")


def five_images(folder: Path, side: int = 32) -> None:
    folder.mkdir(exist_ok=True)
    for i in range(5):
        Image.fromarray(random_image(side, 32 + i)).save(folder / f"{i}.png")


def states(srkd: Srkd) -> dict[str, str]:
    rows = json.loads(srkd("download", "--list", "--json")[1])["datasets"]
    return {row["name"]: row["state"] for row in rows}


def test_a_local_copy_is_packed_once_and_replaced_with_force(srkd: Srkd, tmp_path: Path) -> None:
    five_images(tmp_path / "mine")
    assert states(srkd)["set5"] == "to download"
    code, text, messages = srkd("download", "set5", "--from", "mine", "--json")
    assert code == 0
    assert "set5: 5 images packed; their pixels match no known copy" in messages
    (packed,) = json.loads(text)["datasets"]
    assert packed["name"] == "set5"
    assert states(srkd)["set5"] == "here"
    code, text, messages = srkd("download", "set5", "--json")
    assert (code, json.loads(text)["datasets"], messages) == (0, [packed], "set5 is already available\n")
    five_images(tmp_path / "mine", side=40)
    code, text, _ = srkd("download", "set5", "--from", "mine", "--force", "--json")
    assert code == 0
    assert json.loads(text)["datasets"][0]["pixels"] != packed["pixels"]


def test_one_unknown_name_of_several_is_refused_before_anything_is_packed(srkd: Srkd) -> None:
    code, text, messages = srkd("download", "photos", "set55")
    assert (code, text) == (1, "")
    assert "no data set named 'set55'" in messages
    assert "packed" not in messages


def test_a_built_in_set_is_packed_from_its_package(srkd: Srkd) -> None:
    code, text, messages = srkd("download", "photos-test", "--offline")
    assert (code, text, messages) == (0, "", "photos-test: 3 images packed\n")


def test_without_names_the_list_is_shown(srkd: Srkd) -> None:
    assert srkd("download")[:2] == srkd("download", "--list")[:2]
    assert "photos-test" in srkd("download")[1]


def test_five_tiny_images_are_refused_by_name(srkd: Srkd, tmp_path: Path) -> None:
    five_images(tmp_path / "mine", side=12)
    code, _, messages = srkd("download", "set5", "--from", "mine")
    assert code == 1
    assert "of 'set5' is 3" in messages
    assert "×12 pixels, too small to be measured" in messages
    assert states(srkd)["set5"] == "to download"


def test_a_folder_is_registered_under_a_new_name_and_listed(srkd: Srkd, tmp_path: Path) -> None:
    five_images(tmp_path / "mine")
    code, text, messages = srkd("download", "holiday", "--from", "mine", "--json")
    assert (code, messages) == (0, "holiday: 5 images packed\n")
    assert json.loads(text)["datasets"][0]["name"] == "holiday"
    rows = json.loads(srkd("ls", "datasets", "--json")[1])["datasets"]
    (own,) = [row for row in rows if row["name"] == "holiday"]
    assert (own["role"], own["images"], own["state"], own["copy"]) == ("own", 5, "here", "holiday")
    five_images(tmp_path / "mine", side=40)
    assert "exists with other images" in srkd("download", "holiday", "--from", "mine")[2]
    assert srkd("download", "holiday", "--from", "mine", "--force")[0] == 0
    assert "no data set named 'holidays'" in srkd("download", "holidays")[2]


@pytest.mark.skipif(not DATA, reason="SRKD_TEST_DATA is not set")
def test_a_copy_is_packed_under_its_own_name(srkd: Srkd) -> None:
    code, _, messages = srkd("download", "set14", "--from", f"{DATA}/edsr_archive")
    assert (code, messages) == (
        0,
        "set14@edsr: 14 images packed; this copy differs from 'set14':"
        " suites and --datasets name it 'set14@edsr'\n",
    )
    assert "available copies: set14@edsr" in srkd("evaluate", "--model", "bicubic", "--datasets", "set14")[2]
    code, _, messages = srkd("download", "set14", "--from", DATA)
    assert code == 4
    assert f"'{DATA}' holds 2 copies of data set 'set14': " in messages
    assert "edsr_archive/Set14/HR' and 'data/set14/HR'" in messages
