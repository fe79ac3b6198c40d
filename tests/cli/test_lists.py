import pytest

from srkd_bench.cli import lists
from srkd_bench.core.errors import SrkdError


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("1", "[0]"),
        ("6", "[0,1,2,3,4,5]"),
        ("0-2", "[0,1,2]"),
        ("0,4", "[0,4]"),
        ("7,", None),
        ("3-3,9", "[3,9]"),
    ],
)
def test_seeds_are_a_number_a_range_or_a_list(text: str, setting: str | None) -> None:
    if setting is None:
        with pytest.raises(SrkdError, match="--seeds"):
            lists.seeds_setting(text)
    else:
        assert lists.seeds_setting(text) == f"seeds={setting}"


@pytest.mark.parametrize("text", ["", "0", "-1", "six", "5-3", "1-", "0-99999999", "1.5", "1 2"])
def test_other_seeds_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(SrkdError, match="--seeds") as caught:
        lists.seeds_setting(text)
    assert "--seeds 0-5" in caught.value.hint


def test_lists_are_repeated_options_or_comma_separated() -> None:
    assert lists.methods(["ckd,hkd", " rkd"]) == ["ckd", "hkd", "rkd"]
    assert lists.methods(None) is None
    assert lists.devices(["cuda:0", "cuda:1,cpu"]) == ["cuda:0", "cuda:1", "cpu"]
    assert lists.devices(["all"]) == ["all"]
    for one in ("auto", "mps", "xpu:1", "cuda"):
        assert lists.devices([one]) == [lists.device(one)] == [one]
    for wrong in (["gpu"], ["cuda:"], ["cuda:0,auto"], [","], ["cuda:01"]):
        with pytest.raises(SrkdError, match="--device") as caught:
            lists.devices(wrong)
        assert "cuda:0,cuda:1" in caught.value.hint
