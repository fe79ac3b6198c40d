"""Check that each benchmark runs, not how fast it is."""

import math
from importlib import import_module

import pytest
import torch

from benchmarks.__main__ import SCRIPTS, markdown, table
from benchmarks.measure import Row, by_turns, ratio


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_benchmark_measures_something(name: str) -> None:
    threads = torch.get_num_threads()
    rows: list[Row] = import_module(f"benchmarks.{name}").rows(True)
    assert rows
    for row in rows:
        if name == "peers" and row.measured is None:
            continue  # torchsr is not installed
        assert row.measured is not None
        assert math.isfinite(row.measured)
        assert row.measured != 0  # what is left between two times may be below it
    assert torch.get_num_threads() == threads
    assert table(rows).row_count == len(rows)


def test_limits_are_upper_or_lower_bounds() -> None:
    assert Row("x", 1.0, "s", 1.0).kept
    assert not Row("x", 1.1, "s", 1.0).kept
    assert Row("x", 1.1, "/s", 1.0, more=True).kept
    assert not Row("x", 0.9, "/s", 1.0, more=True).kept
    assert Row("x", 0.9, "s").kept is None


def test_workloads_take_turns_after_a_warm_up_round() -> None:
    order: list[str] = []
    times = by_turns(2, a=lambda: order.append("a"), b=lambda: order.append("b"))
    assert order == ["a", "b"] * 3
    assert [len(each) for each in times.values()] == [2, 2]
    assert ratio([2.0, 9.0, 3.0], [1.0, 3.0, 3.0]) == 2.0


def test_rows_become_a_table_for_the_docs() -> None:
    text = markdown([Row("a", 1234.4, "ms", 60, peer=2.0, note="n"), Row("b", 9.0, "x", 3.0, more=True)])
    assert text.splitlines()[2:] == [
        "| a | 1,234 ms | ≤ 60 | 2 | missed; n |",
        "| b | 9 x | ≥ 3 |  |  |",
    ]
