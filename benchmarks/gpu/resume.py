"""An interrupted and resumed training against an uninterrupted one: every weight of every method, bit for bit."""

import torch

from benchmarks.gpu.common import DEVICE, NAME, fitted, photos
from benchmarks.measure import Row
from srkd_bench.config.suite_file import load_suite
from srkd_bench.methods import registry
from srkd_bench.training.learner import Learner


def rows(quick: bool) -> list[Row]:
    steps = 4 if quick else 10
    suite = load_suite("demo", [f"train.steps={steps}"])
    methods = ["none", "fakd"] if quick else registry.names()
    with photos() as images:
        once = fitted(suite, methods, images, DEVICE)
        again = fitted(suite, methods, images, DEVICE)
        resumed = fitted(suite, methods, images, DEVICE, stop=steps // 2)
    return [
        counted(f"methods that train to other bits when repeated, {NAME}", once, again),
        counted(f"methods that resume to other bits, {NAME}", once, resumed),
    ]


def counted(target: str, ones: dict[str, Learner], others: dict[str, Learner]) -> Row:
    differing = [name for name in ones if not same(ones[name], others[name])]
    return Row(target, len(differing), f"of {len(ones)}", 0, note=", ".join(differing))


def same(one: Learner, other: Learner) -> bool:
    pairs = zip(one.student.state_dict().values(), other.student.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
