import json
from pathlib import Path

import pytest

from tests.conftest import Srkd


def test_a_missing_store_is_empty(srkd: Srkd, tmp_path: Path) -> None:
    assert srkd("store", "verify")[1].startswith("0 files, 0 kB verified")
    assert srkd("store", "gc")[1] == "nothing to delete\n"
    assert json.loads(srkd("store", "du", "--json")[1])["bytes"] == 0
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("gc --keep demmo", 1, "hint: did you mean 'demo'?"),
        ("gc --keep mine.yaml", 3, "no suite file 'mine.yaml'"),
        ("export -o runs.tar", 1, "hint: srkd store export demo -o demo.tar, or ids of `srkd ls runs`"),
        ("export 0123 -o runs.tar", 3, "hint: srkd ls runs"),
        ("export 0123 -o runs.tar.gz", 1, "hint: -o runs.tar"),
        ("export 0123", 2, "--output is missing"),
        ("import nowhere.tar", 3, "no file 'nowhere.tar'"),
    ],
)
def test_bad_input_gets_one_clear_error(srkd: Srkd, command: str, code: int, message: str) -> None:
    got, text, messages = srkd("store", *command.split())
    assert (got, text) == (code, "")
    assert message in messages
    assert "Traceback" not in messages
