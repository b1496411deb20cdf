"""Start a bed, remove it, and find what an earlier one has left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bed.hosts import HOME, Host, Layout, kept_paths, sshd_path
from tests.bed.network import ADDRESSES, Network

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "raydistill-bed-"
"""Of the folder of a bed; no bed touches anything outside its own."""
BELOW = Path("/var/tmp")
"""Where that folder is: hosts have a /tmp of their own, and share this."""
PROCESSES = "processes.json"

LAPTOP = "laptop"
HEAD = "head"
WORKERS = ("worker-1", "worker-2")
STRANGER = "stranger"
SWITCH = "switch"
NUMBERS = {SWITCH: 1, LAPTOP: 2, STRANGER: 3, HEAD: 11, "worker-1": 12, "worker-2": 13}
"""Last number of each host's address."""

FILES = ("/etc/hosts", "/etc/passwd", "/etc/resolv.conf")
"""Files that are written for the hosts, where the machine has its own."""
TEMPORARY = {"/tmp": "2g", "/dev/shm": "1g", "/run": "64m"}
SSHD_CONFIG = """\
HostKey {folder}/host_key
AuthorizedKeysFile .ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
MaxStartups 100
Subsystem sftp internal-sftp
"""
SHELL = f"export PYTHONPATH={HOME}/raydistill RAY_USAGE_STATS_ENABLED=0\n"
"""Of all hosts."""
SHELL_OUTSIDE = f"export PATH={HOME}/venv/bin:$PATH RAY_AUTH_MODE=token\n"
"""Of hosts that `ray up` does not set up."""


@dataclass
class Bed:
    """A bed that runs.

    Attributes:
        folder: everything that it has on this machine's disk.
        network: the bridge.
        hosts: by name. The laptop and the stranger have no sshd; the stranger has no keys either.
        shell: lines of each host's ~/.bashrc.
    """

    folder: Path
    network: Network
    shell: str
    hosts: dict[str, Host] = field(default_factory=dict)

    def add(self, name: str, fresh: bool = True) -> Host:
        """Start a host and plug it in.

        Args:
            name: one of `NUMBERS`.
            fresh: whether its disk is empty, as a new machine's; otherwise it has what was on it.
        """
        home = self.folder / name
        if fresh:
            shutil.rmtree(home, ignore_errors=True)
            self._furnish(home, name)
        served = name in (HEAD, *WORKERS)
        sshd = (sshd_path(), "-D", "-e", "-f", str(self.folder / "sshd_config")) if served else ()
        host = Host(_layout(self.folder, name, home, sshd), address(name), self.log(name))
        self.hosts[name] = host
        _remember(self.folder, host)
        self.network.connect(host)
        return host

    def power_off(self, name: str) -> None:
        """Cut a host's power: its processes end without a word to anyone."""
        host = self.hosts.pop(name)
        self.network.part(host)
        host.power_off()
        self.network.disconnect(host)

    def log(self, name: str) -> Path:
        """Where output of that name goes."""
        return self.folder / f"{name}.log"

    @property
    def head(self) -> Host:
        """The host that drives."""
        return self.hosts[HEAD]

    @property
    def laptop(self) -> Host:
        """The host from which the cluster is started."""
        return self.hosts[LAPTOP]

    @property
    def workers(self) -> list[Host]:
        """The hosts that compute and are up."""
        return [self.hosts[name] for name in WORKERS if name in self.hosts]

    def _furnish(self, home: Path, name: str) -> None:
        keys = home / ".ssh"
        keys.mkdir(parents=True, mode=0o700)
        home.chmod(0o700)
        (home / "venv").symlink_to(sys.prefix)
        shell = self.shell if name in (HEAD, *WORKERS) else self.shell + SHELL_OUTSIDE
        (home / ".bashrc").write_text(shell)
        (home / ".bash_profile").write_text(". ~/.bashrc\n")
        if name == LAPTOP:
            shutil.copy(self.folder / "user_key", keys / "id_ed25519")
        elif name != STRANGER:
            shutil.copy(self.folder / "user_key.pub", keys / "authorized_keys")


def address(name: str) -> str:
    """The address of a host."""
    return f"{ADDRESSES}.{NUMBERS[name]}"


@contextlib.contextmanager
def open_bed(shell: str = "") -> Iterator[Bed]:
    """A bed with all its hosts, each with an empty HOME; removed however the block ends.

    Args:
        shell: further lines of the ~/.bashrc of each host.
    """
    remove_stale_beds()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=BELOW))
    try:
        _remember(folder)
        _write_files(folder)
        home = folder / SWITCH
        switch = Host(_layout(folder, SWITCH, home), address(SWITCH), folder / "switch.log")
        (home / ".bash_profile").write_text(f"export PATH={Path(sys.executable).parent}:$PATH\n")
        _remember(folder, switch)
        bed = Bed(folder, Network(switch), SHELL + shell)
        for name in NUMBERS:
            if name != SWITCH:
                bed.add(name)
        yield bed
    finally:
        _remove(folder)


def remove_stale_beds() -> None:
    """Remove the beds whose owner has died; a bed that another process uses is let be."""
    for folder in BELOW.glob(PREFIX + "*"):
        owner = _recorded(folder)[:1]
        if not owner or not _alive(*owner[0]):
            _remove(folder)


def _remove(folder: Path) -> None:
    """End the recorded processes of a bed, with which all its namespaces go, and its folder."""
    for pid, began in _recorded(folder)[1:]:
        if _alive(pid, began):
            os.kill(pid, signal.SIGKILL)
    for pid, began in _recorded(folder)[1:]:
        # Until the kernel has ended everything in a host, its mounts hold the folder.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        while _alive(pid, began):
            time.sleep(0.01)
    shutil.rmtree(folder)


def _layout(folder: Path, name: str, home: Path, sshd: tuple[str, ...] = ()) -> Layout:
    home.mkdir(exist_ok=True)
    covered = [HOME, *TEMPORARY]
    needed = [ROOT, Path(sys.prefix), Path(sys.base_prefix)]
    return Layout(
        name=name,
        home=(str(home), HOME),
        aside=str(folder / "aside"),
        kept=kept_paths(needed, covered),
        temporary=TEMPORARY,
        files={name: str(folder / Path(name).name) for name in FILES},
        sshd=sshd,
    )


def _write_files(folder: Path) -> None:
    for key in ("host_key", "user_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / key)],
            check=True,
        )
    names = [f"{address(name)} {name}\n" for name in NUMBERS]
    (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(names))
    (folder / "resolv.conf").touch()
    users = Path("/etc/passwd").read_text()
    (folder / "passwd").write_text(users.replace(":/root:", f":{HOME}:"))
    (folder / "aside").mkdir()
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(folder=folder))


def _remember(folder: Path, host: Host | None = None) -> None:
    """Record the processes of a host, or this one as the owner, so that a later run finds them."""
    pids = (os.getpid(),) if host is None else host.pids
    lines = [[pid, _began(pid)] for pid in pids]
    partial = folder / f"{PROCESSES}.partial"
    partial.write_text(json.dumps([*_recorded(folder), *lines]))
    partial.replace(folder / PROCESSES)


def _recorded(folder: Path) -> list[tuple[int, int]]:
    """Process and the time of its start, the owner's first."""
    try:
        return [(pid, began) for pid, began in json.loads((folder / PROCESSES).read_text())]
    except FileNotFoundError:
        return []


def _began(pid: int) -> int:
    """When a process began, in ticks since the machine did: with its number, it names one."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19])


def _alive(pid: int, began: int) -> bool:
    try:
        return _began(pid) == began
    except OSError:
        return False
