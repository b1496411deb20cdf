"""What Ray needs of this machine: a folder for its sockets, an address that answers, ports."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raydistill.cluster.ray_environment import RayAddress, check_temporary_folder
from raydistill.cluster.token import readable_by_others, token_file
from raydistill.commands.checks.findings import Problem, Section
from raydistill.config.errors import ConfigError
from raydistill.console import shell_command

SECONDS = 2.0
"""How long a port of this machine may take to answer."""

PORTS = {6379: "cluster", 8265: "dashboard", 10001: "client"}
OPTIONS = {6379: "--port", 8265: "--dashboard-port", 10001: "--ray-client-server-port"}
"""Of `ray start --head`, which takes these ports; a sweep that starts Ray finds free ones."""

CURRENT_CLUSTER = "ray_current_cluster"
"""File in Ray's folder with the address of the cluster that was last started by `ray start`."""

LISTENING = "0A"
"""State of a socket in /proc/net/tcp."""


def ray_folder() -> Path:
    """Where Ray puts its sessions: below RAY_TMPDIR, TMPDIR or /tmp."""
    base = next((os.environ[n] for n in ("RAY_TMPDIR", "TMPDIR") if n in os.environ), "/tmp")
    return Path(base) / "ray"


def check_ray() -> Section:
    """Whether a sweep could start Ray here or join the one that runs."""
    folder = ray_folder()
    facts = {"temporary folder": str(folder)}
    problems = []
    try:
        check_temporary_folder()
    except ConfigError as error:
        what, _, remedy = str(error).rpartition("; ")
        problems.append(Problem(what, remedy, essential=True))
    problems += _token(facts)
    problems += _running_cluster(facts, folder)
    for port, use in PORTS.items():
        name = f"port {port} ({use})"
        if not _is_taken(port):
            facts[name] = "free"
            continue
        owner = port_owner(port)
        taken = "taken" if owner is None else f"taken by {owner}"
        facts[name] = taken
        if owner is None or not owner.ray:
            what = f"port {port}: {taken}; `ray start --head` wants it for Ray's {use}"
            remedy = f"give `ray start` {OPTIONS[port]} with a free one; a sweep that starts Ray "
            problems.append(Problem(what, f"{remedy}itself finds one"))
    return Section("Ray", facts, tuple(problems))


def _token(facts: dict[str, str]) -> list[Problem]:
    """Whether the secret that Ray's processes know each other by is this user's alone."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    try:
        file = Path(named) if named else token_file()
        there = file.exists()
    except (RuntimeError, OSError) as error:
        facts["token"] = f"NOT: {error}"
        return []  # HOME has a line of its own
    if not there:
        facts["token"] = f"{file}, made when Ray starts"
        return []
    if not readable_by_others(file):
        facts["token"] = f"{file}, private"
        return []
    facts["token"] = f"{file}, NOT private"
    what = f"token: others on this machine can read {str(file)!r}, and run code as you by it"
    return [Problem(what, f"chmod 600 {shell_command(file)}")]


@dataclass(frozen=True)
class Owner:
    """The process that listens on a port.

    Attributes:
        process: its number.
        name: of its program.
        ray: whether it is a part of Ray.
    """

    process: int
    name: str
    ray: bool

    def __str__(self) -> str:
        return f"process {self.process} ({self.name})"


def port_owner(port: int) -> Owner | None:
    """Who listens on a port; None where the system does not say it to this user."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if not any(os.readlink(link) in inodes for link in (folder / "fd").iterdir()):
                continue
            name = (folder / "comm").read_text().strip()
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended, or is another user's
            continue
        return Owner(int(folder.name), name, b"/ray/" in command or name.startswith("ray"))
    return None


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on a port; see proc(5)."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]


def _running_cluster(facts: dict[str, str], folder: Path) -> list[Problem]:
    """The Ray that a sweep without --address would join."""
    named = os.environ.get("RAY_ADDRESS")
    if named in ("local", "auto"):
        facts["RAY_ADDRESS"] = named
        return []
    if named:
        source, remedy = "RAY_ADDRESS", "start that cluster, or unset RAY_ADDRESS"
    else:
        path = folder / CURRENT_CLUSTER
        try:
            named = path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            named = ""
        if not named:
            facts["running cluster"] = "none: a sweep starts Ray by itself"
            return []
        source, remedy = str(path), f"`ray stop`, or delete {path}: the cluster it names is gone"
    try:
        RayAddress(named, source).check_answers()
    except ConfigError:
        facts["running cluster"] = f"{named} (from {source}) does not answer"
        return [Problem(f"{source}: {named!r} does not answer", remedy, essential=True)]
    facts["running cluster"] = f"{named} (from {source}): a sweep joins it"
    return []


def _is_taken(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except OSError:
        return False
    return True
