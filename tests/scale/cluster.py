"""A Ray cluster of several nodes on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OBJECTS = 80_000_000  # bytes of a node's object store, Ray's least and a little more


class Nodes:
    """A running cluster: each node has a CPU, and processes of its own.

    Attributes:
        address: for `--address`.
    """

    def __init__(self, running: Any) -> None:
        self._running = running
        self.address: str = running.address

    def add(self) -> None:
        """Add a node."""
        self._running.add_node(num_cpus=1, object_store_memory=OBJECTS)

    def kill(self) -> bool:
        """Kill a node that trains students, except the first; return whether there was one."""
        for node in list(self._running.worker_nodes):
            raylet = node.all_processes["raylet"][0].process.pid
            children = [
                path.read_text(encoding="utf-8").split()
                for path in Path(f"/proc/{raylet}/task").glob("*/children")
            ]
            titles = [
                Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8")
                for some in children
                for child in some
            ]
            if any(title.startswith("ray::srkd seed") for title in titles):
                self._running.remove_node(node, allow_graceful=False)
                return True
        return False


@contextmanager
def cluster(nodes: int) -> Iterator[Nodes]:
    """Start a cluster with a number of nodes, and stop it when the block ends."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    first = {
        "num_cpus": 1,
        "object_store_memory": OBJECTS,
        "include_dashboard": False,
        "include_log_monitor": False,
        "no_monitor": True,
    }
    running: Any = Cluster(initialize_head=True, head_node_args=first)
    try:
        found = Nodes(running)
        for _ in range(nodes - 1):
            found.add()
        running.wait_for_nodes()
        yield found
    finally:
        running.shutdown()
