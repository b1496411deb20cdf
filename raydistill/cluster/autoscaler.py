"""What an autoscaler may start, from its own configuration, wherever in the cluster it is asked.

Ray's state has the nodes that are there. That of version 2.60 has the limits of types of nodes only
where a platform reports them (`GlobalState.get_cluster_config`), which no open provider does. What
the autoscaler itself reads is therefore read as well: the file that the head's monitor was started
with (`ray up` on a cloud or on a list of hosts), or the RayCluster of a KubeRay operator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import yaml
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raydistill.cluster.design.resources import Autoscaling, NodeGroup

HEAD = "node:__internal_head__"
"""A resource that Ray gives to the head alone."""

BOOTSTRAP = "ray_bootstrap_config.yaml"
"""In HOME; what `ray up` leaves on the head of a cluster: its resolved configuration."""

MONITOR, CONFIG_OPTION, ADDRESS_OPTION = "monitor.py", "--autoscaling-config=", "--gcs-address="
"""The process that scales a cluster, and its options."""

NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Config = dict[str, Any]
"""An autoscaler's configuration: `available_node_types`, `head_node_type`, `max_workers`."""


def find_config(nodes: list[dict[str, Any]]) -> Config | None:
    """The configuration of the cluster's autoscaler; None if it has none that can be read.

    Args:
        nodes: those that are alive, of `ray.nodes()`.
    """
    head = next((node["NodeID"] for node in nodes if HEAD in node["Resources"]), None)
    context = ray.get_runtime_context()
    if head is None or head == context.get_node_id():
        return config_here(context.gcs_address)
    strategy = NodeAffinitySchedulingStrategy(head, soft=False)
    look = _config_there.options(scheduling_strategy=strategy)
    found: Config | None = ray.get(look.remote(context.gcs_address))
    return found


@ray.remote(num_cpus=0, max_retries=3)  # type: ignore[untyped-decorator]
def _config_there(gcs_address: str) -> Config | None:
    return config_here(gcs_address)


def config_here(gcs_address: str) -> Config | None:
    """The configuration of the autoscaler on this machine, the head of a cluster."""
    commands = [command for command in _commands() if _is_monitor(command, gcs_address)]
    if commands:
        # What another Ray on this machine has left in HOME does not count then.
        files = [word.removeprefix(CONFIG_OPTION) for word in commands[0] if CONFIG_OPTION in word]
        return _read(Path(files[0]).expanduser()) if files else None
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return _kuberay_config()
    try:
        return _read(Path.home() / BOOTSTRAP)
    except RuntimeError:  # an account without a home
        return None


def autoscaling_of(config: Config, nodes: tuple[NodeGroup, ...], head: NodeGroup) -> Autoscaling:
    """What a configuration lets the autoscaler start.

    Args:
        config: of the autoscaler.
        nodes: that are there; a type that does not say what its nodes have is taken to be like the
            smallest of them beside the head, or like the head (hosts of a list say nothing).
        head: of the cluster.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no such configuration.
    """
    most = config.get("max_workers")
    others = [node for node in nodes if node != head] or [head]
    unknown = min(others, key=lambda node: (node.gpus, node.cpus))
    groups = []
    for name, kind in config["available_node_types"].items():
        is_head = name == config.get("head_node_type")
        # As Ray fills it in: a head's type starts no workers unless it says so.
        count = kind.get("max_workers", 0 if is_head else most or 0)
        found = kind.get("resources") or {"CPU": unknown.cpus, "GPU": unknown.gpus}
        cpus, gpus = float(found.get("CPU", 0.0)), float(found.get("GPU", 0.0))
        groups.append(NodeGroup(cpus, gpus, int(count)))
    one_head = NodeGroup(head.cpus, head.gpus)
    return Autoscaling(one_head, tuple(groups), None if most is None else int(most))


def _read(path: Path) -> Config | None:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return found if isinstance(found, dict) else None


def _commands() -> Iterator[list[str]]:
    """The command lines of all processes that may be looked at."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended, or is not ours to see
            continue


def _is_monitor(command: list[str], gcs_address: str) -> bool:
    return f"{ADDRESS_OPTION}{gcs_address}" in command and any(
        Path(word).name == MONITOR for word in command
    )


def _kuberay_config() -> Config | None:
    """The RayCluster that this pod belongs to, as KubeRay's autoscaler reads it."""
    try:
        # Private to Ray: it is what turns worker groups into the types of nodes that Ray knows.
        from ray.autoscaler._private.kuberay.autoscaling_config import (
            _derive_autoscaling_config_from_ray_cr,
        )
        from ray.autoscaler._private.kuberay.node_provider import KubernetesHttpApiClient

        name, namespace = os.environ["RAY_CLUSTER_NAME"], NAMESPACE.read_text().strip()
        cluster = KubernetesHttpApiClient(namespace).get(f"rayclusters/{name}")
        if not cluster["spec"].get("enableInTreeAutoscaling"):
            return None  # its groups stay as they are
        found: Config = _derive_autoscaling_config_from_ray_cr(cluster)
    except Exception:  # noqa: BLE001  (a pod without the right to read it has no autoscaler either)
        return None
    return found
