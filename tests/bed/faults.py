"""What happens to hosts while a sweep runs on them."""

from __future__ import annotations

from tests.bed.cluster import Cluster
from tests.bed.hosts import Host
from tests.bed.sweeps import Left
from tests.bed.waiting import wait_for

TRIAL = "ray::ImplicitFunc"
"""Title of the process of a trial."""


def running_trial(cluster: Cluster) -> Host:
    """The worker that runs the one trial of this moment."""
    found: list[Host] = []

    def look() -> bool:
        found[:] = [host for host in cluster.bed.workers if host.processes(TRIAL)]
        return bool(found)

    wait_for(look, f"a process {TRIAL}")
    return found[0]


def wait_for_checkpoint(left: Left, trial: str, updates: int, seconds: float = 120.0) -> None:
    """Wait until a trial has a checkpoint of at least that many updates in the bucket."""
    wait_for(
        lambda: max(left.checkpoints(trial), default=0) >= updates,
        f"{trial} at {updates} updates",
        seconds,
    )


def replace_worker(cluster: Cluster, host: Host) -> None:
    """Cut a worker's power, and put a host with the same disk in its place."""
    cluster.bed.power_off(host.name)
    cluster.join(cluster.bed.add(host.name, fresh=False))
