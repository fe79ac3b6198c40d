import json
from pathlib import Path

from tests.conftest import Srkd


def test_a_printed_suite_can_be_read_again(srkd: Srkd, tmp_path: Path) -> None:
    _, text, _ = srkd("show", "smoke")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert srkd("report", "mine.yaml")[0] == 0


def test_a_suite_is_printed_as_json(srkd: Srkd) -> None:
    code, text, _ = srkd("show", "demo", "--json")
    assert code == 0
    assert (json.loads(text)["name"], json.loads(text)["schema"]) == ("demo", 1)


def test_a_suite_file_is_printed(srkd: Srkd, tmp_path: Path) -> None:
    text = "name: mine  # a comment\ntrain: {steps: 7}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert srkd("show", "mine.yaml")[:2] == (0, text)
    assert json.loads(srkd("show", "mine.yaml", "--json")[1]) == {
        "schema": 1,
        "name": "mine",
        "train": {"steps": 7},
    }


def test_what_is_no_suite_file_is_refused(srkd: Srkd, tmp_path: Path) -> None:
    code, _, err = srkd("show", "absent.yaml")
    assert (code, err.splitlines()[0]) == (3, "error: no suite file 'absent.yaml'")
    assert srkd("show", "demo.yaml")[2].splitlines()[1] == "hint: did you mean the built-in suite 'demo'?"
    (tmp_path / "list.yaml").write_text("[1, 2]\n", encoding="utf-8")
    code, _, err = srkd("show", "list.yaml", "--json")
    assert (code, err.splitlines()[0]) == (1, "error: list.yaml: a suite must be a mapping of keys")
