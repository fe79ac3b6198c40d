import shlex

import pytest

from tests.conftest import Srkd


@pytest.mark.parametrize(
    "command", ["train-teacher", "distill -m hkd", "run", "evaluate", "report", "tune", "plan"]
)
def test_a_suite_is_named_as_an_argument_or_by_an_option(srkd: Srkd, command: str) -> None:
    said = [srkd(*shlex.split(command), *words)[2] for words in (["demmo"], ["--suite", "demmo"])]
    assert said[0] == said[1]
    assert "no suite named 'demmo'" in said[0]
    assert srkd(*shlex.split(command), "demmo", "--suite", "demmo")[2] == said[0]
