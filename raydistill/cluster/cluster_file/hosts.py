"""The rules of a list of hosts (provider `local`)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from raydistill.cluster.cluster_file.problems import Config, Problem

CLOUD_KEYS = ("head_node", "worker_nodes", "available_node_types", "head_node_type")
AUTOSCALER = "RAY_enable_autoscaler_v2=0"


def named_hosts(config: Config) -> Iterator[Problem]:
    """A head and workers are named, each once; nothing that only clouds have."""
    for key in CLOUD_KEYS:
        if key in config:
            yield Problem(key, config[key], "a list of hosts has no types of nodes: leave it out")
    provider = config["provider"]
    if "coordinator_address" in provider:
        remedy = "a coordinator hands out hosts without a token: list them in worker_ips"
        yield Problem("provider.coordinator_address", provider["coordinator_address"], remedy)
        return
    head, workers = provider.get("head_ip"), provider.get("worker_ips")
    if not isinstance(head, str) or not head.strip():
        yield Problem("provider.head_ip", head, "give the address at which workers reach the head")
    if not isinstance(workers, list) or not all(isinstance(one, str) for one in workers):
        yield Problem("provider.worker_ips", workers, "give a list of addresses: [10.0.0.2]")
        return
    for index, worker in enumerate(workers):
        if worker == head or worker in workers[:index]:
            remedy = "named twice: each host is one node, and the head none of the workers"
            yield Problem(f"provider.worker_ips[{index}]", worker, remedy)
    for field, host in (("head_ip", head), *(("worker_ips", one) for one in workers)):
        if isinstance(host, str) and _is_loopback(host) and len({head, *workers}) > 1:
            remedy = "is another machine on each host: give the address that all of them see"
            yield Problem(f"provider.{field}", host, remedy)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def older_autoscaler(config: Config) -> Iterator[Problem]:
    """The head starts Ray's older autoscaler, the one that launches workers of this provider."""
    starts = [line for line in config["head_start_ray_commands"] if "ray start" in line]
    if not any(AUTOSCALER in line.partition("ray start")[0] for line in starts):
        remedy = f"no worker would ever start: `export {AUTOSCALER};` before `ray start`"
        yield Problem("head_start_ray_commands", starts, remedy)


def ssh_user(config: Config) -> Iterator[Problem]:
    """The login on the hosts is named."""
    if not str(config["auth"].get("ssh_user", "")).strip():
        yield Problem("auth.ssh_user", None, "name the login that all hosts have")


BEFORE_DEFAULTS = (named_hosts,)
RULES = (older_autoscaler, ssh_user)
