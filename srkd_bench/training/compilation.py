"""Compile networks with torch.compile."""

from srkd_bench.networks.base import Architecture

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
