"""Options that several commands share."""

import inspect
import os
import shlex
from collections.abc import Callable

import pytest

from srkd_bench.cli.commands import data, evaluate, network, plan, run, tune
from tests.conftest import Srkd

ONLINE: list[Callable[..., None]] = [
    data.download,
    run.train_teacher,
    run.distill,
    run.run,
    evaluate.evaluate,
    network.upscale,
    network.export,
    network.profile,
    tune.tune,
    plan.plan,
]


def test_offline_sets_the_environment_and_is_no_parameter_of_a_command(
    srkd: Srkd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRKD_OFFLINE", "0")
    assert srkd("download", "--list", "--offline")[0] == 0
    assert os.environ["SRKD_OFFLINE"] == "1"
    for command in ONLINE:
        assert "offline" not in inspect.signature(command).parameters
        assert "--offline" in srkd(command.__name__.replace("_", "-"), "--help")[1]


@pytest.mark.parametrize(
    "command", ["train-teacher", "distill -m hkd", "run", "evaluate", "report", "tune", "plan"]
)
def test_the_old_option_suite_works_with_a_notice(srkd: Srkd, command: str) -> None:
    message = srkd(*shlex.split(command), "demmo")[2]
    assert "no suite named 'demmo'" in message
    for words in (["--suite", "demmo"], ["demmo", "--suite", "demmo"]):
        notice, rest = srkd(*shlex.split(command), *words)[2].split("\n", 1)
        assert notice == "note: --suite is no longer needed: the suite is the first argument, demmo"
        assert rest == message
