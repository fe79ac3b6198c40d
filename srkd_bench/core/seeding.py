"""Derive seeds from names, and draw without touching the global random state."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


def seed_of(*words: int | str) -> int:
    """Return a 63-bit seed derived from the words only: streams with different words are independent."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(*words: int | str, device: torch.device = CPU) -> Iterator[None]:
    """Seed torch's global random state inside the block, and restore it afterwards on the CPU and a device.

    Other devices are not restored: reading the state of each would initialise every GPU of the machine. That of
    MPS is not restored either.
    """
    known = [device] if device.type in ("cuda", "xpu") else []
    with torch.random.fork_rng(known, device_type=device.type if known else "cuda"):
        torch.manual_seed(seed_of(*words))
        yield
