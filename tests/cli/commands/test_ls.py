import json
from typing import Any

from tests.conftest import Srkd


def test_lists_are_tables_and_json(srkd: Srkd) -> None:
    for what, name in {"methods": "rvkd", "datasets": "photos-test", "suites": "paper"}.items():
        code, text, _ = srkd("ls", what)
        assert code == 0
        assert name in text
        rows: list[dict[str, Any]] = json.loads(srkd("ls", what, "--json")[1])[what]
        assert name in {row["name"] for row in rows}
        assert len(text.splitlines()) == 1 + len(rows)  # nothing is folded where there is no terminal
    assert srkd("ls")[1] == ""
