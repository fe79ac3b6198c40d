"""Read the rank and world size that torchrun sets in the environment."""

import os


def rank() -> int:
    """Return which of the processes this one is."""
    return _told("RANK", 0)


def ranks() -> int:
    """Return how many processes there are, on all machines."""
    return _told("WORLD_SIZE", 1)


def local_rank() -> int:
    """Return which of its machine's processes this one is."""
    return _told("LOCAL_RANK", 0)


def local_ranks() -> int:
    """Return how many processes there are on this machine."""
    return _told("LOCAL_WORLD_SIZE", 1)


def _told(name: str, alone: int) -> int:
    """Return a variable of torchrun's; batch systems set some of the same names, for other programs."""
    return int(os.environ.get(name, alone)) if "TORCHELASTIC_RUN_ID" in os.environ else alone
