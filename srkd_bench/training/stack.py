"""Stacks: small students that are trained as one grouped network."""

from collections.abc import Mapping, Sequence
from typing import Any, Never

import torch
from torch import Tensor

from srkd_bench.config.training import STACK_WIDTH, TrainSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.core.portable import keep_freed_memory
from srkd_bench.networks.architectures.residual import ResidualNetwork
from srkd_bench.networks.base import Architecture, Output
from srkd_bench.networks.grouped import grouped
from srkd_bench.training.learner import Learner, Losses
from srkd_bench.training.precision import autocast
from srkd_bench.training.transfers import Batch

WIDEST = 2 * STACK_WIDTH  # wider stacks take more memory, and are not faster


def stacks_of(learners: Sequence[Learner]) -> list["Stack"]:
    """Return the learners with `train.stacked` in stacks of equal networks and training settings."""
    alike: dict[tuple[Any, TrainSpec], list[Learner]] = {}
    for learner in learners:
        if learner.run.train.stacked:
            alike.setdefault((learner.run.model, learner.run.train), []).append(learner)
    return [
        Stack(members[first : first + WIDEST])
        for members in alike.values()
        for first in range(0, len(members), WIDEST)
    ]


class Stack:
    """Learners whose students take their steps as one network with grouped convolutions, each on its own batch.

    Convolutions of small networks on small patches do not keep a processor busy; one grouped convolution for
    several networks does. Each learner computes its own losses, has its own optimizer, and stays independent of the
    others.

    Rounding differs for the first few groups. Therefore a stack has at least `STACK_WIDTH` groups, idle ones if
    needed. From there on, the weights of a student do not depend on the number of groups or on its place.

    Args:
        learners: with equal networks and training settings. Their weights and gradients become parts of the
            stack's.
    Raises:
        SrkdError: a network is not an EDSR.
    """

    def __init__(self, learners: Sequence[Learner]) -> None:
        self.learners = learners
        self.width = max(STACK_WIDTH, len(learners))
        self.network = grouped([_stackable(one.student) for one in learners], self.width)
        self._weights = list(self.network.parameters())
        self._gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        self._retired: set[Learner] = set()
        keep_freed_memory()  # clearing the pages of a step's activations took 5 to 12 % of it
        for weight in self._weights:  # a backward pass is one long call: hooks let Python handle signals
            weight.register_hook(lambda grad: None)  # type: ignore[no-untyped-call]

    def advance(
        self,
        batches: Mapping[int, Batch],
        events: Mapping[Learner, dict[str, float] | None],
        *,
        share: bool = True,
    ) -> None:
        """Take one training step with the learners that `events` names; see `Learner.advance`.

        Args:
            batches: by seed.
            events: by learner, what an event of this step includes; None if it is not logged.
        """
        active = {n: one for n, one in enumerate(self.learners) if one in events}
        if not active:
            return
        self._retire()
        whole = self._forward({n: batches[one.run.seed].lr for n, one in active.items()})
        images = {n: _own(whole, n).requires_grad_() for n in active}
        losses = {n: self._losses(one, images[n], batches[one.run.seed]) for n, one in active.items()}
        shares = {}
        if share and any(events[one] is not None for one in active.values()):
            shares = self._shares(whole, images, losses)
        totals = {n: one.scaler.scale(losses[n].total) for n, one in active.items()}
        torch._foreach_zero_(self._gradients)
        torch.autograd.backward(whole, self._gradient(whole, images, totals))
        for n, learner in active.items():
            log = events[learner]
            values = [
                losses[n].values,
                *([shares[n].to(losses[n].values)[None]] if log is not None and shares else []),
            ]
            learner.update(torch.cat(values), list(losses[n].terms), log)

    def _retire(self) -> None:
        """Replace the weights of failed students by 0, since theirs may not be finite."""
        for learner in self.learners:
            if learner.error is not None and learner not in self._retired:
                self._retired.add(learner)
                torch._foreach_zero_([weight.data for weight in learner.student.parameters()])

    def _forward(self, lr: Mapping[int, Tensor]) -> Tensor:
        """Return the SR of all groups, (N, 3*width, H, W), with gradient; idle groups get black images."""
        one = self.learners[0]
        idle = torch.zeros_like(next(iter(lr.values())))
        joined = torch.cat([lr.get(n, idle) for n in range(self.width)], 1)
        with autocast(one.run.train, one.device):
            output: Output = self.network(joined)
        return output.sr

    def _losses(self, learner: Learner, sr: Tensor, batch: Batch) -> Losses:
        learner.begin()
        return learner.losses(
            batch.lr, batch.hr, Output(sr, {}), batch.view, _no_further_pass, _no_further_pass
        )

    def _gradient(
        self,
        whole: Tensor,
        images: Mapping[int, Tensor],
        totals: Mapping[int, Tensor],
        *,
        again: bool = False,
    ) -> Tensor:
        """Return the gradient of all groups' SR, which is 0 for idle groups and for losses that are not finite.

        Args:
            totals: a loss by group.
            again: keep the graphs of the losses.
        """
        gradient = torch.zeros_like(whole)
        for n, total in totals.items():
            (own,) = torch.autograd.grad(total, images[n], retain_graph=again)
            gradient[:, 3 * n : 3 * n + 3] = torch.where(self.learners[n].finite, own, 0)
        return gradient

    def _shares(
        self, whole: Tensor, images: Mapping[int, Tensor], losses: Mapping[int, Losses]
    ) -> dict[int, Tensor]:
        """Return the gradient share of each learner, as in `methods.gradients`, with two passes for all."""
        others = {n: [term for name, term in one.terms.items() if name != "rec"] for n, one in losses.items()}
        distilled = {n: torch.stack(terms).sum() for n, terms in others.items() if terms}
        norms = [
            self._norms(whole, self._gradient(whole, images, totals, again=True))
            for totals in (distilled, {n: one.rec for n, one in losses.items()})
        ]
        return {n: norms[0][n] / norms[1][n] if n in distilled else norms[0].new_zeros(()) for n in losses}

    def _norms(self, whole: Tensor, gradient: Tensor) -> Tensor:
        """Return the norm of each group's gradient over its weights, (width,)."""
        gradients = torch.autograd.grad(whole, self._weights, gradient, retain_graph=True)
        squares = [one.reshape(self.width, -1).square().sum(1) for one in gradients]
        return torch.stack(squares).sum(0).sqrt()


def _stackable(student: Architecture) -> ResidualNetwork:
    if not isinstance(student, ResidualNetwork):
        raise SrkdError(f"{student.spec} cannot be stacked", "--set train.stacked=false")
    return student


def _own(whole: Tensor, n: int) -> Tensor:
    """Return the SR of a group, (N, 3, H, W), in memory of its own, whose layout decides how losses round."""
    return whole.detach()[:, 3 * n : 3 * n + 3].clone(memory_format=torch.contiguous_format)


def _no_further_pass(*inputs: object) -> Never:
    raise SrkdError(
        "a method that calls step.see or step.resume cannot be stacked",
        "remove `stacks = True` from the method's class",
    )
