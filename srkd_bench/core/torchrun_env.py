"""Read the rank and world size that torchrun sets in the environment."""

import os
from functools import partial


def _told(name: str, alone: int) -> int:
    """Return a variable if torchrun set it: batch systems set some of the same names for other programs."""
    return int(os.environ.get(name, alone)) if "TORCHELASTIC_RUN_ID" in os.environ else alone


rank = partial(_told, "RANK", 0)  # which of the processes this one is
ranks = partial(_told, "WORLD_SIZE", 1)  # how many there are, on all machines
local_rank = partial(_told, "LOCAL_RANK", 0)  # which of its machine's processes this one is
local_ranks = partial(_told, "LOCAL_WORLD_SIZE", 1)  # how many there are on this machine
