import pytest

from tests.conftest import Srkd


def test_a_failed_teacher_is_named_in_the_error(srkd: Srkd, monkeypatch: pytest.MonkeyPatch) -> None:
    from srkd_bench.methods.builtin.none import NoDistillation

    monkeypatch.setattr(
        NoDistillation, "losses", lambda self, step, adapter: {"rec": step.rec * float("nan")}
    )
    code, _, messages = srkd("train-teacher", "tiny.yaml")
    assert code == 6
    assert "error: none seed 0: loss 'rec' is nan at step 0" in messages
