"""The tables of executors and script writers."""

import inspect

import pytest

from srkd_bench.experiments.executors import processes, ray, serial, shell, slurm, torchrun
from srkd_bench.experiments.executors.base import (
    EXECUTORS,
    SCRIPTS,
    Executor,
    ScriptWriter,
    find_executor,
    find_script,
)
from tests.conftest import Srkd

# mypy compares their signatures with the protocols.
EXECUTE: list[Executor] = [serial.execute, processes.execute, ray.execute, torchrun.execute]
SCRIPT: list[ScriptWriter] = [shell.script, slurm.script]


def test_executors_and_script_writers_in_the_tables_exist() -> None:
    for find, table, protocol in ((find_executor, EXECUTORS, Executor), (find_script, SCRIPTS, ScriptWriter)):
        wanted = [name for name in inspect.signature(protocol.__call__).parameters if name != "self"]
        for name in table:
            assert list(inspect.signature(find(name)).parameters) == wanted


@pytest.mark.parametrize(
    ("words", "known"),
    [(["run", "--executor", "x"], EXECUTORS), (["plan", "--format", "x"], ("table", "json", *SCRIPTS))],
)
def test_an_unknown_name_is_rejected_with_the_known_ones(
    srkd: Srkd, words: list[str], known: list[str]
) -> None:
    code, out, told = srkd(*words)
    assert (code, out) == (1, "")
    assert told.endswith(f"hint: known: {', '.join(sorted(known))}\n")
