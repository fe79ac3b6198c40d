"""Pairs of different images of a batch."""

from torch import Tensor


def off_diagonal(pairs: Tensor) -> Tensor:
    """Return the elements off the diagonal of a matrix (N, N), row by row: (N, N - 1).

    A Boolean index would give the same, but its size is only known to the device, for which the host would wait.
    """
    count = len(pairs)
    return pairs.flatten()[1:].view(count - 1, count + 1)[:, :-1].reshape(count, count - 1)
