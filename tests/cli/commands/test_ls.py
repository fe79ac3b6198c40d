import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from srkd_bench.data.catalog import find
from srkd_bench.data.images import cut
from srkd_bench.data.packs import builtin_images
from tests.conftest import Srkd
from tests.support.tiny_suite import tiny_suite


def test_lists_are_tables_and_json(srkd: Srkd) -> None:
    for what, name in {"methods": "rvkd", "datasets": "photos-test", "suites": "paper"}.items():
        code, text, _ = srkd("ls", what)
        assert code == 0
        assert name in text
        rows: list[dict[str, Any]] = json.loads(srkd("ls", what, "--json")[1])[what]
        assert name in {row["name"] for row in rows}
        assert len(text.splitlines()) == 1 + len(rows)  # nothing is folded where there is no terminal
    assert srkd("ls")[1] == ""


def test_runs_are_listed_with_their_scale_and_role(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path, data={"scale": 3, "validation": "photos-valid"})

    def listed() -> list[tuple[str, str, int]]:
        rows = json.loads(srkd("ls", "runs", "--json")[1])["runs"]
        return [(row["role"], row["method"], row["scale"]) for row in rows]

    assert srkd("train-teacher", "tiny.yaml")[0] == 0
    assert listed() == [("teacher", "none", 3)]
    assert srkd("distill", "-m", "none", "-m", "hkd", "tiny.yaml")[0] == 0
    assert srkd("tune", "tiny.yaml", "-m", "hkd", "--trials", "2")[0] == 0
    trials = [("trial", "hkd", 3)] * 2
    assert sorted(listed()) == sorted(
        [("student", "hkd", 3), ("student", "none", 3), ("teacher", "none", 3), *trials]
    )
    assert "role" in srkd("ls")[1].splitlines()[0]


def test_a_run_used_as_a_teacher_is_listed_as_one_regardless_of_its_card(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path)
    assert srkd("run", "tiny.yaml")[0] == 0
    rows = json.loads(srkd("ls", "runs", "--json")[1])["runs"]
    (teacher,) = [row for row in rows if row["role"] == "teacher"]
    (card,) = tmp_path.glob(f"home/runs/{teacher['run']}*/card.json")
    card.write_text(json.dumps({}), encoding="utf-8")  # of an older version
    assert json.loads(srkd("ls", "runs", "--json")[1])["runs"] == rows


def test_a_folder_of_sr_images_has_a_name_in_tables_from_inside_too(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "mine"
    images.mkdir()
    for name, pixels in builtin_images(find("photos-test")):
        Image.fromarray(cut(pixels, 2)[::-1]).save(images / f"{name}.png")
    monkeypatch.chdir(images)
    code, text, err = srkd("evaluate", "--sr-dir", ".", "--datasets", "photos-test", "--json")
    assert (code, {row["model"] for row in json.loads(text)["scores"]}) == (0, {"mine"}), err


def test_a_run_with_a_damaged_card_is_skipped(srkd: Srkd, tmp_path: Path) -> None:
    tiny_suite(tmp_path)
    assert srkd("distill", "-m", "none", "tiny.yaml")[0] == 0
    (card,) = tmp_path.glob("home/runs/*/card.json")
    card.write_text("{}", encoding="utf-8")
    code, text, err = srkd("ls", "runs", "--json")
    assert (code, json.loads(text)["runs"]) == (0, [])
    assert "is damaged and skipped" in err
