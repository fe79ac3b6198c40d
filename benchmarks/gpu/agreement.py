"""A network's scores and each method's losses: the GPU against the CPU; without a GPU, two threads against one."""

import torch

from benchmarks.gpu.common import CPU, DEVICE, NAME, ON_GPU, fitted, photos
from benchmarks.measure import Row
from srkd_bench.config.suite_file import load_suite
from srkd_bench.data.image_set import ImageSet
from srkd_bench.evaluation.scoring import network, score
from srkd_bench.methods import registry
from srkd_bench.networks.base import Architecture
from srkd_bench.training.learner import Learner

STEPS = 50 if ON_GPU else 10
LARGEST_DECIBEL = 0.001
LARGEST_LOSS = 0.01  # relative; rounding grows over the steps
OTHER = f"{NAME} against the CPU" if ON_GPU else "two CPU threads against one"


def rows(quick: bool) -> list[Row]:
    steps = 2 if quick else STEPS
    settings = [f"train.steps={steps}", "train.patch=12", "teacher.model.n_resblocks=4"]
    suite = load_suite("demo", settings)
    methods = ["none", "augkd"] if quick else registry.names()
    threads = torch.get_num_threads()
    try:
        with photos() as images, photos("photos-test") as tests:
            torch.set_num_threads(1)
            ours = fitted(suite, methods, images, CPU)
            expected = psnr(ours["none"].student, tests, CPU)
            torch.set_num_threads(threads if ON_GPU else 2)
            theirs = fitted(suite, methods, images, DEVICE)
            found = psnr(ours["none"].student, tests, DEVICE)
    finally:
        torch.set_num_threads(threads)
    decibel = max(abs(a - b) for a, b in zip(expected, found, strict=True))
    scores = Row(
        f"scores of an EDSR 16×4, {OTHER}", decibel, "dB", LARGEST_DECIBEL, note="PSNR-Y of an image"
    )
    differences = {name: largest(ours[name], theirs[name]) for name in ours}
    return [
        scores,
        *(
            Row(f"losses of {name}, {OTHER}", value, "", LARGEST_LOSS, note=f"relative, over {steps} steps")
            for name, value in differences.items()
        ),
    ]


def psnr(model: Architecture, images: ImageSet, device: torch.device) -> list[float]:
    """Return the PSNR-Y of every image in dB."""
    scores = score(network(model, device=device), images)
    model.to(CPU)
    return [values["psnr_y"] for values in scores.values()]


def largest(ours: Learner, theirs: Learner) -> float:
    """Return the largest relative difference of a loss term in any step."""
    pairs = [
        (value, event["terms"][term])
        for before, event in zip(ours.events, theirs.events, strict=True)
        for term, value in before["terms"].items()
    ]
    return float(max(abs(a - b) / max(abs(a), 1e-9) for a, b in pairs))
