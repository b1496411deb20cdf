"""How much a running Ray has, and may come to have."""

from __future__ import annotations

from collections import Counter
from typing import Any

import ray

from raydistill.cluster.autoscaler import HEAD, autoscaling_of, find_config
from raydistill.cluster.design.resources import Autoscaling, ClusterCapacity, NodeGroup


def read_capacity(dashboard: str) -> ClusterCapacity:
    """The capacity of the Ray that this process has joined.

    A cluster that scales from zero has at first nothing but its head. What its autoscaler may start
    counts as there, or every trial would be refused.

    Args:
        dashboard: host:port of Ray's dashboard; empty if it has none.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    counts = Counter(_group(node) for node in nodes)
    groups = tuple(NodeGroup(kind.cpus, kind.gpus, count) for kind, count in counts.items())
    return ClusterCapacity(groups, _autoscaling(nodes, groups), dashboard)


def _group(node: dict[str, Any]) -> NodeGroup:
    return NodeGroup(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))


def _autoscaling(nodes: list[dict[str, Any]], groups: tuple[NodeGroup, ...]) -> Autoscaling | None:
    head = next((_group(node) for node in nodes if HEAD in node["Resources"]), None)
    config = find_config(nodes)
    if head is None or config is None:
        return None
    try:
        return autoscaling_of(config, groups, head)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # damaged, or of a Ray to come: what is there counts alone
