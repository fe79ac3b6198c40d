"""Check that each benchmark runs, not how fast it is."""

import json
import math
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from benchmarks.__main__ import SCRIPTS, main, markdown, table
from benchmarks.gpu import SECTIONS
from benchmarks.measure import Row, by_turns, ratio
from benchmarks.stops import CALLS, alone, counted, side_by_side
from benchmarks.stops import TRAIN as STEPS
from srkd_bench.methods import registry


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


@pytest.mark.parametrize("name", SECTIONS)
def test_each_section_of_the_gpu_check_runs_its_cpu_part(name: str) -> None:
    threads = torch.get_num_threads()
    rows: list[Row] = import_module(f"benchmarks.{name}").rows(True)
    assert [row.target for row in rows if row.error or row.kept is False] == []
    assert any(row.measured is not None for row in rows)
    assert all(row.measured is not None or row.note for row in rows)
    assert torch.get_num_threads() == threads


def test_a_failed_section_is_reported_and_the_others_continue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def section(name: str) -> SimpleNamespace:
        def rows(quick: bool) -> list[Row]:
            if name.endswith("agreement"):
                raise RuntimeError("CUDA error: no kernel image is available")
            return [Row(name, 1.0, "", 1.0)]

        return SimpleNamespace(rows=rows)

    monkeypatch.setattr("benchmarks.__main__.import_module", section)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "gpu", "--markdown", "-o", str(tmp_path / "gpu.json")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    rows = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["rows"]
    assert [row["measured"] for row in rows] == [None, *[1.0] * (len(SECTIONS) - 1)]
    printed = capsys.readouterr().out
    assert "| failed: RuntimeError: CUDA error: no kernel image is available |" in printed


@pytest.mark.parametrize(("name", "code"), [("gpu.resume", 1), ("patches", 0)])
def test_only_a_missed_limit_of_the_gpu_check_is_an_error(
    monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    missed = SimpleNamespace(rows=lambda quick: [Row("x", 2.0, "s", 1.0)])
    monkeypatch.setattr("benchmarks.__main__.import_module", lambda name: missed)
    monkeypatch.setattr(sys, "argv", ["benchmarks", name])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code


def test_a_step_of_all_methods_reads_from_the_device_once() -> None:
    assert side_by_side(list(CALLS)).reads == STEPS.steps


@pytest.mark.parametrize("name", [*registry.names(), "rkd+hkd"])
def test_each_methods_operator_calls_are_within_the_limit(name: str) -> None:
    count = alone(name)
    assert count.reads == 1
    assert 0.9 * CALLS[name] <= count.calls <= 1.1 * CALLS[name]
    assert 0 < count.allocations < count.calls


@pytest.mark.parametrize(
    ("work", "reads"),
    [
        (lambda one, mask: one.sum().item(), 1),
        (lambda one, mask: float(one[0]) + int(one[1]), 2),
        (lambda one, mask: one.tolist(), 1),
        (lambda one, mask: one.numpy(), 1),
        (lambda one, mask: one[mask], 1),
        (lambda one, mask: one.clone().index_put_((mask,), torch.zeros(())), 1),
        (lambda one, mask: mask.nonzero(), 1),
        (lambda one, mask: one[1:] + one[:-1] * mask[1:], 0),
        (lambda one, mask: torch.randint(9, (3,), generator=torch.Generator()).tolist(), 0),
        (lambda one, mask: one[int(torch.randint(3, (), generator=torch.Generator()))], 0),
        (lambda one, mask: (one + torch.rand(3, generator=torch.Generator())).tolist(), 1),
    ],
)
def test_host_reads_are_counted(work: Callable[[Tensor, Tensor], object], reads: int) -> None:
    one, mask = torch.arange(3.0), torch.tensor([True, False, True])
    assert counted(lambda: work(one, mask)).reads == reads


def test_allocations_are_new_storages() -> None:
    one = torch.arange(4.0)
    count = counted(lambda: (one + 1).view(2, 2).t().mul_(2))
    assert (count.calls, count.allocations) == (4, 1)


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
    text = markdown(
        [Row("a", 1234.4, "ms", 60, before=70.0, peer=2.0, note="n"), Row("b", 9.0, "x", 3.0, more=True)]
    )
    assert text.splitlines()[2:] == [
        "| a | 1,234 ms | ≤ 60 | 70 | 2 | missed; n |",
        "| b | 9 x | ≥ 3 |  |  |  |",
    ]
