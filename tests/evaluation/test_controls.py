"""Names of controls: which are known, how they are shown, why others are refused."""

import pytest

from srkd_bench.core.errors import SrkdError
from srkd_bench.evaluation.controls import EQUAL_COST, check_control, control_label, is_control, times


def test_names_of_controls_are_read() -> None:
    assert [times(name) for name in ("none@2x", "none@3.4x", "none@10x", EQUAL_COST)] == [2, 3.4, 10, None]
    assert [is_control(name) for name in ("none", "none@x", "hkd@2x", "set14@edsr")] == [False] * 4
    assert control_label("none@3.4x") == "w/o KD, 3.4× steps"
    assert control_label(EQUAL_COST) == "w/o KD at equal cost"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("none@0x", "'none@0x' must be trained for longer than none", "for example none@2x"),
        ("none@0.5x", "must be trained for longer than none", "for example none@2x"),
        ("none@1x", "'none@1x' is trained as long as none", "name it none"),
        ("none@x", "no method named 'none@x'", "none with another budget is none@2x"),
        ("none@2", "no method named 'none@2'", "none with another budget is none@2x"),
        ("none@1e3x", "no method named 'none@1e3x'", "none with another budget is none@2x"),
        ("none@2.50x", "'none@2.50x' has a shorter name", "write none@2.5x"),
        ("none@02.0x", "'none@02.0x' has a shorter name", "write none@2x"),
        ("hkd@2x", "no method named 'hkd@2x'", "only none has other budgets: none@2x"),
        ("hkd+none@2x", "no method named 'hkd+none@2x'", "only none has other budgets: none@2x"),
    ],
)
def test_a_name_that_is_no_control_is_refused(name: str, message: str, hint: str) -> None:
    with pytest.raises(SrkdError) as caught:
        check_control(name)
    assert message in caught.value.message
    assert caught.value.hint.startswith(hint)


def test_other_names_are_no_concern_of_controls() -> None:
    for name in ("none", "rkd+hkd", EQUAL_COST, "none@2x", "none@20.5x"):
        check_control(name)
