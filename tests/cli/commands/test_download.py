import json
from pathlib import Path

from PIL import Image

from tests.conftest import Srkd
from tests.data.test_images import random_image


def five_images(folder: Path, side: int = 32) -> None:
    folder.mkdir(exist_ok=True)
    for i in range(5):
        Image.fromarray(random_image(side, 32 + i)).save(folder / f"{i}.png")


def states(srkd: Srkd) -> dict[str, str]:
    rows = json.loads(srkd("download", "--list", "--json")[1])["datasets"]
    return {row["name"]: row["state"] for row in rows}


def test_a_local_copy_is_packed_once_and_replaced_when_asked(srkd: Srkd, tmp_path: Path) -> None:
    five_images(tmp_path / "mine")
    assert states(srkd)["set5"] == "to download"
    code, text, messages = srkd("download", "set5", "--from", "mine", "--json")
    assert code == 0
    assert "set5: 5 images packed; its pixels differ from those of the published results\n" in messages
    (packed,) = json.loads(text)["datasets"]
    assert packed["name"] == "set5"
    assert states(srkd)["set5"] == "here"
    code, text, messages = srkd("download", "set5", "--json")
    assert (code, json.loads(text)["datasets"], messages) == (0, [packed], "set5 is present\n")
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
