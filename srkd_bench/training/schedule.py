"""Learning rate schedules and logging intervals."""

import math
from bisect import bisect_right

from srkd_bench.config.training import TrainSpec

EVENTS_A_RUN = 100
SHARE_STEPS = 100  # at least, between two measurements of the gradient share: each takes longer than a step


def event_every(train: TrainSpec) -> int:
    """Return the number of steps between two logged events."""
    return max(1, train.steps // EVENTS_A_RUN)


def share_every(train: TrainSpec) -> int:
    """Return the number of steps between two measurements of the gradient share; each is at an event."""
    every = event_every(train)
    return every * math.ceil(SHARE_STEPS / every)


def learning_rate(train: TrainSpec, step: int) -> float:
    """Return the learning rate of a step, counted from 0."""
    if train.schedule == "step":
        decays = bisect_right(train.milestones, step) if train.milestones else step // train.decay_every
        return train.learning_rate * train.decay_factor**decays
    if train.schedule == "cosine":
        cycle = bisect_right(train.restarts, step)
        begin, end = [0, *train.restarts, train.steps][cycle : cycle + 2]
        first = train.learning_rate * train.decay_factor**cycle
        return first * (1 + math.cos(math.pi * (step - begin) / (end - begin))) / 2
    return train.learning_rate
