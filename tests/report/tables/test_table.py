"""Names as tables print them."""

import pytest

from srkd_bench.report.tables.table import label, one_line


@pytest.mark.parametrize("name", ["", " ", "\t", "\u200b", "\u202e\u2066", "\x1b", "\ud800", "\u3000"])
def test_a_name_in_a_table_is_never_empty(name: str) -> None:
    assert label(name).strip()
    assert label(name).isprintable()


def test_invisible_names_are_distinct() -> None:
    assert label("\u200b") != label("\u200c") != label("")
    assert one_line("\u200b") == r"\u200b"
    assert one_line("") == ""
    assert one_line("a\u200bb") == "a b"
