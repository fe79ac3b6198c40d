from pathlib import Path

import pytest

from srkd_bench.methods import registry
from srkd_bench.training.contract import checks
from tests.conftest import Srkd
from tests.support.encoder_files import encoder_file


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


def test_a_method_is_checked_with_the_hyper_parameters_that_are_set(
    srkd: Srkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "CHECKS", dict(list(checks.CHECKS.items())[:2]))
    encoder_file(tmp_path / "encoder.pt2")
    words = ("method", "check", "ckd", "--set", "params.ckd.space=encoder.pt2")
    code, text, _ = srkd(*words)
    assert code == 1
    assert "loading encoder 'encoder.pt2' can run code" in text
    assert srkd("--trust", *words)[0] == 0
    for setting, message in (
        ("params.hkd.weight=1", "no part of ckd named 'hkd'"),
        ("train.steps=1", "only hyper-parameters can be set here"),
        ("params=3", "only hyper-parameters can be set here"),
        ("params.ckd.space=none.pt2", "no encoder file 'none.pt2'"),
        ("params.ckd.weight=-1", "params.ckd.weight: must be at least 0, not -1"),
    ):
        code, text, messages = srkd("method", "check", "ckd", "--set", setting)
        assert code != 0
        assert (text, message in messages) == ("", True), messages
