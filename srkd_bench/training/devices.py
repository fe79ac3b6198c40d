"""Choose devices by name."""

import torch

from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError


def check_device_name(name: str) -> None:
    """Check that a name is a valid device name, on this or another machine.

    Raises:
        SrkdError: it is invalid.
    """
    _named(name)


def _named(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SrkdError(f"no device named '{name}'", "auto, cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda"):
        raise SrkdError(f"device '{name}' is not supported", "--device cpu or cuda")
    if str(device) != name:  # torch keeps eight bits of the index: cuda:256 would be cuda:0
        raise SrkdError(f"device '{name}' is not available", "--device cpu")
    return device


def choose_device(name: str) -> torch.device:
    """Return a device by its name; `auto` is CUDA if available. Each rank of torchrun has its own GPU.

    Raises:
        SrkdError: it does not exist.
    """
    device = _named(name)
    if device.type == "cuda" and torchrun_env.ranks() > 1:
        if device.index is not None or torchrun_env.local_ranks() > torch.cuda.device_count():
            raise SrkdError(
                f"{torchrun_env.local_ranks()} ranks need a GPU each: {torch.cuda.device_count()} are available",
                "torchrun --nproc-per-node gpu -m srkd_bench … --device cuda",
            )
        device = torch.device("cuda", torchrun_env.local_rank())
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SrkdError(f"device '{name}' is not available", "--device cpu")
    return device


def choose_devices(names: str, jobs: int | None = None) -> list[torch.device]:
    """Return a device for each parallel process.

    Args:
        names: comma-separated; `auto` is every CUDA device, or the CPU without any, and `all` requires CUDA.
        jobs: number of processes, assigned to these devices in turn; one per device by default.
    Raises:
        SrkdError: a device does not exist, or is named twice.
    """
    count = torch.cuda.device_count()
    if names == "all" and not count:
        raise SrkdError("there is no CUDA device here", "--device cpu --jobs 2")
    if names in ("auto", "all") and count > 1:
        found = [torch.device("cuda", i) for i in range(count)]
    else:
        found = [choose_device("auto" if name == "all" else name.strip()) for name in names.split(",")]
    if len(set(found)) < len(found):
        raise SrkdError(f"a device is listed twice in '{names}'", "--jobs sets the number of processes")
    return [found[i % len(found)] for i in range(jobs or len(found))]
