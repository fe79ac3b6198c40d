"""What training side by side costs: a step of all six methods against its parts, measured in one run.

The parts are one pass of the teacher over the batch (all taps), and each student's own step with the teacher's
output at hand. Rounds of the whole and of the parts alternate, so that a noisy machine slows both; the ratio of
each round is taken, and their median is reported. The target is 1.15.

    python benchmarks/lockstep.py            the demo's sizes, then the study's (some minutes on two cores)
    python benchmarks/lockstep.py --quick    tiny sizes, for its correctness
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from srkd_bench import methods
from srkd_bench.config import ModelSpec, Run, TrainSpec
from srkd_bench.method import Output, TeacherView
from srkd_bench.models import build
from srkd_bench.train import Learner

METHODS = ["none", "hkd", "ckd", "rkd", "rvkd", "rkd+hkd"]


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(
    name: str, teacher: ModelSpec, student: ModelSpec, train: TrainSpec, rounds: int
) -> dict[str, object]:
    network = build(teacher, 0).requires_grad_(False).eval()
    lr = torch.rand(train.batch, 3, train.patch, train.patch)
    hr = torch.rand(train.batch, 3, 2 * train.patch, 2 * train.patch)
    with tempfile.TemporaryDirectory() as folder:
        learners = []
        for method_name in METHODS:
            method = methods.build(method_name, {})
            run = Run(
                model=student, train=train, data="noise", pixels="noise", method=method_name,
                params=methods.identity(method, method_name), seed=0, teacher=None,
            )  # fmt: skip
            learners.append(Learner(run, method, network, lr, Path(folder), torch.device("cpu")))
        taps = sorted({tap for learner in learners for tap in learner.method.taps})

        @torch.no_grad()
        def look(images: torch.Tensor) -> Output:
            output = network(images, taps)
            assert isinstance(output, Output)
            return output

        def all_at_once() -> None:
            view = TeacherView(look, lr)
            for learner in learners:
                learner.advance(lr, hr, view)

        known = look(lr)

        def look_again(images: torch.Tensor) -> Output:
            return known

        all_at_once()
        ratios, wholes, passes, alone = [], [], [], []
        for _ in range(rounds):
            wholes.append(seconds(all_at_once))
            passes.append(seconds(lambda: look(lr)))
            alone.append(
                [seconds(partial(one.advance, lr, hr, TeacherView(look_again, lr))) for one in learners]
            )
            ratios.append(wholes[-1] / (passes[-1] + sum(alone[-1])))
        with_pass = [sum(steps) + passes[i] * (len(METHODS) - 1) for i, steps in enumerate(alone)]
    return {
        "sizes": name,
        "whole_ms": round(1000 * statistics.median(wholes), 1),
        "teacher_ms": round(1000 * statistics.median(passes), 1),
        "students_ms": round(1000 * statistics.median(sum(steps) for steps in alone), 1),
        "ratio": round(statistics.median(ratios), 3),
        "limit": 1.15,
        "against_six_trainings": round(
            statistics.median(a / b for a, b in zip(with_pass, wholes, strict=True)), 2
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    small = TrainSpec(batch=8, patch=24, steps=1000)
    cases = [("demo", ModelSpec(n_feats=32, n_resblocks=8), ModelSpec(n_feats=16, n_resblocks=4), small, 30)]
    if quick:
        tiny = TrainSpec(batch=4, patch=8, steps=1000)
        cases = [("quick", ModelSpec(n_feats=8, n_resblocks=4), ModelSpec(n_feats=4, n_resblocks=4), tiny, 3)]
    else:
        study = TrainSpec(batch=8, patch=48, steps=1000)
        big = ModelSpec(n_feats=256, n_resblocks=32, res_scale=0.1)
        cases.append(("study", big, ModelSpec(n_feats=64, n_resblocks=16), study, 3))
    for case in cases:
        print(json.dumps(measure(*case)))


if __name__ == "__main__":
    main()
