"""Train one network in several processes with DistributedDataParallel.

Each rank has an equal part of every batch. Losses are means and gradients are averaged: all ranks take the step
that one process would take with the whole batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from srkd_bench.config.artifacts import Run
from srkd_bench.config.network import ForeignSpec
from srkd_bench.core import torchrun_env
from srkd_bench.core.errors import SrkdError, command_line
from srkd_bench.core.signals import EXIT_CODES, Interrupted, interruptible, noted
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build
from srkd_bench.networks.probing import SIZE

PATIENCE = timedelta(hours=1)  # during training: rank 0 measures validation images and writes checkpoints
WAIT = timedelta(days=365)  # before training: rank 0 packs images, or waits for a lock


@dataclass(frozen=True)
class Training:
    """The training that rank 0 announces to the other ranks.

    Args:
        done: steps in rank 0's checkpoint.
    """

    run: Run
    done: int


class Ranks:
    """The processes that share a training; one alone unless torchrun started several."""

    def __init__(self, rank: int = 0, size: int = 1, waiting: dist.ProcessGroup | None = None) -> None:
        self.rank, self.size = rank, size
        self._waiting = waiting
        self._signals: list[int] = []
        self._told = False

    def part(self, batch: int) -> slice:
        """Return this rank's slice of a batch."""
        each = batch // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def share(self, network: Architecture) -> nn.Module:
        """Wrap the network so that a backward pass gives the gradient of the whole batch."""
        if self.size == 1:
            return network
        foreign = isinstance(network.spec, ForeignSpec)  # it may have unused weights
        shared = DistributedDataParallel(network, find_unused_parameters=foreign)
        shared.broadcast_buffers = (
            False  # after the first step: `check_shareable` ensures that they do not change
        )
        return shared

    def agreed(self, values: Tensor) -> Tensor:
        """Return the means of values (n,) over all ranks, so that all make the same decisions.

        With several ranks the host waits for the values, and the means are in float64 on the CPU.

        Raises:
            Interrupted: on every rank, when a signal arrived at any of them.
        """
        if self.size == 1:
            return values
        came = [float(number in self._signals) for number in EXIT_CODES]
        sums = torch.tensor([*values.tolist(), *came], dtype=torch.float64)
        dist.all_reduce(sums)
        for number, count in zip(EXIT_CODES, sums[len(values) :].tolist(), strict=True):
            if count:
                raise Interrupted(number)
        return sums[: len(values)] / self.size

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let signals stop the block: at once in a single process, otherwise at the same step on all ranks.

        Raises:
            SrkdError: another rank was lost.
        """
        if self.size == 1:
            with interruptible():
                yield
            return
        try:
            with noted(self._signals):
                yield
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                raise
            raise SrkdError(
                "another rank has ended or cannot be reached",
                f"see its own message; to resume from the last checkpoint: {command_line()}",
            ) from error

    def tell(self, training: Training | None) -> None:
        """Announce the training to the other ranks, or that there is none, after which they leave. Only once."""
        if self.size > 1 and not self._told:
            self._told = True
            dist.broadcast_object_list([training], src=0, group=self._waiting)
            if training is None:
                self.leave()

    def hear(self) -> Training | None:
        """Return rank 0's announcement."""
        heard: list[Training | None] = [None]
        dist.broadcast_object_list(heard, src=0, group=self._waiting)
        return heard[0]

    def leave(self) -> None:
        """Wait for all ranks, since rank 0 may be writing a checkpoint, and leave the process group."""
        if self.size > 1:
            dist.barrier(group=self._waiting)
            dist.destroy_process_group()


ALONE = Ranks()


def join(device: torch.device) -> Ranks:
    """Join torchrun's process group, if torchrun started this process."""
    if torchrun_env.ranks() == 1:
        return ALONE
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl", timeout=PATIENCE)
    return Ranks(torchrun_env.rank(), torchrun_env.ranks(), dist.new_group(backend="gloo", timeout=WAIT))


def check_shareable(run: Run, size: int) -> None:
    """Check that several ranks can train a network, each with its part of every batch.

    Raises:
        SrkdError: they cannot, or the result would differ from that of one process.
    """
    batch = run.train.batch
    if batch % size:
        fitting = max(n for n in range(1, size) if batch % n == 0)
        raise SrkdError(
            f"{size} ranks cannot share a batch of {batch}",
            f"start {fitting}, or --set teacher.train.batch={batch + -batch % size}",
        )
    if size > 1 and isinstance(run.model, ForeignSpec) and (reason := _obstacle(build(run.model, run.seed))):
        raise SrkdError(
            f"{run.model} {reason}, so that several ranks would train another network",
            "train it in one process, without torchrun",
        )


@torch.no_grad()
def _obstacle(network: Architecture) -> str:
    """Return why a network's gradient for a batch is not the mean over its parts; empty if it is."""
    images = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    network.train()
    before = [buffer.clone() for buffer in network.buffers()]
    with torch.random.fork_rng(devices=[]):
        random = torch.get_rng_state()
        together = network(images).sr
        drew = not torch.equal(random, torch.get_rng_state())
        if not all(torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True)):
            return "keeps statistics of its batches (batch normalisation)"
        if drew:
            return "draws random numbers while it is trained (dropout)"
        apart = torch.cat([network(image[None]).sr for image in images])
    return "" if torch.allclose(together, apart, atol=1e-4) else "compares the images of a batch"
