import sys

import pytest

from srkd_bench.core.errors import LISTED, command_line, in_python, unknown


def test_an_unknown_name_gets_the_closest_or_the_first_known_ones() -> None:
    assert unknown("method", "hdk", ["none", "hkd"]).hint == "did you mean 'hkd'?"
    assert unknown("method", "x", ["none", "hkd"]).hint == "known: hkd, none"
    many = [f"{i:04}" for i in range(1000)]
    assert unknown("image", "x", many).hint == f"known: {', '.join(many[:LISTED])}, … (1,000 in all)"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["/usr/bin/srkd", "run", "my suite.yaml"], "srkd run 'my suite.yaml'"),
        (["/lib/srkd_bench/__main__.py", "run"], "srkd run"),
        (["study.py", "--seeds", "6"], "python study.py --seeds 6"),
        (["/lib/ipykernel_launcher.py", "-f", "kernel.json"], "python"),
        ([""], "python"),
    ],
)
def test_a_command_line_is_that_of_the_program_that_runs(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", words)
    assert command_line() == line
    assert in_python() == line.startswith("python")
