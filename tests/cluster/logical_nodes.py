"""A Ray of several nodes on this machine, each of which can be killed without notice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from tests.cluster.scripts import ROOT


class LogicalNodes:
    """A head without CPUs, and workers that come and go."""

    def __init__(self) -> None:
        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})

    @property
    def address(self) -> str:
        """Of the head, as host:port."""
        return str(self._cluster.address)

    def add(self, cpus: int, environment: dict[str, str] | None = None) -> Any:
        """A worker, once it has joined; with an environment of its own."""
        return self._cluster.add_node(num_cpus=cpus, env_vars=environment)

    def kill(self, node: Any) -> None:
        """SIGKILL to all processes of a node."""
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()


@contextmanager
def logical_nodes() -> Iterator[LogicalNodes]:
    """Nodes for the block; sweeps that are started in it join them."""
    ray.shutdown()
    ray_program = Path(sys.executable).with_name("ray")
    subprocess.run([ray_program, "get-auth-token", "--generate"], capture_output=True, check=True)
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "RAY_ADDRESS")}
    os.environ["PYTHONPATH"] = str(ROOT)
    nodes = LogicalNodes()
    os.environ["RAY_ADDRESS"] = nodes.address
    try:
        yield nodes
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        nodes.close()
