"""Compile networks with torch.compile."""

import torch

from srkd_bench.config.network import ModelSpec
from srkd_bench.core.errors import SrkdError
from srkd_bench.networks.base import Architecture
from srkd_bench.networks.loading import build

RECOMPILE_LIMIT = 10_000


def compile_network(network: Architecture) -> None:
    """Compile a network in place for training.

    Its graph supports several backward passes, which the gradient share needs. The learners of a group share the
    compiler's cache: beyond its default limit of 8 entries the last ones would silently run uncompiled, and their
    results would depend on the others. Shapes are fixed for the same reason.
    """
    import torch._dynamo.config  # takes a second, so it is imported only if needed
    import torch._functorch.config

    torch._functorch.config.donated_buffer = False
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    torch._dynamo.config.accumulated_recompile_limit = RECOMPILE_LIMIT
    network.compile(dynamic=False)


def check_compiler(device: torch.device) -> None:
    """Check that torch.compile works on a device: it needs a compiler of the system, or Triton.

    Raises:
        SrkdError: it does not. Training without it would round differently than the run's settings say.
    """
    network = build(ModelSpec(n_feats=1, n_resblocks=1), 0).to(device)
    compile_network(network)
    try:
        network(torch.ones(1, 3, 1, 1, device=device)).sr.sum().backward()
    except Exception as error:  # its backends raise errors of many types
        reason = " ".join(str(error).split())[:200]
        raise SrkdError(
            f"torch.compile does not work on {device}: {reason}", "--set train.compile=false"
        ) from error
