"""Steps per second, share of the peak and memory at the sizes of `demo`, `bsds` and `paper`; hours for `paper`."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.gpu.common import DEVICE, NAME, ON_GPU
from benchmarks.measure import Row
from srkd_bench.cli.output import err
from srkd_bench.config.artifacts import Run
from srkd_bench.core.progress import Display
from srkd_bench.evaluation.inference.profile import wait
from srkd_bench.experiments.analysis.forecast import forecast
from srkd_bench.experiments.analysis.timing import paced, trial
from srkd_bench.experiments.planning.planner import Plan
from srkd_bench.experiments.planning.tasks import tasks, training_flops
from srkd_bench.experiments.workflow import find_plan
from srkd_bench.store.workspace import Workplace
from srkd_bench.training.precision import PRECISIONS, obstacle

SUITES = ("demo", "bsds", "paper") if ON_GPU else ("demo", "bsds")
SIDE = 8192 if ON_GPU else 1024  # of the square matrices whose product is the peak
ROUNDS = 10


def rows(quick: bool) -> list[Row]:
    precisions = [name for name in ("fp32", "bf16") if ON_GPU or name == "fp32"]
    found: list[Row] = []
    for precision in precisions:
        if reason := obstacle(precision, DEVICE):
            found.append(Row(f"speed in {precision}, {NAME}", None, "", note=f"{precision} {reason}"))
            continue
        peak = product_rate(PRECISIONS[precision])
        for suite in SUITES[: 1 if quick else None]:
            found += measured(suite, precision, peak)
    return found if ON_GPU else [*found, Row("hours for paper", None, "h", note="measured on a GPU only")]


def measured(suite: str, precision: str, peak: float) -> list[Row]:
    """Return the rows of a suite.

    Args:
        peak: operations per second of a large matrix product.
    """
    where = f"{suite} in {precision}, {NAME}"
    with tempfile.TemporaryDirectory() as home:
        plan, place = planned(suite, Path(home), f"train.precision={precision}")
        runs = group(plan, place)
        memory = torch.get_device_module(DEVICE)
        counts = hasattr(memory, "reset_peak_memory_stats")
        if counts:
            memory.reset_peak_memory_stats(DEVICE)
        step = paced(runs, None, place).step
        flops = training_flops(runs, live=any(map(plan.is_live, runs))) / runs[0].train.steps
        found = [
            Row(f"steps per second of {len(runs)} students, {where}", 1 / step, "/s", more=True),
            Row(f"share of a matrix product's rate, {where}", flops / step / peak, "x", more=True,
                note=f"{flops / step / 1e12:.3g} of {peak / 1e12:.3g} TFLOP/s"),
        ]  # fmt: skip
        if counts:
            found.append(Row(f"memory, {where}", memory.max_memory_allocated(DEVICE) / 1e9, "GB"))
        if suite == "paper":
            hours = forecast(plan, place).seconds / 3600
            found.append(
                Row(f"predicted time, {where}", hours, "h", note="teacher and students, without evaluation")
            )
    return found


def planned(suite: str, home: Path, *settings: str) -> tuple[Plan, Workplace]:
    """Return the plan of a suite with changed settings, and a workplace with an empty store."""
    display = Display(err)
    plan, store = find_plan(suite, settings, home, display, readonly=True)
    return plan, Workplace(store, display, DEVICE)


def group(plan: Plan, place: Workplace) -> list[Run]:
    """Return the students that a suite's first group trains side by side."""
    return next(list(task.runs) for task in tasks(plan, place.store, 1) if task.kind == "group")


def stepper(suite: str) -> Callable[[], object]:
    """Return a function that trains a suite's first group for one step on noise."""
    folder = tempfile.TemporaryDirectory()
    plan, place = planned(suite, Path(folder.name))
    runs = group(plan, place)
    _, step = trial(runs, runs[0].train.batch, Path(folder.name), place)
    return lambda: (step(), folder)[0]  # the folder exists as long as the function


def product_rate(precision: torch.dtype) -> float:
    """Return the operations per second of a large matrix product."""
    a = torch.rand(SIDE, SIDE, device=DEVICE, dtype=precision)
    a @ a  # warm up
    wait(DEVICE)
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        a @ a
    wait(DEVICE)
    return 2 * SIDE**3 * ROUNDS / (time.perf_counter() - begun)
