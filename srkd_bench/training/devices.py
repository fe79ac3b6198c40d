"""Choose devices by name: the CPU, or the accelerator that PyTorch finds (CUDA, MPS or XPU)."""

import torch

from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError
from srkd_bench.store.workspace import DEVICE_NAME, DEVICE_NAMES


def check_device_name(name: str) -> None:
    """Check that a name is a valid device name, on this or another machine.

    Raises:
        SrkdError: it is invalid.
    """
    if not DEVICE_NAME.fullmatch(name):
        raise SrkdError(f"no device named '{name[:40]}'", f"--device {DEVICE_NAMES}")


def default_kind() -> str:
    """Return the type of this machine's accelerator; `cpu` if there is none, or none that srkd supports."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found.type if found is not None and DEVICE_NAME.fullmatch(found.type) else "cpu"


def choose_device(name: str) -> torch.device:
    """Return a device by its name; `auto` is the accelerator if available. Each rank of torchrun has its own GPU.

    Raises:
        SrkdError: it does not exist.
    """
    check_device_name(name)
    device = torch.device(default_kind() if name == "auto" else name)
    if device.type != "cpu" and torchrun_env.ranks() > 1:
        device = _of_this_rank(device)
    kind, count = default_kind(), torch.accelerator.device_count()
    if device.type != "cpu" and (device.type != kind or (device.index or 0) >= count):
        found = "the CPU only" if kind == "cpu" else f"{count} × {kind}"
        problem = f"device '{name}' is not available: PyTorch {torch.__version__} finds {found}"
        raise SrkdError(problem, f"--device {kind}")
    return device


def _of_this_rank(device: torch.device) -> torch.device:
    if device.type != "cuda":
        raise SrkdError(f"torchrun trains on CUDA devices or the CPU, not on {device.type}", "--device cpu")
    ranks, count = torchrun_env.local_ranks(), torch.accelerator.device_count()
    if device.index is not None or ranks > count:
        raise SrkdError(
            f"{ranks} ranks need a GPU each: {count} are available",
            "torchrun --nproc-per-node gpu -m srkd_bench … --device cuda",
        )
    return torch.device("cuda", torchrun_env.local_rank())


def choose_devices(names: str, jobs: int | None = None) -> list[torch.device]:
    """Return a device for each parallel process.

    Args:
        names: comma-separated; `auto` is every accelerator, or the CPU without any, and `all` requires one.
        jobs: number of processes, assigned to these devices in turn; one per device by default.
    Raises:
        SrkdError: a device does not exist, or is named twice.
    """
    kind = default_kind()
    count = 0 if kind == "cpu" else torch.accelerator.device_count()
    if names == "all" and not count:
        raise SrkdError("there is no GPU here", "--device cpu --jobs 2")
    if names in ("auto", "all") and count > 1:
        found = [torch.device(kind, i) for i in range(count)]
    else:
        found = [choose_device("auto" if name == "all" else name.strip()) for name in names.split(",")]
    if len(set(found)) < len(found):
        raise SrkdError(f"a device is listed twice in '{names}'", "--jobs sets the number of processes")
    return [found[i % len(found)] for i in range(jobs or len(found))]
