"""Derive seeds from names, and draw without touching the global random state."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(*words: int | str) -> int:
    """Return a 63-bit seed derived from the words only: streams with different words are independent."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(*words: int | str) -> Iterator[None]:
    """Seed torch's global random state inside the block and restore it afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(*words))
        yield
