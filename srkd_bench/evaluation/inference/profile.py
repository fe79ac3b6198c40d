"""Measure a network's size, multiply-adds, time and memory."""

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles

import torch
from torch import Tensor, nn

from srkd_bench.config.artifacts import Run, Weights
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.portable import forget_peak_memory, memory
from srkd_bench.evaluation.inference.tiling import is_out_of_memory
from srkd_bench.networks.stored import Chosen, load
from srkd_bench.store.artifact_store import ArtifactStore
from srkd_bench.store.workspace import Workplace

WARM_UP = 3  # warm-up passes of each network


@dataclass(frozen=True)
class Cost:
    """The cost of a forward pass on one LR image.

    Args:
        role: `student` or `teacher`; `network` for one without a role.
        multiply_adds: of the whole image.
        seconds: median, lower and upper quartile.
        peak_bytes: memory beyond what torch itself takes, weights included; None on MPS, and on a CPU
            under Windows.
    """

    role: str
    run: str
    network: str
    parameters: int
    multiply_adds: int
    seconds: tuple[float, float, float]
    peak_bytes: int | None


def profile(networks: dict[str, Chosen], size: tuple[int, int], runs: int, place: Workplace) -> list[Cost]:
    """Measure networks on an LR image of a size (width, height), in rounds of one forward pass each.

    Memory is that of one pass: on CUDA and XPU as torch reports it, on the CPU as the system reports it for a new
    process.

    Raises:
        SrkdError: memory runs out.
    """
    width, height = size
    lr = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(place.device)
    try:
        models: dict[str, nn.Module] = {
            name: one.model.to(place.device).eval() for name, one in networks.items()
        }
        seconds = rounds(models, lr, runs)
        peaks = {role: _peak(one, lr, place) for role, one in networks.items()}
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise SrkdError(f"not enough memory for {width}×{height} pixels", "--size 64x64") from None
        raise
    found = []
    for role, one in networks.items():
        spec, took = one.model.spec, middle(seconds[role])
        counts = spec.parameters, spec.multiply_adds * width * height
        found.append(Cost(role, one.name, f"{spec} ×{spec.scale}", *counts, took, peaks[role]))
    return found


@torch.inference_mode()
def rounds(models: dict[str, nn.Module], lr: Tensor, runs: int) -> dict[str, list[float]]:
    """Return the seconds of `runs` passes of each. All take turns, so that other load affects all equally."""
    for _ in range(WARM_UP):
        for model in models.values():
            model(lr)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for number in range(runs):
        order = list(models.items())
        for name, model in order if number % 2 else reversed(order):
            wait(lr.device)
            begun = time.perf_counter()
            model(lr)
            wait(lr.device)
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def middle(values: list[float]) -> tuple[float, float, float]:
    """Return the median, and the quartiles below and above it."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = quantiles(values, n=4, method="inclusive")
    return median, low, high


def wait(device: torch.device) -> None:
    """Wait until an accelerator has done all its work; its operations run asynchronously."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _peak(chosen: Chosen, lr: Tensor, place: Workplace) -> int | None:
    if lr.device.type != "cpu":
        return _accelerator_peak(chosen.model, lr)
    shape, threads = tuple(lr.shape), torch.get_num_threads()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_own_peak, chosen.key, place.store.home, shape, threads).result()


@torch.inference_mode()
def _accelerator_peak(model: nn.Module, lr: Tensor) -> int | None:
    """Return torch's peak memory in a pass: the network's weights, activations and SR."""
    memory_of = torch.get_device_module(lr.device)
    if not hasattr(memory_of, "max_memory_allocated"):  # MPS
        return None
    memory_of.empty_cache()
    weights = sum(one.nbytes for one in (*model.parameters(), *model.buffers()))
    memory_of.reset_peak_memory_stats(lr.device)
    before = memory_of.memory_allocated(lr.device)
    model(lr)
    peak: int = memory_of.max_memory_allocated(lr.device) - before + weights
    return peak


@torch.inference_mode()
def _own_peak(key: Run | Weights, home: Path, shape: tuple[int, ...], threads: int) -> int | None:
    """Return the peak memory of a pass in this process, minus that of torch alone."""
    torch.set_num_threads(threads)
    nn.Conv2d(3, 8, 3)(torch.rand(1, 3, 8, 8))
    before = memory()
    model = load(key, ArtifactStore(home))
    lr = torch.rand(shape)
    forget_peak_memory()  # loading copies the weights
    model(lr)
    most = memory(peak=True)
    return None if before is None or most is None else max(0, most - before)
