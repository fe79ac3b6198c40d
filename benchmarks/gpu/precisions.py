"""Each precision, torch.compile and CUDA graphs: a step of `none` and `hkd` against fp32, and the loss."""

import tempfile
import time
from pathlib import Path

from benchmarks.gpu.common import DEVICE, NAME, ON_GPU
from benchmarks.gpu.speed import group, planned
from benchmarks.measure import Row
from srkd_bench.core.seeding import seeded
from srkd_bench.evaluation.inference.profile import wait
from srkd_bench.experiments.analysis.timing import trial
from srkd_bench.training.precision import PRECISIONS, obstacle

SUITE = "paper" if ON_GPU else "demo"
COMPILED = {"compile": "train.compile=true", "CUDA graphs": "train.compile=reduce-overhead"}
SETTINGS = {name: f"train.precision={name}" for name in PRECISIONS} | COMPILED
WARM_UP = 3


def rows(quick: bool) -> list[Row]:
    steps = 2 if quick else 20
    exact = seconds_and_loss("fp32", steps)
    return [compared(name, steps, exact) for name in SETTINGS]


def compared(name: str, steps: int, exact: tuple[float, float]) -> Row:
    """Return how many times as fast as fp32 a precision is, or why it was not measured."""
    target = f"{name}: speed against fp32 at {SUITE}'s sizes, {NAME}"
    reason = "" if name in COMPILED else obstacle(name, DEVICE)
    if name in COMPILED and not ON_GPU:
        reason = "is measured on a GPU only"
    if reason:
        return Row(target, None, "x", note=f"{name} {reason}")
    try:
        seconds, loss = exact if name == "fp32" else seconds_and_loss(name, steps)
    except Exception as error:  # the other precisions do not depend on this one
        return Row(target, None, "x", error=f"{type(error).__name__}: {str(error)[:200]}")
    return Row(target, exact[0] / seconds, "x", more=True, note=f"loss {loss:.5g}, in fp32 {exact[1]:.5g}")


def seconds_and_loss(name: str, steps: int) -> tuple[float, float]:
    """Return the seconds of a step, and the loss of `none` after all steps, on noise."""
    with tempfile.TemporaryDirectory() as home, seeded("noise", device=DEVICE):
        plan, place = planned(SUITE, Path(home), SETTINGS[name], "methods=[none,hkd]")
        runs = group(plan, place)
        learners, step = trial(runs, runs[0].train.batch, Path(home), place)
        for _ in range(WARM_UP):
            step()
        wait(DEVICE)
        begun = time.perf_counter()
        for _ in range(steps):
            step()
        wait(DEVICE)
        seconds = (time.perf_counter() - begun) / steps
        step({})
        return seconds, float(learners[0].last["terms"]["rec"])
