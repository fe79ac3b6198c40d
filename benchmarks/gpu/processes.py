"""Several processes on one GPU, or on the CPU's cores: the steps of all per second, against one process."""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from threading import Barrier

import torch

from benchmarks.gpu.common import DEVICE, NAME, ON_GPU
from benchmarks.gpu.speed import stepper
from benchmarks.measure import Row
from srkd_bench.evaluation.inference.profile import wait

COUNTS = (1, 2, 4, 8) if ON_GPU else (1, 2)


def rows(quick: bool) -> list[Row]:
    seconds = 0.2 if quick else 5.0
    rates = {count: together(count, seconds) for count in COUNTS}
    return [
        Row(
            f"processes: {count} at demo's sizes, {NAME}",
            rate / rates[1],
            "x",
            more=True,
            note=f"{rate:.3g} steps/s",
        )
        for count, rate in rates.items()
    ]


def together(count: int, seconds: float) -> float:
    """Return the steps per second of some processes that begin at the same time."""
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(count, mp_context=context) as pool:
        barrier = manager.Barrier(count)
        return sum(one.result() for one in [pool.submit(rate, barrier, seconds) for _ in range(count)])


def rate(barrier: Barrier, seconds: float) -> float:
    """Return the steps per second of this process, on one thread."""
    torch.set_num_threads(1)
    step = stepper("demo")
    step()
    barrier.wait(120)
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        wait(DEVICE)
        steps += 1
    return steps / (time.perf_counter() - begun)
