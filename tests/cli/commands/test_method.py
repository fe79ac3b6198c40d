from pathlib import Path

import pytest

from srkd_bench.methods import registry
from tests.conftest import Srkd


def test_the_template_fulfils_the_contract_and_passes_its_test(srkd: Srkd, tmp_path: Path) -> None:
    code, text, messages = srkd("method", "new", "my_idea")
    assert (code, text) == (0, "my_idea.py\ntest_my_idea.py\n")
    assert messages == "Next: srkd method check ./my_idea.py\n"
    assert registry.find("./my_idea.py").__name__ == "MyIdea"
    assert "mymethod" not in (tmp_path / "my_idea.py").read_text(encoding="utf-8").lower()
    assert pytest.main(["-q", "-p", "no:cacheprovider", str(tmp_path / "test_my_idea.py")]) == 0


@pytest.mark.parametrize(
    "name", ["hkd", "Mine", "my-idea", "1st", "../up", "class", "all", "torch", "test_it", "mine"]
)
def test_an_invalid_or_existing_name_is_rejected(srkd: Srkd, tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.py").touch()
    before = sorted(Path().iterdir())
    code, text, messages = srkd("method", "new", name)
    assert (code, text) == (1, "")
    assert name in messages.splitlines()[0]
    assert "hint: " in messages
    assert sorted(Path().iterdir()) == before
