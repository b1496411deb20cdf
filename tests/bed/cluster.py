"""A Ray cluster on the bed's hosts, by the commands that a user gives: `ray up`, `exec`, `down`."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import yaml

from tests.bed.bed import HEAD, ROOT, WORKERS, Bed, address
from tests.bed.bucket import Bucket, storage
from tests.bed.hosts import Host
from tests.bed.waiting import wait_for

FILE = "~/hosts.yaml"
HOSTS_FILE = ROOT / "cluster" / "hosts.yaml"
CPUS = 2
"""Of each worker, as it tells Ray."""

SHELL = """\
export RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=2000
export RAY_gcs_rpc_server_reconnect_timeout_s=20 RAY_worker_niceness=0
"""
"""Lines of each host's ~/.bashrc. A silent host is given up after 15 seconds instead of 65, and a
worker without a head, which `ray down` leaves to itself, ends after 20 instead of 60. Trials do not
give way to what else this machine does."""


def cluster_file(storage: str) -> str:
    """`cluster/hosts.yaml` as a user fills it in for the bed.

    Two things differ: the environment is not installed, since `~/venv` is there already, and
    workers have as many CPUs as they are told to instead of all of the machine's.

    Args:
        storage: where sweeps live.
    """
    filled = HOSTS_FILE.read_text(encoding="utf-8")
    for name, value in {
        "URI_OR_SHARED_FOLDER": storage,
        "HEAD_ADDRESS": address(HEAD),
        "WORKER_ADDRESS": ", ".join(address(name) for name in WORKERS),
        "USER": "root",
        "PATH_OF_PRIVATE_KEY": "~/.ssh/id_ed25519",
    }.items():
        filled = re.sub(rf"(?<!# )FILL_IN_{name}", value, filled)
    config = yaml.safe_load(filled)
    kept = [line for line in config["setup_commands"] if not re.search(r"\buv\b", line)]
    assert len(kept) < len(config["setup_commands"])
    config["setup_commands"] = kept
    _add_to_start(config, "head", "--object-store-memory=100000000")
    _add_to_start(
        config, "worker", f"--num-cpus={CPUS} --num-gpus=0 --object-store-memory=100000000"
    )
    return yaml.safe_dump(config, sort_keys=False, width=1000)


def _add_to_start(config: dict[str, Any], kind: str, options: str) -> None:
    commands = config[f"{kind}_start_ray_commands"]
    (index,) = [n for n, command in enumerate(commands) if "ray start" in command]
    commands[index] = f"{commands[index]} {options}"


class Cluster:
    """The cluster, seen from the laptop.

    Args:
        bed: with all its hosts.
        bucket: where sweeps live.
    """

    def __init__(self, bed: Bed, bucket: Bucket) -> None:
        self.bed, self.bucket = bed, bucket

    def up(self) -> None:
        """Make the token, start Ray on all hosts, and wait until the workers have joined."""
        laptop = self.bed.laptop
        laptop.run("test -e ~/.ray/auth_token || (umask 077; ray get-auth-token --generate)")
        laptop.write(FILE, cluster_file(storage()))
        self.command("ray up --yes --no-config-cache", timeout=240.0)
        self.wait_for_workers(len(WORKERS))

    def command(self, command: str, *arguments: str, timeout: float = 120.0) -> str:
        """What a command of Ray about this cluster, run on the laptop, prints."""
        script = f"cd {ROOT} && {command} {FILE} {shlex.join(arguments)} 2>&1"
        return self.bed.laptop.run(script, timeout).stdout

    def nodes(self) -> list[dict[str, Any]]:
        """What the head knows of the nodes that are alive."""
        listed = self.bed.head.run(
            "ray list nodes --filter state=ALIVE --format json --limit 100", check=False
        )
        try:
            found: list[dict[str, Any]] = json.loads(listed.stdout)
        except json.JSONDecodeError:
            return []
        return found

    def wait_for_workers(self, count: int, seconds: float = 120.0) -> None:
        """Wait until as many workers have joined."""
        wait_for(lambda: len(self.nodes()) == count + 1, f"{count} workers", seconds, 1.0)

    def join(self, worker: Host) -> None:
        """Start Ray on a worker that has been set up before, as the autoscaler would."""
        commands = yaml.safe_load(cluster_file(storage()))["worker_start_ray_commands"]
        # What it leaves running must not hold the pipes of what it prints.
        worker.run(f"({'; '.join(commands)}) > join.log 2>&1", RAY_HEAD_IP=address(HEAD))

    def restore(self, worker: Host) -> None:
        """Make sure that a worker is in the cluster, whatever happened to it."""
        if len(self.nodes()) < len(WORKERS) + 1:
            self.join(worker)
        self.wait_for_workers(len(WORKERS))

    def down(self) -> None:
        """End Ray on all hosts: `ray down` ends the head's alone, so the workers' are stopped."""
        self.command("ray down --yes")
        for host in self.bed.workers:
            ssh = f"ssh -o StrictHostKeyChecking=no -o BatchMode=yes {host.address}"
            self.bed.laptop.run(f"{ssh} \"bash -lic 'ray stop'\" 2>&1")


def ray_processes(host: Host) -> list[int]:
    """The processes of Ray on a host: its services by their path, its workers by their title."""
    return host.processes("/site-packages/ray/") + host.processes("ray::")
