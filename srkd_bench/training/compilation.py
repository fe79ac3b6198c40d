"""Compile networks with torch.compile."""

from typing import Literal

import torch
from torch import Tensor

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build

RECOMPILE_LIMIT = 10_000
Compilation = bool | Literal["reduce-overhead"]


def compile_network(network: Architecture, how: Compilation) -> None:
    """Compile a network in place for training, or leave it as it is.

    Its graph supports several backward passes, which the gradient share needs. The learners of a group share the
    compiler's cache: beyond its default limit of 8 entries the last ones would silently run uncompiled, and their
    results would depend on the others. Shapes are fixed for the same reason.

    Args:
        how: `train.compile`; `reduce-overhead` records CUDA graphs on a GPU. Their outputs end with `begin_step`.
    """
    if not how:
        return
    import torch._dynamo.config  # takes a second, so it is imported only if needed
    import torch._functorch.config

    torch._functorch.config.donated_buffer = False
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    torch._dynamo.config.accumulated_recompile_limit = RECOMPILE_LIMIT
    network.compile(dynamic=False, mode=how if isinstance(how, str) else None)


def begin_step(how: Compilation) -> None:
    """Tell CUDA graphs that a training step begins: they may overwrite the outputs of the step before."""
    if how == "reduce-overhead":
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]


def check_compiler(device: torch.device, how: Compilation = True) -> None:
    """Check that torch.compile works on a device: it needs a compiler of the system, or Triton.

    As methods do, it makes two passes of a network in a step, and the gradients of one of them twice.

    Raises:
        SrkdError: it does not. Training without it would round differently than the run's settings say.
    """
    try:
        expected, found = (_gradients(device, one) for one in (False, how))
        if not torch.allclose(found, expected, rtol=1e-3, atol=1e-3):
            raise RuntimeError("gradients are wrong")
    except Exception as error:  # its backends raise errors of many types
        reason = " ".join(str(error).split())[:200]
        raise SrkdError(
            f"torch.compile does not work on {device}: {reason}", "--set train.compile=false"
        ) from error


def _gradients(device: torch.device, how: Compilation) -> Tensor:
    """Return gradients of a small network in the last of three steps; CUDA graphs are recorded in the second."""
    network = build(ModelSpec(n_feats=1, n_resblocks=1), 0).to(device)
    compile_network(network, how)
    weights = list(network.parameters())
    images = torch.linspace(0, 1, 12, device=device).reshape(1, 3, 2, 2)
    for _ in range(3):
        begin_step(how)
        network.zero_grad()
        one, other = network(images).sr.square().mean(), network(1 - images).sr.square().mean()
        first = torch.autograd.grad(one, weights, retain_graph=True)
        found = torch.cat([grad.flatten() for grad in first])
        torch.autograd.backward(one + other)
        found = found + torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
    return found
