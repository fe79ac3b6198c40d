"""Derive seeds from names, and draw without touching the global random state."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(*words: int | str) -> int:
    """Return a 63-bit seed that depends on the words alone: streams with other words are independent."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(*words: int | str) -> Iterator[None]:
    """Seed torch's global random numbers inside the block, and leave them untouched outside."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(*words))
        yield
