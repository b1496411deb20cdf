"""What happens to hosts: they lose their power, their clock is wrong, their disk is full."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.bed.cluster import Cluster
from tests.bed.hosts import Host
from tests.bed.sweeps import Left
from tests.bed.waiting import wait_for

TRIAL = "ray::ImplicitFunc"
TEACHER = "ray::build_teacher"
"""Titles of the processes of a trial, and of what trains a teacher."""


def running_trial(cluster: Cluster, title: str = TRIAL) -> Host:
    """The worker that runs the one trial, or the one task of a title, of this moment."""
    found: list[Host] = []

    def look() -> bool:
        found[:] = [host for host in cluster.bed.workers if host.processes(title)]
        return bool(found)

    wait_for(look, f"a process {title}")
    return found[0]


def wait_for_checkpoint(left: Left, trial: str, updates: int, seconds: float = 120.0) -> None:
    """Wait until a trial has a checkpoint of at least that many updates in the bucket."""
    wait_for(
        lambda: left.updates(trial) >= updates,
        f"{trial} at {updates} updates",
        seconds,
    )


def replace_worker(cluster: Cluster, host: Host) -> None:
    """Cut a worker's power, and put a host with the same disk in its place."""
    cluster.bed.power_off(host.name)
    cluster.join(cluster.bed.add(host.name, fresh=False))


def set_clock(cluster: Cluster, host: Host, seconds: int) -> None:
    """Start Ray on a worker anew with another time of day, which passes as everywhere.

    Args:
        cluster: that it is in.
        host: the worker.
        seconds: by which its clock is ahead.
    """
    library = cluster.bed.folder / "clock.so"
    if not library.exists():
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    lines = f"export LD_PRELOAD={library} CLOCK_OFFSET={seconds}\n" if seconds else ""
    host.write("~/.clock", lines)
    host.run("grep -q .clock ~/.bashrc || echo '. ~/.clock' >> ~/.bashrc")
    cluster.join(host)


@contextlib.contextmanager
def fill_disk(host: Host) -> Iterator[None]:
    """Leave no byte of a host's temporary folder while the block runs."""
    host.run("dd if=/dev/zero of=/tmp/full bs=1M 2> /dev/null; ! echo more > /tmp/more")
    try:
        yield
    finally:
        host.run("rm -f /tmp/full /tmp/more")
