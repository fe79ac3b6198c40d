from pathlib import Path

from tests.conftest import Srkd


def test_a_printed_suite_can_be_read_again(srkd: Srkd, tmp_path: Path) -> None:
    _, text, _ = srkd("show", "smoke")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert srkd("report", "mine.yaml")[0] == 0
