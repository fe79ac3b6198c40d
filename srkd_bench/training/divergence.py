"""Detect diverging training."""

import math
from dataclasses import dataclass

FACTOR = {"mse": 4.0, "l1": 2.0}  # 6 dB
SHORTEST = 50  # steps
FEW = 8  # steps whose mean is steady enough to compare with


@dataclass
class Watch:
    """The geometric means of a loss over windows of steps, against the best of them.

    Losses of single batches are too noisy: patches of sky and of leaves differ a hundredfold, and large losses
    dominate arithmetic means. A window is a hundredth of the training, at least `SHORTEST` steps; two successive
    windows that are `factor` times above the best mean divergence, and so does a training without a window below
    `factor` times the mean of its first `FEW` steps.
    """

    window: int
    factor: float
    total: float = 0.0
    count: int = 0
    best: float = float("inf")
    best_step: int = 0
    high: int = 0
    start: float = 0.0

    @classmethod
    def of(cls, loss: str, steps: int) -> "Watch":
        """Return a watch for a training with a number of steps."""
        return cls(max(SHORTEST, steps // 100), FACTOR[loss])

    def see(self, step: int, loss: float) -> None:
        """Record the loss of a step, counted from 0."""
        self.total, self.count = self.total + math.log(max(loss, 1e-30)), self.count + 1
        if step + 1 == FEW:
            self.start = self._mean
        if self.count < self.window:
            return
        mean = self._mean
        self.high = self.high + 1 if mean > self.factor * self.best else 0
        if mean < self.best:
            self.best, self.best_step = mean, step
        self.total, self.count = 0.0, 0

    @property
    def uneasy(self) -> bool:
        """Whether the latest losses are too high to write a checkpoint."""
        return self.high > 0 or (self.count >= FEW and self._mean > self.factor * self.best)

    @property
    def _mean(self) -> float:
        return math.exp(self.total / self.count)

    def verdict(self, step: int, *, last: bool) -> str:
        """Describe the divergence of the training, or return an empty string; with `last`, one window is enough."""
        if last and 0 < self.factor * self.start < self.best < float("inf"):
            return (
                f"diverged: loss 'rec' was never below {self.factor:g} times its mean over the first {FEW} steps"
                f" ({self.start:.2e})"
            )
        if self.high < (1 if last else 2):
            return ""
        since = step + 1 - self.count - self.high * self.window
        return (
            f"diverged: loss 'rec' has been more than {self.factor:g} times its best"
            f" ({self.best:.2e}, step {self.best_step:,}) since step {since:,}"
        )
